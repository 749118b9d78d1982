import type { Address } from './model.ts';

const HOST_NAME = /^(?=.{1,253}$)[a-z\d_](?:[a-z\d_-]{0,61}[a-z\d])?(?:\.[a-z\d_](?:[a-z\d_-]{0,61}[a-z\d])?)*\.?$/i;
const IPV4_SHAPE = /^[\d.]+$/;
const IPV4 = /^(?:(?:25[0-5]|2[0-4]\d|1\d\d|[1-9]?\d)(?:\.(?!$)|$)){4}$/;

/**
 * Reads `host:port`; IPv6 hosts stand in brackets. Port 0 is accepted only where `allowPortZero` says so (a listener that
 * lets the system choose).
 */
export function parseAddress(text: string, options: { readonly allowPortZero?: boolean } = {}): Address | { readonly problem: string } {
  const expected = 'expected host:port, for example 127.0.0.1:8081 or [::1]:8081';
  const problem = (why: string) => ({ problem: `${JSON.stringify(text.slice(0, 100))} ${why}; ${expected}` });
  const match = /^(?:\[(?<v6>[^\]]*)\]|(?<name>[^:[\]]*)):(?<port>\d{1,5})$/.exec(text);
  if (match?.groups === undefined) return problem('is not an address');
  const port = Number(match.groups['port']);
  if (port > 65535 || (port === 0 && options.allowPortZero !== true)) return problem('has a port outside 1 to 65535');
  const { v6, name } = match.groups;
  if (v6 !== undefined) return isIpv6(v6) ? { host: v6.toLowerCase(), port } : problem('has no IPv6 address between the brackets');
  if (name === undefined || name === '') return problem('has no host');
  if (IPV4_SHAPE.test(name)) return IPV4.test(name) ? { host: name, port } : problem('has no IPv4 address before the port');
  return HOST_NAME.test(name) ? { host: name.toLowerCase(), port } : problem('has no host name before the port');
}

/** What a certificate can be for: a host name (lower case, no dot at its end) or an IP address without brackets; undefined: `text` is neither. */
export function parseHost(text: string): string | undefined {
  const address = parseAddress(text.includes(':') ? `[${text}]:1` : `${text}:1`);
  return 'problem' in address ? undefined : address.host.replace(/\.$/, '');
}

function isIpv6(text: string): boolean {
  // An IPv4 address at the end stands for the last two groups.
  const plain = text.replace(/(?<=:)[\d.]+$/, (tail) => (IPV4.test(tail) ? '0:0' : tail));
  const halves = plain.split('::');
  if (halves.length > 2) return false;
  const groups = halves.flatMap((half) => (half === '' ? [] : half.split(':')));
  if (!groups.every((group) => /^[\da-f]{1,4}$/i.test(group))) return false;
  return halves.length === 2 ? groups.length <= 7 : groups.length === 8;
}
