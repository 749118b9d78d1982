/** The kinds of text that a config key can have. Each says in words what it expects, and reads the text into the domain's form. */

import { z } from 'zod';
import { parseAddress, parseHost } from '../../domain/address.ts';
import { parseCidr } from '../../domain/cidr.ts';
import { isFingerprint, plainFingerprint } from '../../domain/fingerprint.ts';
import { type Address, formatAddress } from '../../domain/model.ts';
import { hasWildcard, parseUriPattern } from '../../domain/uri-pattern.ts';
import { SUITE_NAMES, suiteName } from '../ciphers.ts';
import { found } from '../problems.ts';
import { expecting, isRefused, measured, parsed, type Refused } from './fields.ts';

/** Inclusive. */
export interface StatusRange {
  readonly from: number;
  readonly to: number;
}

/** A name as the domain accepts it. */
export function name(what: string) {
  const range = '1 to 253 letters, digits and . _ - : / @ *';
  const read = (text: string) => (/^[\w.:/@*-]{1,253}$/.test(text) ? text : { problem: '' });
  return measured(parsed<string>(`${what}: ${range}`, read), 'name', range);
}

/** Text of 1 to `max` characters without control characters. */
export function plainText(expected: string, max = 1000) {
  const read = (text: string) => (text !== '' && text.length <= max && !/\p{Cc}/u.test(text) ? text : { problem: '' });
  return measured(parsed<string>(expected, read), 'text', `1 to ${max} characters, no control characters`);
}

/** Text of `min` to 4,096 characters; line ends and other control characters may stand in it. */
export function probeText(min = 0) {
  const params = expecting(`text of ${min} to 4096 characters`);
  return measured(z.string(params).min(min, params).max(4096, params), 'text', `${min} to 4096 characters`);
}

export function filePath(what: string) {
  return measured(plainText(`the path of ${what}`, 4096), 'path', '1 to 4096 characters, no control characters');
}

/** `host:port` where something listens; port 0 lets the system choose. */
export function listenAddress() {
  const read = (text: string) => withoutRepeating(parseAddress(text, { allowPortZero: true }));
  return measured(parsed<Address>('host:port to listen on, such as "0.0.0.0:8080"', read), 'host:port', 'ports 0 to 65535');
}

/** `host:port` of an upstream server, in the domain's spelling. */
export function serverAddress() {
  const read = (text: string) => {
    const address = withoutRepeating(parseAddress(text));
    return isRefused(address) ? address : formatAddress(address);
  };
  return measured(parsed<string>('host:port of an upstream server, such as "127.0.0.1:8081"', read), 'host:port', 'ports 1 to 65535');
}

/** SHA-256 of a certificate: hex digits, with or without colons. */
export function fingerprint() {
  const range = '64 hex digits in quotes, colons allowed';
  const read = (text: string) => {
    const digits = plainFingerprint(text);
    return isFingerprint(digits) ? digits : { problem: '' };
  };
  return measured(parsed<string>(`the SHA-256 fingerprint of a certificate: ${range}`, read), 'SHA-256', range);
}

/** A network in CIDR notation, or an address alone. */
export function network() {
  const read = (text: string) => {
    const cidr = parseCidr(text);
    return 'problem' in cidr ? { problem: cidr.problem.startsWith('expected') ? '' : cidr.problem } : text.toLowerCase();
  };
  return measured(parsed<string>('a network such as "10.0.0.0/8" or "2001:db8::/32"', read), 'CIDR', 'IPv4 to /32, IPv6 to /128');
}

/** A URI of a certificate; with a star in it, a pattern. */
export function uriOrPattern() {
  const read = (text: string) => {
    if (text === '' || text.length > 1000 || /\p{Cc}/u.test(text)) return { problem: '' };
    const pattern = hasWildcard(text) ? parseUriPattern(text) : undefined;
    return pattern !== undefined && 'problem' in pattern ? pattern : text;
  };
  return measured(parsed<string>('a URI of a certificate', read), 'text', '1 to 1000 characters, no control characters');
}

/** A moment in ISO 8601, in milliseconds since 1970. */
export function moment() {
  const read = (text: string) => {
    const atMs = /^\d{4}-\d\d-\d\dT/.test(text) ? Date.parse(text) : Number.NaN;
    return Number.isNaN(atMs) || atMs < 0 ? { problem: '' } : atMs;
  };
  return measured(parsed<number>('a moment such as "2026-01-31T12:00:00Z"', read), 'ISO 8601', '1970 to 9999');
}

