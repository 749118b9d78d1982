/**
 * The PROXY protocol, versions 1 and 2, both ways (HAProxy's proxy-protocol.txt): bytes that go before everything else on a
 * connection and say whose it is. Reading takes what has arrived so far, however it was split, and never looks past it.
 */
import { addressBits, addressText } from './cidr.ts';
import { crc32c } from './crc32c.ts';
import type { Address, ProxyProtocolVersion } from './model.ts';

/** The two ends of the connection that a proxy speaks for; hosts are IP addresses without brackets. */
export interface ProxiedEnds {
  readonly source: Address;
  readonly destination: Address;
}

/** An extension of version 2. */
export interface Tlv {
  /** 0 to 255. */
  readonly type: number;
  readonly value: Uint8Array;
}

/** Types of {@link Tlv}, as proxy-protocol.txt numbers them. */
export const TLV = {
  alpn: 0x01,
  authority: 0x02,
  crc32c: 0x03,
  uniqueId: 0x05,
  ssl: 0x20,
  sslVersion: 0x21,
  sslCommonName: 0x22,
  sslCipher: 0x23,
} as const;

export interface ProxyHeader {
  /** undefined: the connection is the proxy's own (LOCAL, UNKNOWN, UNSPEC), or of a kind that has no IP addresses. */
  readonly ends: ProxiedEnds | undefined;
  readonly tlvs: readonly Tlv[];
}

/** What the first bytes of a connection are: not enough yet, a whole header of `length` bytes, or none and why. */
export type ReadHeader =
  | { readonly state: 'more' }
  | { readonly state: 'whole'; readonly length: number; readonly header: ProxyHeader }
  | { readonly state: 'invalid'; readonly problem: string };

/** The longest line of version 1, its CR LF included. */
const LONGEST_V1 = 107;
/** The longest header of version 2 that is read, its 16 bytes before the addresses included. The format would allow 64 KiB. */
export const LONGEST_V2 = 4096;
const V1_BEGINS = ascii('PROXY ');
const V2_BEGINS = Uint8Array.of(0x0d, 0x0a, 0x0d, 0x0a, 0x00, 0x0d, 0x0a, 0x51, 0x55, 0x49, 0x54, 0x0a);
const V2_HEAD = 16;

const MORE: ReadHeader = { state: 'more' };
const NO_ENDS = { ends: undefined, tlvs: [] } as const;

/** Reads a header from the beginning of what has arrived. Never throws. */
export function readProxyHeader(bytes: Uint8Array): ReadHeader {
  if (bytes.length === 0) return MORE;
  if (beginsAs(bytes, V2_BEGINS)) return readV2(bytes);
  if (beginsAs(bytes, V1_BEGINS)) return readV1(bytes);
  return invalid(`it begins with ${hex(bytes.subarray(0, 4))}, which neither version does`);
}

/** Whether this begins as a header does; `part`: it may still come to that. */
export function signatureIn(bytes: Uint8Array): 'none' | 'part' | 'whole' {
  const begun = [V1_BEGINS, V2_BEGINS].find((signature) => beginsAs(bytes, signature));
  if (begun === undefined) return 'none';
  return bytes.length < begun.length ? 'part' : 'whole';
}

function readV1(bytes: Uint8Array): ReadHeader {
  const seen = bytes.subarray(0, LONGEST_V1);
  const end = seen.findIndex((byte) => byte < 0x20 || byte > 0x7e);
  if (end < 0) return seen.length < LONGEST_V1 ? MORE : invalid(`version 1: no end of line within ${LONGEST_V1} bytes`);
  if (seen[end] !== 0x0d) return invalid('version 1: a character that does not belong into its line');
  if (seen.length === end + 1) return end + 1 < LONGEST_V1 ? MORE : invalid(`version 1: no end of line within ${LONGEST_V1} bytes`);
  if (seen[end + 1] !== 0x0a) return invalid('version 1: a CR without its LF');
  const ends = endsOfV1(String.fromCharCode(...seen.subarray(V1_BEGINS.length, end)));
  if (ends === 'invalid') return invalid('version 1: expected TCP4 or TCP6, two addresses of that kind, and two ports; or UNKNOWN');
  return { state: 'whole', length: end + 2, header: { ends, tlvs: [] } };
}

