/** What Node.js does not show of a certificate: DER of its parts (RFC 5280, section 4.1). */
import type { X509Certificate } from 'node:crypto';
import { bitsOf, contentOf, DER_TAG, type DerValue, derValues, explicitTag, valuesIn } from '../domain/der.ts';

/** Names are whole values, `serial` and `key` what their values hold. */
export interface CertificateFields {
  readonly serial: Buffer;
  readonly issuer: Buffer;
  readonly subject: Buffer;
  /** The public key without its algorithm. */
  readonly key: Buffer;
  readonly extensions: readonly Extension[];
}

/** An extension of a certificate, of a revocation list or of an entry in one. */
export interface Extension {
  /** DER of the object identifier, hex. */
  readonly oid: string;
  readonly critical: boolean;
  readonly value: Buffer;
}

/** The parts of a certificate. @throws Error for one that has not all of them */
export function fieldsOf({ raw }: X509Certificate): CertificateFields {
  const fields = valuesIn(valuesIn(derValues(raw)[0])[0]).filter(({ tag }) => tag !== explicitTag(0));
  const [serial, , issuer, , subject, publicKey] = fields;
  if (issuer === undefined || subject === undefined) throw new Error('a certificate without names');
  return {
    serial: contentOf(serial, DER_TAG.integer),
    issuer: issuer.whole,
    subject: subject.whole,
    key: bitsOf(valuesIn(publicKey)[1]),
    extensions: extensionsIn(fields.find(({ tag }) => tag === explicitTag(3))),
  };
}

/** What `[n]` around a list of extensions holds; none where it is not there. @throws Error for damaged DER */
export function extensionsIn(tagged: DerValue | undefined): readonly Extension[] {
  return tagged === undefined ? [] : valuesIn(derValues(tagged.content)[0]).map(extension);
}

/** @throws Error for damaged DER */
export function extension(value: DerValue): Extension {
  const [oid, ...rest] = valuesIn(value);
  return {
    oid: contentOf(oid, DER_TAG.oid).toString('hex'),
    critical: rest.length > 1 && isTrue(rest[0]),
    value: contentOf(rest.at(-1), DER_TAG.octets),
  };
}

/** Whether a BOOLEAN, or what stands for one under a tag of its own, is true. */
export function isTrue(value: DerValue | undefined): boolean {
  return value !== undefined && value.content.length === 1 && value.content[0] !== 0;
}