/** A server name as clients send it; `*.` in front stands for one label. */
export function serverName() {
  const read = (text: string) => {
    const host = parseAddress(`${text.replace(/^\*\./, '')}:1`);
    return isRefused(host) || /^[\d.]+$/.test(text) || text.startsWith('[') ? { problem: '' } : text.toLowerCase().replace(/\.$/, '');
  };
  const expected = 'a host name such as "db.example.com" or "*.example.com"';
  return measured(parsed<string>(expected, read), 'host name', 'no IP address; *. in front allowed');
}

/** One host name, not an address. */
export function hostName() {
  const read = (text: string) => {
    const host = parseAddress(`${text}:1`);
    return isRefused(host) || /^[\d.]+$/.test(text) || text.startsWith('[') ? { problem: '' } : host.host.replace(/\.$/, '');
  };
  return measured(parsed<string>('a host name such as "lb.example.com"', read), 'host name', 'no IP address');
}

/** One host name, or an IP address. */
export function host() {
  const read = (text: string) => parseHost(text) ?? { problem: '' };
  const expected = 'a host name such as "db.example.com", or an IP address';
  return measured(parsed<string>(expected, read), 'host', 'host name without *, or IP address');
}

/** Path of an HTTP request; it goes into the request line as it is. */
export function requestPath() {
  const read = (text: string) => (/^\/[\x21-\x7e]{0,2047}$/.test(text) ? text : { problem: '' });
  const expected = 'a path that begins with / and has no blanks';
  return measured(parsed<string>(expected, read), 'URL path', '1 to 2048 printable characters, / first, no blanks');
}

/** Value of a Host header; it goes into the header as it is. */
export function hostHeader() {
  const read = (text: string) => (/^[\x21-\x7e]{1,255}$/.test(text) ? text : { problem: '' });
  return measured(parsed<string>('a host name, one word', read), 'host', '1 to 255 printable characters, no blanks');
}

/** Inclusive range of HTTP status codes: `200-399`, `"204"` or 204. */
export function statusRange() {
  const expected = 'an HTTP status such as 200, or a range such as "200-399"';
  const text = parsed<StatusRange>(expected, (range) => {
    const [, from, to = from] = /^(\d{3})(?:-(\d{3}))?$/.exec(range) ?? [];
    const [low, high] = [Number(from), Number(to)];
    return low >= 100 && high <= 599 && low <= high ? { from: low, to: high } : { problem: '' };
  });
  const params = expecting(expected);
  const single = z.int(params).min(100, params).max(599, params);
  const range = z.union([single.transform((status) => ({ from: status, to: status })), text], params);
  return measured(range, 'HTTP status', '100 to 599, one or from-to');
}

const SUITE = 'the IANA or OpenSSL name of a cipher suite';

/** Cipher suites as one OpenSSL list, from a string with colons or from a list. */
export function ciphers() {
  const one = parsed<string>(SUITE, readSuite);
  const joined = parsed<string>(`${SUITE}, or several joined by colons`, (text) => {
    const suites: string[] = [];
    for (const part of text.split(/[:,\s]+/).filter((piece) => piece !== '')) {
      const suite = readSuite(part);
      if (isRefused(suite)) return suite;
      suites.push(suite);
    }
    return suites.length > 0 ? suites.join(':') : { problem: '' };
  });
  const expected = `${SUITE}, several joined by colons, or a list of them`;
  const list = z.array(one, expecting(expected)).min(1, expecting(`at least one cipher suite`));
  const either = z.union([joined, list.transform((suites) => suites.join(':'))], expecting(expected));
  return measured(either, 'cipher suites', SUITE_NAMES.join(', '));
}

function readSuite(text: string): string | Refused {
  return suiteName(text) ?? { problem: `${found(text)} is unknown or too weak; there are ${SUITE_NAMES.join(', ')}` };
}

/** The domain's message tells the text and the form that are told here already; what stays is the reason. */
function withoutRepeating<T extends object>(address: T | Refused): T | Refused {
  if (!isRefused(address)) return address;
  const why = / (has .*); expected/.exec(address.problem)?.[1];
  return { problem: why === undefined ? '' : `it ${why}` };
}
