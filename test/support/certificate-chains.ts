/** Certificates of every kind that a verifier has to judge: intermediates, purposes, path lengths, dates, names that are reused. */
import 'reflect-metadata';
import { webcrypto } from 'node:crypto';
import * as x509 from '@peculiar/x509';
import { type KeyAndCertificate, validFor } from '../../certs/issuing.ts';

export { ExtendedKeyUsage, Extension, KeyUsageFlags, Name } from '@peculiar/x509';

const P256 = { name: 'ECDSA', namedCurve: 'P-256', hash: 'SHA-256' } as const;

/** A certificate that can sign others, if its extensions let it. */
export interface Issued extends KeyAndCertificate {
  readonly certificate: x509.X509Certificate;
  readonly keys: webcrypto.CryptoKeyPair;
}

export interface Wanted {
  readonly name: string;
  /** Goes before its name: `O=Example`, escaped as in RFC 2253. */
  readonly within?: string;
  /** Undefined: it signs itself. */
  readonly issuer?: Issued;
  /** Undefined: no basic constraints at all. */
  readonly ca?: boolean;
  readonly pathLength?: number;
  readonly keyUsage?: x509.KeyUsageFlags;
  /** Object identifiers of the extended key usage. */
  readonly purposes?: readonly string[];
  /** Whole days from now that it begins and ends. */
  readonly days?: readonly [from: number, to: number];
  readonly criticalUnknown?: boolean;
}

/** Makes one certificate with a fresh P-256 key. */
export async function certificate(wanted: Wanted): Promise<Issued> {
  const { name, within, issuer, ca, pathLength, keyUsage, purposes, days: [from, to] = [0, 1], criticalUnknown = false } = wanted;
  const keys = await webcrypto.subtle.generateKey(P256, true, ['sign', 'verify']);
  const now = Date.now();
  const subject = within === undefined ? `CN=${name}` : `${within}, CN=${name}`;
  const made = await x509.X509CertificateGenerator.create({
    subject,
    issuer: issuer?.certificate.subjectName ?? subject,
    publicKey: keys.publicKey,
    signingKey: (issuer?.keys ?? keys).privateKey,
    notBefore: validFor(0, now + from * 86_400_000).notBefore,
    notAfter: validFor(to, now).notAfter,
    signingAlgorithm: P256,
    extensions: [
      ...(ca === undefined ? [] : [new x509.BasicConstraintsExtension(ca, pathLength, true)]),
      ...(keyUsage === undefined ? [] : [new x509.KeyUsagesExtension(keyUsage, true)]),
      ...(purposes === undefined ? [] : [new x509.ExtendedKeyUsageExtension([...purposes])]),
      ...(criticalUnknown ? [new x509.Extension('1.2.3.4.5.6', true, new Uint8Array([5, 0]))] : []),
      await x509.SubjectKeyIdentifierExtension.create(keys.publicKey),
      await x509.AuthorityKeyIdentifierExtension.create((issuer?.keys ?? keys).publicKey),
    ],
  });
  return issued(made, keys);
}

/** What the certificate (PEM) says, word for word, with another key and without the signature of its issuer. */
export async function forgery(certPem: string): Promise<Issued> {
  const { serialNumber, subjectName, issuerName, notBefore, notAfter, extensions } = new x509.X509Certificate(certPem);
  const keys = await webcrypto.subtle.generateKey(P256, true, ['sign', 'verify']);
  const made = await x509.X509CertificateGenerator.create({
    ...{ serialNumber, subject: subjectName, issuer: issuerName, notBefore, notAfter, extensions: [...extensions] },
    publicKey: keys.publicKey,
    signingKey: keys.privateKey,
    signingAlgorithm: P256,
  });
  return issued(made, keys);
}

/** A root that may sign certificates and revocation lists. */
export function root(name: string, within?: string): Promise<Issued> {
  return certificate({
    name,
    ...(within === undefined ? {} : { within }),
    ca: true,
    keyUsage: x509.KeyUsageFlags.keyCertSign | x509.KeyUsageFlags.cRLSign,
  });
}

/** What a revocation list says besides whom it revokes. */
export interface WantedList {
  /** Whole days from now that it begins and ends. */
  readonly days?: readonly [from: number, to: number];
  /** Names the key of this CA as the one that has signed it. */
  readonly key?: Issued;
  /** Its issuer's name as it is written there; as in the issuer's certificate unless told. */
  readonly name?: x509.Name;
  readonly extensions?: readonly x509.Extension[];
  /** Of every entry. */
  readonly ofEntries?: readonly x509.Extension[];
}

/** A revocation list in the name of `issuer`, signed by `signer`. */
export async function revocationList(issuer: Issued, signer: Issued, revoked: readonly Issued[], wanted: WantedList = {}) {
  const { days: [from, to] = [0, 1], key, name, extensions = [], ofEntries = [] } = wanted;
  const now = Date.now();
  const list = await x509.X509CrlGenerator.create({
    issuer: name ?? issuer.certificate.subjectName,
    thisUpdate: validFor(0, now + from * 86_400_000).notBefore,
    nextUpdate: validFor(to, now).notAfter,
    entries: revoked.map(({ certificate: { serialNumber } }) => ({
      serialNumber,
      revocationDate: new Date(now),
      extensions: [...ofEntries],
    })),
    extensions: [...(key === undefined ? [] : [await x509.AuthorityKeyIdentifierExtension.create(key.keys.publicKey)]), ...extensions],
    signingAlgorithm: P256,
    signingKey: signer.keys.privateKey,
  });
  return pem('X509 CRL', list.rawData);
}

async function issued(made: x509.X509Certificate, keys: webcrypto.CryptoKeyPair): Promise<Issued> {
  const der = await webcrypto.subtle.exportKey('pkcs8', keys.privateKey);
  return { certificate: made, keys, certPem: pem('CERTIFICATE', made.rawData), keyPem: pem('PRIVATE KEY', der) };
}

function pem(label: string, der: ArrayBuffer): string {
  return `${x509.PemConverter.encode(der, label).trimEnd()}\n`;
}
