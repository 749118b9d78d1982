/** Reads DER (X.690) as far as what X.509 signs goes: definite lengths, and tags below 31. */

/** One value: its tag byte, what it holds, and the bytes of the whole. */
export interface DerValue {
  readonly tag: number;
  readonly content: Buffer;
  readonly whole: Buffer;
}

export const DER_TAG = {
  integer: 0x02,
  bits: 0x03,
  octets: 0x04,
  oid: 0x06,
  enumerated: 0x0a,
  shortTime: 0x17,
  time: 0x18,
  sequence: 0x30,
} as const;

/** The tag of `[n]` around another value. */
export function explicitTag(n: number): number {
  return 0xa0 | n;
}

/** The values that stand one after the other in these bytes. @throws Error for bytes that are not DER */
export function derValues(bytes: Buffer): readonly DerValue[] {
  const values: DerValue[] = [];
  for (let at = 0; at < bytes.length; ) {
    const value = valueAt(bytes, at);
    values.push(value);
    at += value.whole.length;
  }
  return values;
}

/** How many values that is, without making them: there may be hundreds of thousands. @throws Error as derValues does */
export function derCount(bytes: Buffer): number {
  let count = 0;
  for (let at = 0; at < bytes.length; at = boundsAt(bytes, at).end) count++;
  return count;
}

/** What a sequence, or `[n]`, holds. @throws Error when it has another tag, or holds no DER */
export function valuesIn(value: DerValue | undefined, tag: number = DER_TAG.sequence): readonly DerValue[] {
  return derValues(contentOf(value, tag));
}

/** @throws Error when it is not there, or has another tag */
export function contentOf(value: DerValue | undefined, tag: number): Buffer {
  if (value?.tag !== tag) throw new Error(`expected tag ${tag} and found ${value?.tag ?? 'the end'}`);
  return value.content;
}

/** The bytes of a bit string of whole bytes. @throws Error */
export function bitsOf(value: DerValue | undefined): Buffer {
  const content = contentOf(value, DER_TAG.bits);
  if (content[0] !== 0) throw new Error('expected whole bytes');
  return content.subarray(1);
}

/** GeneralizedTime as RFC 5280, section 4.1.2.5.2, has it: whole seconds of UTC. @throws Error */
export function timeOf(value: DerValue | undefined): Date {
  return dateIn(contentOf(value, DER_TAG.time).toString('latin1'));
}

/** Time of a certificate or a revocation list (RFC 5280, section 4.1.2.5): UTCTime until 2049, GeneralizedTime from then on. @throws Error */
export function eitherTimeOf(value: DerValue | undefined): Date {
  if (value?.tag !== DER_TAG.shortTime) return timeOf(value);
  const text = value.content.toString('latin1');
  return dateIn(`${text < '5' ? '20' : '19'}${text}`);
}

function dateIn(text: string): Date {
  const match = /^(\d{4})(\d\d)(\d\d)(\d\d)(\d\d)(\d\d)Z$/.exec(text);
  const date = new Date(match === null ? Number.NaN : `${match[1]}-${match[2]}-${match[3]}T${match[4]}:${match[5]}:${match[6]}Z`);
  if (Number.isNaN(date.getTime())) throw new Error('expected a time as YYYYMMDDhhmmssZ');
  return date;
}

function valueAt(bytes: Buffer, at: number): DerValue {
  const { tag, begin, end } = boundsAt(bytes, at);
  return { tag, content: bytes.subarray(begin, end), whole: bytes.subarray(at, end) };
}

/** Of the value that stands there: its tag byte, and where what it holds begins and ends. */
function boundsAt(bytes: Buffer, at: number): { readonly tag: number; readonly begin: number; readonly end: number } {
  const [tag, first] = [bytes[at], bytes[at + 1]];
  if (tag === undefined || first === undefined || (tag & 0x1f) === 0x1f) throw new Error('damaged');
  const more = first < 0x80 ? 0 : first & 0x7f;
  const begin = at + 2 + more;
  // 0x80 has no length of its own, which DER forbids; four bytes are more than a file that is read may hold.
  if (first === 0x80 || more > 4 || begin > bytes.length) throw new Error('damaged');
  const length = more === 0 ? first : bytes.readUIntBE(at + 2, more);
  const end = begin + length;
  if (end > bytes.length) throw new Error('it ends too early');
  return { tag, begin, end };
}
