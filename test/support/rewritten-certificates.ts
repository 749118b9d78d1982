/** Certificates with other signatures: rewritten by one who has no key, and made by one who has another. */
import { X509Certificate } from 'node:crypto';
import type { KeyAndCertificate } from '../../certs/issuing.ts';
import { DER_TAG, derValues, valuesIn } from '../../src/domain/der.ts';

/** Of P-256 (FIPS 186-5), on which test CAs have their keys. */
const ORDER = 0xffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551n;
const ECDSA_WITH_SHA256 = Buffer.from('300a06082a8648ce3d040302', 'hex');

/** The same certificate with s of its ECDSA signature rewritten to n - s; with the same key. */
export function twinOf({ certPem, keyPem }: KeyAndCertificate): KeyAndCertificate {
  const { raw } = new X509Certificate(certPem);
  const [signed, algorithm, signature] = valuesIn(derValues(raw)[0]).map(({ whole, content }) => ({ whole, content }));
  if (signed === undefined || algorithm === undefined || signature === undefined) throw new Error('not a certificate');
  const [r, s] = valuesIn(derValues(signature.content.subarray(1))[0]);
  if (r === undefined || s === undefined) throw new Error('not a signature of ECDSA');
  const other = integer(ORDER - BigInt(`0x${s.content.toString('hex')}`));
  return { certPem: pemOf(certificateOf(signed.whole, algorithm.whole, der(DER_TAG.sequence, r.whole, other))), keyPem };
}

/** How a certificate is signed: AlgorithmIdentifier in DER. */
export interface Signer {
  readonly algorithm?: Buffer;
  readonly signed: (bytes: Buffer) => Buffer;
  /** SubjectPublicKeyInfo in DER, in place of the key that the certificate is for. */
  readonly publicKey?: Buffer;
}

/** The certificate (DER) as another signer would have made it; ECDSA with SHA-256 unless told. */
export function signedBy({ algorithm = ECDSA_WITH_SHA256, signed, publicKey }: Signer, certPem: string): Buffer {
  const [toSign] = valuesIn(derValues(new X509Certificate(certPem).raw)[0]);
  // Version, serial number, algorithm, issuer, validity, subject, key, extensions.
  const fields = valuesIn(toSign).map(({ whole }, index) => (index === 2 ? algorithm : index === 6 ? (publicKey ?? whole) : whole));
  const body = der(DER_TAG.sequence, ...fields);
  return certificateOf(body, algorithm, signed(body));
}

export function certificateOf(signed: Buffer, algorithm: Buffer, signature: Buffer): Buffer {
  return der(DER_TAG.sequence, signed, algorithm, der(DER_TAG.bits, Buffer.of(0), signature));
}

export function pemOf(certificate: Buffer): string {
  return new X509Certificate(certificate).toString();
}

/** A DER INTEGER that is not negative. */
export function integer(value: bigint): Buffer {
  const hex = value.toString(16);
  const even = hex.length % 2 === 0 ? hex : `0${hex}`;
  return der(DER_TAG.integer, Buffer.from(/^[89a-f]/.test(even) ? `00${even}` : even, 'hex'));
}

export function der(tag: number, ...parts: readonly Buffer[]): Buffer {
  const content = Buffer.concat(parts);
  const { length } = content;
  const size = length < 0x80 ? [length] : length < 0x100 ? [0x81, length] : [0x82, length >> 8, length & 0xff];
  return Buffer.concat([Buffer.of(tag, ...size), content]);
}
