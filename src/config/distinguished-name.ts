/** Names of X.509 as OpenSSL reads them. Node.js shows and compares those of certificates alone: so a name is put into one. */
import { X509Certificate } from 'node:crypto';
import { DER_TAG } from '../domain/der.ts';

export interface DistinguishedName {
  readonly der: Buffer;
  /** A certificate that is good for nothing else: the name is its subject and its issuer. */
  readonly holder: X509Certificate;
}

/** The name in this DER. @throws Error for one that OpenSSL does not read */
export function readName(der: Buffer): DistinguishedName {
  const signed = derValue(DER_TAG.sequence, SERIAL, ALGORITHM, der, VALIDITY, der, KEY);
  return { der, holder: new X509Certificate(derValue(DER_TAG.sequence, signed, ALGORITHM, NO_SIGNATURE)) };
}

/**
 * Whether they are one name to OpenSSL, which goes by RFC 5280, section 7.1: ASCII letters of either case are the same, white space around
 * values counts for nothing and within them as one blank, and in which of its string types a value is written makes no difference.
 */
export function isSameName(one: DistinguishedName, other: DistinguishedName): boolean {
  return one.der.equals(other.der) || one.holder.checkIssued(other.holder);
}

function derValue(tag: number, ...parts: readonly Uint8Array[]): Buffer {
  const content = Buffer.concat(parts);
  const length = Buffer.alloc(4);
  length.writeUInt32BE(content.length);
  // Short enough for a byte, or with as many as four behind their number.
  return Buffer.concat([content.length < 0x80 ? Buffer.of(tag, content.length) : Buffer.concat([Buffer.of(tag, 0x84), length]), content]);
}

const SERIAL = derValue(DER_TAG.integer, Buffer.of(1));
const ED25519 = Buffer.of(0x2b, 0x65, 0x70);
const ALGORITHM = derValue(DER_TAG.sequence, derValue(DER_TAG.oid, ED25519));
const TIME = derValue(DER_TAG.shortTime, Buffer.from('000101000000Z'));
const VALIDITY = derValue(DER_TAG.sequence, TIME, TIME);
/** Their first byte: no bits of the last one are left over. */
const KEY = derValue(DER_TAG.sequence, ALGORITHM, derValue(DER_TAG.bits, Buffer.alloc(1 + 32)));
const NO_SIGNATURE = derValue(DER_TAG.bits, Buffer.of(0));
