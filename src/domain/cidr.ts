import { parseAddress } from './address.ts';

/** A network: the first `prefix` bits of an address. IPv4 stands as IPv4-mapped IPv6, so that both kinds compare alike. */
export interface Network {
  /** 128 bits. */
  readonly bits: bigint;
  /** 0 to 128. */
  readonly prefix: number;
}

/** Reads `10.0.0.0/8`, `2001:db8::/32`, or an address alone, which is a network of one. Bits after the prefix must be 0. */
export function parseCidr(text: string): Network | { readonly problem: string } {
  const problem = { problem: 'expected a network such as 10.0.0.0/8 or 2001:db8::/32' };
  const match = /^(?<host>[\da-f.:]+)(?:\/(?<length>\d{1,3}))?$/i.exec(text);
  const host = match?.groups?.['host'] ?? '';
  const bits = addressBits(host);
  if (bits === undefined) return problem;
  const isIpv4 = !host.includes(':');
  const most = isIpv4 ? 32 : 128;
  const length = Number(match?.groups?.['length'] ?? most);
  if (length > most) return problem;
  const prefix = isIpv4 ? 96 + length : length;
  if (prefixOf(bits, prefix) !== bits) return { problem: `the bits after /${length} are not 0; expected the first address of the network` };
  return { bits, prefix };
}

const IPV4_MAPPED = 0xffff_0000_0000;
const [DOT, ZERO] = [0x2e, 0x30];

/** The 128 bits of an IP address, IPv4 as IPv4-mapped IPv6; undefined when the text is none. A zone (`%eth0`) is not looked at. */
export function addressBits(text: string): bigint | undefined {
  // The common case, and one that a flood of connections has again and again.
  const plainIpv4 = ipv4Number(text);
  if (plainIpv4 !== undefined) return BigInt(IPV4_MAPPED + plainIpv4);
  const host = text.replace(/%.*$/, '');
  const isIpv6 = host.includes(':');
  const parsed = parseAddress(isIpv6 ? `[${host}]:1` : `${host}:1`);
  if ('problem' in parsed) return undefined;
  if (!isIpv6) return /^[\d.]+$/.test(host) ? (0xffffn << 32n) | ipv4Bits(host) : undefined;
  const plain = host.replace(/(?<=:)\d+\.[\d.]+$/, (tail) => {
    const bits = ipv4Bits(tail);
    return `${(bits >> 16n).toString(16)}:${(bits & 0xffffn).toString(16)}`;
  });
  const [head = '', tail] = plain.split('::');
  const groupsOf = (half: string | undefined) => (half === undefined || half === '' ? [] : half.split(':'));
  const [first, last] = [groupsOf(head), groupsOf(tail)];
  const groups = [...first, ...Array<string>(8 - first.length - last.length).fill('0'), ...last];
  return groups.reduce((bits, group) => (bits << 16n) | BigInt(Number.parseInt(group, 16)), 0n);
}

/** The 32 bits of four decimal numbers without leading zeros, as the system writes them; undefined: the text is something else. */
function ipv4Number(text: string): number | undefined {
  let [bits, part, dots, partAt] = [0, 0, 0, 0];
  for (let at = 0; at < text.length; at++) {
    const code = text.charCodeAt(at);
    if (code === DOT) {
      if (at === partAt) return undefined;
      bits = bits * 256 + part;
      part = 0;
      dots++;
      partAt = at + 1;
      continue;
    }
    const digit = code - ZERO;
    if (digit < 0 || digit > 9 || (part === 0 && at > partAt)) return undefined;
    part = part * 10 + digit;
    if (part > 255) return undefined;
  }
  return dots === 3 && text.length > partAt ? bits * 256 + part : undefined;
}

/** The network of this length that the address of these bits is in. */
export function networkAround(address: bigint, prefix: number): Network {
  return { bits: prefixOf(address, prefix), prefix };
}

/** Whether the address of these bits is in the network. */
export function contains({ bits, prefix }: Network, address: bigint): boolean {
  return prefixOf(address, prefix) === bits;
}

function prefixOf(bits: bigint, prefix: number): bigint {
  const rest = BigInt(128 - prefix);
  return (bits >> rest) << rest;
}

function ipv4Bits(text: string): bigint {
  return text.split('.').reduce((bits, part) => (bits << 8n) | BigInt(part), 0n);
}

/** The address of these bits as text, in the form of RFC 5952; IPv4-mapped IPv6 is written as the IPv4 address that it is. */
export function addressText(bits: bigint): string {
  if (bits >> 32n === 0xffffn) return [24n, 16n, 8n, 0n].map((shift) => (bits >> shift) & 0xffn).join('.');
  const groups = Array.from({ length: 8 }, (_, index) => ((bits >> BigInt(112 - 16 * index)) & 0xffffn).toString(16)).join(':');
  // The longest run of zeros, the first of several, and never a single one.
  const runs = [...groups.matchAll(/(?<![^:])0(?::0(?![^:]))+/g)];
  const longest = runs.toSorted(([a], [b]) => b.length - a.length)[0];
  if (longest === undefined) return groups;
  const [head, tail] = [groups.slice(0, longest.index), groups.slice(longest.index + longest[0].length)];
  return `${head.replace(/:$/, '')}::${tail.replace(/^:/, '')}`;
}