function endsOfV1(text: string): ProxiedEnds | undefined | 'invalid' {
  // What follows UNKNOWN is not to be looked at.
  if (text === 'UNKNOWN' || text.startsWith('UNKNOWN ')) return undefined;
  const [family, from = '', to = '', fromPort = '', toPort = '', ...more] = text.split(' ');
  const fits = family === 'TCP4' ? isIpv4 : family === 'TCP6' ? isIpv6 : () => false;
  const ports = [fromPort, toPort].map((port) => (/^(?:0|[1-9]\d{0,4})$/.test(port) && Number(port) <= 65_535 ? Number(port) : undefined));
  const [sourcePort, destinationPort] = ports;
  if (more.length > 0 || !fits(from) || !fits(to) || sourcePort === undefined || destinationPort === undefined) return 'invalid';
  return { source: { host: canonical(from), port: sourcePort }, destination: { host: canonical(to), port: destinationPort } };
}

function readV2(bytes: Uint8Array): ReadHeader {
  const [versionAndCommand, familyAndProtocol] = [bytes[12], bytes[13]];
  if (versionAndCommand !== undefined && versionAndCommand !== 0x20 && versionAndCommand !== 0x21)
    return invalid(`version 2: ${hex(Uint8Array.of(versionAndCommand))} is neither PROXY nor LOCAL of this version`);
  if (bytes.length < V2_HEAD) return MORE;
  const size = bytesToNumber(bytes.subarray(14, 16));
  const length = V2_HEAD + size;
  if (length > LONGEST_V2) return invalid(`version 2: ${length} bytes are more than the ${LONGEST_V2} that are read`);
  const isLocal = versionAndCommand === 0x20;
  const width = isLocal || familyAndProtocol === 0 ? 0 : ADDRESSES_WIDTH.get(familyAndProtocol ?? 0);
  if (width === undefined) return invalid(`version 2: ${hex(bytes.subarray(13, 14))} is not a TCP connection`);
  if (size < width) return invalid(`version 2: ${size} bytes are too few for its addresses`);
  if (bytes.length < length) return MORE;
  const whole = bytes.subarray(0, length);
  // What a LOCAL header holds is to be skipped.
  if (isLocal) return { state: 'whole', length, header: NO_ENDS };
  const tlvs = readTlvs(whole.subarray(V2_HEAD + width));
  if (tlvs === undefined) return invalid('version 2: an extension is longer than the header');
  if (!checksumHolds(whole, V2_HEAD + width, tlvs)) return invalid('version 2: the checksum does not fit');
  return { state: 'whole', length, header: { ends: endsOfV2(whole.subarray(V2_HEAD, V2_HEAD + width)), tlvs } };
}

/** Family and protocol -> how many bytes its addresses take: TCP over IPv4, TCP over IPv6, and stream sockets of one machine. */
const ADDRESSES_WIDTH: ReadonlyMap<number, number> = new Map([
  [0x11, 12],
  [0x21, 36],
  [0x31, 216],
]);

function endsOfV2(block: Uint8Array): ProxiedEnds | undefined {
  const width = block.length === 12 ? 4 : block.length === 36 ? 16 : undefined;
  if (width === undefined) return undefined;
  const hostAt = (at: number) => hostOf(block.subarray(at, at + width));
  const portAt = (at: number) => bytesToNumber(block.subarray(at, at + 2));
  return {
    source: { host: hostAt(0), port: portAt(2 * width) },
    destination: { host: hostAt(width), port: portAt(2 * width + 2) },
  };
}

/** undefined: one reaches past the end. */
function readTlvs(bytes: Uint8Array): readonly Tlv[] | undefined {
  const tlvs: Tlv[] = [];
  for (let at = 0; at < bytes.length; ) {
    if (at + 3 > bytes.length) return undefined;
    const next = at + 3 + bytesToNumber(bytes.subarray(at + 1, at + 3));
    if (next > bytes.length) return undefined;
    tlvs.push({ type: bytes[at] ?? 0, value: bytes.slice(at + 3, next) });
    at = next;
  }
  return tlvs;
}

/** A header without a checksum is well formed. The sum is over the header with zeros in place of the sum. */
function checksumHolds(whole: Uint8Array, tlvsAt: number, tlvs: readonly Tlv[]): boolean {
  let at = tlvsAt;
  for (const { type, value } of tlvs) {
    if (type === TLV.crc32c) {
      const blank = whole.slice();
      blank.fill(0, at + 3, at + 3 + value.length);
      if (value.length !== 4 || bytesToNumber(value) !== crc32c(blank)) return false;
    }
    at += 3 + value.length;
  }
  return true;
}

/** The header of a connection of the balancer's own, such as a health check: it speaks for nobody. */
export function localHeader(version: ProxyProtocolVersion): Uint8Array {
  return version === 'v1' ? ascii('PROXY UNKNOWN\r\n') : Uint8Array.of(...V2_BEGINS, 0x20, 0x00, 0x00, 0x00);
}

