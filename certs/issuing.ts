/** Makes certificates for development and tests: P-256 or RSA keys, SHA-256, random serials. Not a CA to run a business on. */
import 'reflect-metadata';
import { createPrivateKey, type KeyObject, randomBytes, webcrypto } from 'node:crypto';
import * as x509 from '@peculiar/x509';

const DAY_MS = 86_400_000;
/** Certificates begin a little in the past, so that a machine whose clock is behind accepts them. */
const CLOCK_SKEW_MS = 5 * 60_000;
const P256 = { name: 'ECDSA', namedCurve: 'P-256', hash: 'SHA-256' } as const;
const RSA = { name: 'RSASSA-PKCS1-v1_5', modulusLength: 2048, publicExponent: new Uint8Array([1, 0, 1]), hash: 'SHA-256' } as const;

/** What keys are made: P-256, or RSA with 2048 bits. */
export type KeyKind = 'P-256' | 'RSA-2048';

/** A certificate with its private key (PKCS #8), both PEM. */
export interface KeyAndCertificate {
  readonly certPem: string;
  readonly keyPem: string;
}

export interface Validity {
  readonly notBefore: Date;
  readonly notAfter: Date;
}

/** What a certificate is to say. Every common name becomes an attribute of its own, more than one included. */
export interface CertificateRequest {
  readonly commonNames: readonly string[];
  readonly organizationalUnits: readonly string[];
  readonly dnsNames: readonly string[];
  readonly uriNames: readonly string[];
  readonly ipAddresses: readonly string[];
  readonly purpose: 'server' | 'client';
  readonly validity: Validity;
  /** P-256 unless told. */
  readonly keyKind?: KeyKind;
}

/** From a little before `nowMs` until `days` after it. */
export function validFor(days: number, nowMs: number): Validity {
  return { notBefore: new Date(nowMs - CLOCK_SKEW_MS), notAfter: new Date(nowMs + days * DAY_MS) };
}

/** A certificate authority with its key at hand. */
export class CertificateAuthority {
  readonly certPem: string;
  readonly keyPem: string;
  readonly #certificate: x509.X509Certificate;
  readonly #signingKey: webcrypto.CryptoKey;
  readonly #algorithm: SigningAlgorithm;

  private constructor(certPem: string, keyPem: string) {
    const key = createPrivateKey(keyPem);
    this.certPem = certPem;
    this.keyPem = keyPem;
    this.#algorithm = signingAlgorithm(key);
    this.#certificate = new x509.X509Certificate(certPem);
    this.#signingKey = key.toCryptoKey(this.#algorithm, false, ['sign']);
  }

  /** Makes a self-signed root. */
  static async create(commonName: string, validity: Validity, keyKind: KeyKind = 'P-256'): Promise<CertificateAuthority> {
    const keys = await generateKeys(keyKind);
    const certificate = await x509.X509CertificateGenerator.createSelfSigned({
      name: [{ CN: [commonName] }],
      keys,
      serialNumber: randomSerial(),
      ...validity,
      signingAlgorithm: keyKind === 'P-256' ? P256 : RSA,
      extensions: [
        new x509.BasicConstraintsExtension(true, undefined, true),
        new x509.KeyUsagesExtension(x509.KeyUsageFlags.keyCertSign | x509.KeyUsageFlags.cRLSign, true),
        await x509.SubjectKeyIdentifierExtension.create(keys.publicKey),
      ],
    });
    return new CertificateAuthority(pemText(certificate.toString('pem')), await privateKeyPem(keys.privateKey));
  }

  /** Takes up an existing root. @throws Error when the key cannot be read, is encrypted, or is neither EC nor RSA. */
  static fromPem(certPem: string, keyPem: string): CertificateAuthority {
    return new CertificateAuthority(certPem, keyPem);
  }

