/**
 * Signatures that anybody can rewrite into others, without the key that made them, and OpenSSL takes those as well: of ECDSA and RSA-PSS.
 * The certificate is another one then by its bytes and its fingerprint, and the same by all that it says and whom it lets in.
 */
import { CURVE_ORDERS } from './curve-orders.ts';
import { bitsOf, contentOf, DER_TAG, derValues, valuesIn } from './der.ts';

/** Of 2^48 signatures one has numbers that are both so many bits shorter than the order of its curve. */
const MOST_BITS_SHORT = 24;
/** Of 2^48 signatures one begins with more bytes of zero. */
const MOST_ZERO_BYTES = 5;
/** DER of id-RSASSA-PSS (RFC 4055, section 3.1), hex. */
const RSA_PSS = '2a864886f70d01010a';

const ORDERS = Object.values(CURVE_ORDERS).map((order) => ({ order, bits: bitLength(order) }));

/**
 * The certificates that anybody can make of this one by rewriting its signature; from each of them this one comes back. All are DER,
 * as OpenSSL writes it. On which curve a signature is, its issuer's key says and not the certificate: so what it would be rewritten to on other
 * curves is among them, and good for nothing.
 */
export function rewrittenCertificates(der: Buffer): readonly Buffer[] {
  try {
    const [signed, algorithm, signature] = valuesIn(derValues(der)[0]);
    if (signed === undefined || algorithm === undefined) return [];
    const oid = contentOf(valuesIn(algorithm)[0], DER_TAG.oid).toString('hex');
    return rewrittenSignatures(bitsOf(signature), oid).map((rewritten) =>
      derOf(DER_TAG.sequence, signed.whole, algorithm.whole, derOf(DER_TAG.bits, Buffer.of(0), rewritten)),
    );
  } catch {
    // A signature of another kind is no DER; nor is what is no certificate.
    return [];
  }
}

function rewrittenSignatures(signature: Buffer, oid: string): readonly Buffer[] {
  return oid === RSA_PSS ? otherPaddings(signature) : otherPoints(signature);
}

/** RFC 8017, section 8.1.2, wants a signature as long as the modulus; OpenSSL takes one without the zeros that it begins with. */
function otherPaddings(signature: Buffer): readonly Buffer[] {
  const number = signature.subarray(signature.findIndex((byte) => byte !== 0));
  return Array.from({ length: MOST_ZERO_BYTES + 1 }, (_, zeros) => Buffer.concat([Buffer.alloc(zeros), number])).filter(
    (each) => each.length !== signature.length,
  );
}

/** Whoever verifies (r, s) of ECDSA looks at r, an x coordinate alone: (r, n - s) leads to the opposite point, which has the same one. */
function otherPoints(signature: Buffer): readonly Buffer[] {
  const [r, s, ...more] = valuesIn(derValues(signature)[0]).map((value) => contentOf(value, DER_TAG.integer));
  if (r === undefined || s === undefined || more.length > 0) return [];
  const [x, factor] = [unsigned(r), unsigned(s)];
  const fewestBits = Math.max(bitLength(x), bitLength(factor));
  const fitting = ORDERS.filter(({ order, bits }) => order > x && order > factor && bits - fewestBits <= MOST_BITS_SHORT);
  return fitting.map(({ order }) =>
    derOf(DER_TAG.sequence, derOf(DER_TAG.integer, r), derOf(DER_TAG.integer, integerBytes(order - factor))),
  );
}

function unsigned(bytes: Buffer): bigint {
  return BigInt(`0x${bytes.toString('hex')}`);
}

function bitLength(value: bigint): number {
  return value.toString(2).length;
}

/** The content of a DER INTEGER, which is signed: the fewest bytes that begin with a bit of zero. */
function integerBytes(value: bigint): Buffer {
  const digits = value.toString(16);
  const bytes = Buffer.from(digits.length % 2 === 0 ? digits : `0${digits}`, 'hex');
  return bytes.readUInt8(0) < 0x80 ? bytes : Buffer.concat([Buffer.of(0), bytes]);
}

function derOf(tag: number, ...parts: readonly Buffer[]): Buffer {
  const content = Buffer.concat(parts);
  if (content.length < 0x80) return Buffer.concat([Buffer.of(tag, content.length), content]);
  const length = unpadded(content.length);
  return Buffer.concat([Buffer.of(tag, 0x80 | length.length), length, content]);
}

function unpadded(length: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32BE(length);
  return bytes.subarray(bytes.findIndex((byte) => byte !== 0));
}