/** The line of version 1. Ends of different families are both written as IPv6. */
export function proxyHeaderV1({ source, destination }: ProxiedEnds): Uint8Array {
  const both4 = isIpv4(canonical(source.host)) && isIpv4(canonical(destination.host));
  const write = (host: string) => (both4 ? canonical(host) : asIpv6(host));
  return ascii(`PROXY ${both4 ? 'TCP4' : 'TCP6'} ${write(source.host)} ${write(destination.host)} ${source.port} ${destination.port}\r\n`);
}

/** The header of version 2 with these extensions, which must leave it shorter than 64 KiB. */
export function proxyHeaderV2({ source, destination }: ProxiedEnds, tlvs: readonly Tlv[]): Uint8Array {
  const both4 = isIpv4(canonical(source.host)) && isIpv4(canonical(destination.host));
  const width = both4 ? 4 : 16;
  const body = Uint8Array.of(
    ...hostBytes(source.host, width),
    ...hostBytes(destination.host, width),
    ...numberToBytes(source.port),
    ...numberToBytes(destination.port),
    ...tlvs.flatMap((tlv) => [...tlvBytes(tlv)]),
  );
  return Uint8Array.of(...V2_BEGINS, 0x21, both4 ? 0x11 : 0x21, ...numberToBytes(body.length), ...body);
}

/** What is told of a client's TLS. */
export interface ClientTls {
  /** `TLSv1.3` */
  readonly version: string;
  readonly cipher: string;
  /** undefined: its certificate has none. */
  readonly commonName: string | undefined;
}

/** PP2_CLIENT_SSL, PP2_CLIENT_CERT_CONN and PP2_CLIENT_CERT_SESS. */
const CLIENT_PRESENTED_CERTIFICATE = 0x01 | 0x02 | 0x04;

/** PP2_TYPE_SSL of a client whose certificate was presented on this connection and verified. */
export function clientTlsTlv({ version, cipher, commonName }: ClientTls): Tlv {
  const verified = [0, 0, 0, 0];
  const parts = [
    textTlv(TLV.sslVersion, version),
    ...(commonName === undefined ? [] : [textTlv(TLV.sslCommonName, commonName)]),
    textTlv(TLV.sslCipher, cipher),
  ];
  return { type: TLV.ssl, value: Uint8Array.of(CLIENT_PRESENTED_CERTIFICATE, ...verified, ...parts.flatMap((tlv) => [...tlvBytes(tlv)])) };
}

/** An extension that holds a text, as UTF-8. */
export function textTlv(type: number, text: string): Tlv {
  return { type, value: new TextEncoder().encode(text) };
}

function tlvBytes({ type, value }: Tlv): Uint8Array {
  return Uint8Array.of(type, ...numberToBytes(value.length), ...value);
}

function invalid(problem: string): ReadHeader {
  return { state: 'invalid', problem };
}

/** As far as either goes. */
function beginsAs(bytes: Uint8Array, start: Uint8Array): boolean {
  return start.every((byte, index) => index >= bytes.length || bytes[index] === byte);
}

const isIpv4 = (host: string): boolean => !host.includes(':') && addressBits(host) !== undefined;
const isIpv6 = (host: string): boolean => host.includes(':') && !host.includes('%') && addressBits(host) !== undefined;

/** One text for one address: IPv4-mapped IPv6 is IPv4. */
function canonical(host: string): string {
  const bits = addressBits(host);
  return bits === undefined ? host : addressText(bits);
}

function asIpv6(host: string): string {
  const text = canonical(host);
  return isIpv4(text) ? `::ffff:${text}` : text;
}

const IPV4_MAPPED = 0xffffn << 32n;

function hostOf(bytes: Uint8Array): string {
  const bits = bytes.reduce((sum, byte) => (sum << 8n) | BigInt(byte), 0n);
  return addressText(bytes.length === 4 ? IPV4_MAPPED | bits : bits);
}

function hostBytes(host: string, width: number): number[] {
  const bits = addressBits(host) ?? 0n;
  return Array.from({ length: width }, (_, index) => Number((bits >> BigInt(8 * (width - 1 - index))) & 0xffn));
}

function bytesToNumber(bytes: Uint8Array): number {
  return bytes.reduce((sum, byte) => sum * 256 + byte, 0);
}

const numberToBytes = (value: number): [number, number] => [value >> 8, value & 0xff];

function ascii(text: string): Uint8Array {
  return new TextEncoder().encode(text);
}

function hex(bytes: Uint8Array): string {
  return [...bytes].map((byte) => byte.toString(16).padStart(2, '0')).join(' ');
}