  async issue(request: CertificateRequest): Promise<KeyAndCertificate> {
    const keys = await generateKeys(request.keyKind ?? 'P-256');
    const purpose = request.purpose === 'server' ? x509.ExtendedKeyUsage.serverAuth : x509.ExtendedKeyUsage.clientAuth;
    const alternativeNames = [
      ...request.dnsNames.map((value) => ({ type: 'dns' as const, value })),
      ...request.uriNames.map((value) => ({ type: 'url' as const, value })),
      ...request.ipAddresses.map((value) => ({ type: 'ip' as const, value })),
    ];
    const certificate = await x509.X509CertificateGenerator.create({
      subject: [...request.organizationalUnits.map((value) => ({ OU: [value] })), ...request.commonNames.map((value) => ({ CN: [value] }))],
      issuer: this.#certificate.subjectName,
      publicKey: keys.publicKey,
      signingKey: this.#signingKey,
      serialNumber: randomSerial(),
      ...request.validity,
      signingAlgorithm: this.#algorithm,
      extensions: [
        new x509.BasicConstraintsExtension(false, undefined, true),
        new x509.KeyUsagesExtension(x509.KeyUsageFlags.digitalSignature, true),
        new x509.ExtendedKeyUsageExtension([purpose]),
        ...(alternativeNames.length > 0 ? [new x509.SubjectAlternativeNameExtension(alternativeNames)] : []),
        await x509.SubjectKeyIdentifierExtension.create(keys.publicKey),
        await x509.AuthorityKeyIdentifierExtension.create(this.#certificate.publicKey),
      ],
    });
    return { certPem: pemText(certificate.toString('pem')), keyPem: await privateKeyPem(keys.privateKey) };
  }

  /** A revocation list, PEM, that revokes these certificates (PEM). */
  async crl(revoked: readonly string[], validity: Validity): Promise<string> {
    const crl = await x509.X509CrlGenerator.create({
      issuer: this.#certificate.subjectName,
      thisUpdate: validity.notBefore,
      nextUpdate: validity.notAfter,
      entries: revoked.map((certPem) => ({
        serialNumber: new x509.X509Certificate(certPem).serialNumber,
        revocationDate: validity.notBefore,
      })),
      extensions: [await x509.AuthorityKeyIdentifierExtension.create(this.#certificate.publicKey)],
      signingAlgorithm: this.#algorithm,
      signingKey: this.#signingKey,
    });
    // OpenSSL reads a list only under the label of RFC 7468.
    return pemText(x509.PemConverter.encode(crl.rawData, 'X509 CRL'));
  }
}

type SigningAlgorithm = { name: 'ECDSA'; namedCurve: string; hash: 'SHA-256' } | { name: 'RSASSA-PKCS1-v1_5'; hash: 'SHA-256' };

function signingAlgorithm({ asymmetricKeyType, asymmetricKeyDetails }: KeyObject): SigningAlgorithm {
  const curve = { prime256v1: 'P-256', secp384r1: 'P-384', secp521r1: 'P-521' }[asymmetricKeyDetails?.namedCurve ?? ''];
  if (asymmetricKeyType === 'ec' && curve !== undefined) return { name: 'ECDSA', namedCurve: curve, hash: 'SHA-256' };
  if (asymmetricKeyType === 'rsa') return { name: 'RSASSA-PKCS1-v1_5', hash: 'SHA-256' };
  throw new Error(`cannot sign with a key of type ${asymmetricKeyType ?? 'unknown'}; expected EC (P-256, P-384, P-521) or RSA`);
}

function generateKeys(kind: KeyKind): Promise<webcrypto.CryptoKeyPair> {
  return kind === 'P-256'
    ? webcrypto.subtle.generateKey(P256, true, ['sign', 'verify'])
    : webcrypto.subtle.generateKey(RSA, true, ['sign', 'verify']);
}

/** 127 random bits, positive (RFC 5280, 4.1.2.2). */
function randomSerial(): string {
  const serial = randomBytes(16);
  serial.writeUInt8((serial.readUInt8(0) & 0x3f) | 0x40, 0);
  return serial.toString('hex');
}

async function privateKeyPem(key: webcrypto.CryptoKey): Promise<string> {
  return pemText(x509.PemConverter.encode(await webcrypto.subtle.exportKey('pkcs8', key), 'PRIVATE KEY'));
}

function pemText(pem: string): string {
  return `${pem.trimEnd()}\n`;
}
