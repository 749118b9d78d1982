/** The kinds of value that a config key can have. Each says in words what it expects, and reads the value into the domain's form. */
import { z } from 'zod';
import { parseAddress } from '../../domain/address.ts';
import { MAX_BANDWIDTH, MIN_BANDWIDTH } from '../../domain/checks.ts';
import { parseCidr } from '../../domain/cidr.ts';
import { DURATION_PATTERN, formatDuration, parseDuration } from '../../domain/durations.ts';
import { type Address, formatAddress } from '../../domain/model.ts';
import { SUITE_NAMES, suiteName } from '../ciphers.ts';
import { found } from '../problems.ts';

type Refused = { readonly problem: string };

/** Inclusive. */
export interface StatusRange {
  readonly from: number;
  readonly to: number;
}

export const DAY_MS = 86_400_000;
/** What a 32-bit count of connections can hold. */
export const MAX_CONNECTIONS = 2 ** 31 - 1;

/** A mapping with these keys and no others. */
export function mapping<Shape extends z.ZodRawShape>(shape: Shape) {
  return z.strictObject(shape, expecting(`a mapping with ${Object.keys(shape).join(', ')}`));
}

export function list<Item extends z.ZodType>(item: Item, of: string) {
  return z.array(item, expecting(`a list of ${of}`));
}

/** Options for a zod type whose problems are `missing; expected X` and `expected X, found Y`. */
export function expecting(expected: string) {
  return { error: (issue: { readonly input?: unknown }) => mismatch(expected, issue.input) };
}

/** Describes a key for `lbd schema`: what it is, its default ("required" without one) and an example. */
export function documented<T extends z.ZodType>(schema: T, about: string, fallback: string | undefined, example: unknown): T {
  const necessity = fallback === undefined ? 'Required' : `Default: ${fallback}`;
  return schema.meta({ description: `${about} ${necessity}. Example: ${JSON.stringify(example)}.`, examples: [example] });
}

/** Text that `read` turns into a value, or refuses. */
export function parsed<T>(expected: string, read: (text: string) => T | Refused) {
  return z.string(expecting(expected)).transform((text, context): T => {
    const value = read(text);
    if (!isRefused(value)) return value;
    context.addIssue({
      code: 'custom',
      message: `expected ${expected}, found ${found(text)}${value.problem === '' ? '' : `: ${value.problem}`}`,
    });
    return z.NEVER;
  });
}

export function wholeNumber(min: number, max: number) {
  const params = expecting(`a whole number from ${min} to ${max}`);
  return z.int(params).min(min, params).max(max, params);
}

export function zeroOrWholeNumber(min: number, max: number) {
  const params = expecting(`0, or a whole number from ${min} to ${max}`);
  return z.union([z.literal(0, params), z.int(params).min(min, params).max(max, params)], params);
}

export function oneOf<const T extends readonly [string, ...string[]]>(words: T) {
  return z.enum(words, expecting(`one of ${words.join(', ')}`));
}

/** Milliseconds, written with a unit. */
export function duration(minMs: number, maxMs: number) {
  const expected = `a time from ${formatDuration(minMs)} to ${formatDuration(maxMs)} with its unit, such as "5s"`;
  return timeText(expected, DURATION_PATTERN).transform((text, context): number => {
    const value = parseDuration(text);
    if (typeof value === 'number' && value >= minMs && value <= maxMs) return value;
    const why = typeof value === 'number' ? '' : `: ${value.problem}`;
    context.addIssue({ code: 'custom', message: `expected ${expected}, found ${found(text)}${why}` });
    return z.NEVER;
  });
}

/** Milliseconds, written with a unit; undefined for `none`. */
export function durationOrNone(minMs: number, maxMs: number) {
  const time = duration(minMs, maxMs);
  return timeText('a time with its unit, such as "12h", or none', `^none$|${DURATION_PATTERN}`).transform(
    (text, context): number | undefined => {
      if (text === 'none') return undefined;
      const result = time.safeParse(text);
      if (result.success) return result.data;
      for (const { message } of result.error.issues) context.addIssue({ code: 'custom', message });
      return z.NEVER;
    },
  );
}

function timeText(expected: string, pattern: string) {
  const addUnit = (input: unknown) => (typeof input === 'number' && input >= 0 ? `: add a unit: ${input}s or ${input}ms` : '');
  return z.string({ error: ({ input }) => mismatch(expected, input) + addUnit(input) }).meta({ pattern });
}

/** A name as the domain accepts it. */
export function name(what: string) {
  return parsed<string>(`${what}: 1 to 253 letters, digits and . _ - : / @ *`, (text) =>
    /^[\w.:/@*-]{1,253}$/.test(text) ? text : { problem: '' },
  );
}

/** Text of 1 to `max` characters without control characters. */
export function plainText(expected: string, max = 1000) {
  return parsed<string>(expected, (text) => (text !== '' && text.length <= max && !/\p{Cc}/u.test(text) ? text : { problem: '' }));
}

export function filePath(what: string) {
  return plainText(`the path of ${what}`, 4096);
}

/** `host:port` where something listens; port 0 lets the system choose. */
export function listenAddress() {
  return parsed<Address>('host:port to listen on, such as "0.0.0.0:8080"', (text) =>
    withoutRepeating(parseAddress(text, { allowPortZero: true })),
  );
}

/** `host:port` of an upstream server, in the domain's spelling. */
export function serverAddress() {
  return parsed<string>('host:port of an upstream server, such as "127.0.0.1:8081"', (text) => {
    const address = withoutRepeating(parseAddress(text));
    return isRefused(address) ? address : formatAddress(address);
  });
}

/** SHA-256 of a certificate: hex digits, with or without colons. */
export function fingerprint() {
  return parsed<string>('the SHA-256 fingerprint of a certificate: 64 hex digits in quotes, colons allowed', (text) => {
    const digits = text.replaceAll(':', '').toLowerCase();
    return /^[\da-f]{64}$/.test(digits) ? digits : { problem: '' };
  });
}

/** Bytes in a second: a whole number, or text with a unit, in powers of 1,000 (kB, MB, GB) or of 1,024 (KiB, MiB, GiB). */
export function bytesPerSecond() {
  const params = expecting(`bytes per second from ${MIN_BANDWIDTH} on, as a whole number or with a unit, such as "10MB" or "512KiB"`);
  const plain = z.int(params).min(MIN_BANDWIDTH, params).max(MAX_BANDWIDTH, params);
  const withUnit = z.string(params).transform((text, context): number => {
    const bytes = parseSize(text);
    if (bytes !== undefined && bytes >= MIN_BANDWIDTH && bytes <= MAX_BANDWIDTH) return bytes;
    context.addIssue({ code: 'custom', message: params.error({ input: text }) });
    return z.NEVER;
  });
  return z.union([plain, withUnit], params);
}

const SIZE_UNITS: Readonly<Record<string, number>> = {
  '': 1,
  B: 1,
  KB: 1e3,
  MB: 1e6,
  GB: 1e9,
  KIB: 2 ** 10,
  MIB: 2 ** 20,
  GIB: 2 ** 30,
};

function parseSize(text: string): number | undefined {
  const [, amount, unit] = /^(\d{1,12}(?:\.\d{1,6})?) ?([A-Za-z]{0,3})$/.exec(text) ?? [];
  const factor = SIZE_UNITS[(unit ?? '?').toUpperCase()];
  return factor === undefined ? undefined : Math.round(Number(amount) * factor);
}

/** A network in CIDR notation, or an address alone. */
export function network() {
  return parsed<string>('a network such as "10.0.0.0/8" or "2001:db8::/32"', (text) => {
    const cidr = parseCidr(text);
    return 'problem' in cidr ? { problem: cidr.problem.startsWith('expected') ? '' : cidr.problem } : text.toLowerCase();
  });
}

/** A moment in ISO 8601, in milliseconds since 1970. */
export function moment() {
  return parsed<number>('a moment such as "2026-01-31T12:00:00Z"', (text) => {
    const atMs = /^\d{4}-\d\d-\d\dT/.test(text) ? Date.parse(text) : Number.NaN;
    return Number.isNaN(atMs) || atMs < 0 ? { problem: '' } : atMs;
  });
}

/** A server name as clients send it; `*.` in front stands for one label. */
export function serverName() {
  return parsed<string>('a host name such as "db.example.com" or "*.example.com"', (text) => {
    const host = parseAddress(`${text.replace(/^\*\./, '')}:1`);
    return isRefused(host) || /^[\d.]+$/.test(text) || text.startsWith('[') ? { problem: '' } : text.toLowerCase().replace(/\.$/, '');
  });
}

/** One host name, not an address. */
export function hostName() {
  return parsed<string>('a host name such as "lb.example.com"', (text) => {
    const host = parseAddress(`${text}:1`);
    return isRefused(host) || /^[\d.]+$/.test(text) || text.startsWith('[') ? { problem: '' } : host.host.replace(/\.$/, '');
  });
}

/** Path of an HTTP request; it goes into the request line as it is. */
export function requestPath() {
  return parsed<string>('a path that begins with / and has no blanks', (text) =>
    /^\/[\x21-\x7e]{0,2047}$/.test(text) ? text : { problem: '' },
  );
}

/** Value of a Host header; it goes into the header as it is. */
export function hostHeader() {
  return parsed<string>('a host name, one word', (text) => (/^[\x21-\x7e]{1,255}$/.test(text) ? text : { problem: '' }));
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
  return z.union([single.transform((status) => ({ from: status, to: status })), text], params);
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
  return z.union([joined, list.transform((suites) => suites.join(':'))], expecting(expected));
}

function readSuite(text: string): string | Refused {
  return suiteName(text) ?? { problem: `${found(text)} is unknown or too weak; there are ${SUITE_NAMES.join(', ')}` };
}

function mismatch(expected: string, input: unknown): string {
  return input === undefined ? `missing; expected ${expected}` : `expected ${expected}, found ${found(input)}`;
}

function isRefused(value: unknown): value is Refused {
  return typeof value === 'object' && value !== null && 'problem' in value;
}

/** The domain's message tells the text and the form that are told here already; what stays is the reason. */
function withoutRepeating<T extends object>(address: T | Refused): T | Refused {
  if (!isRefused(address)) return address;
  const why = / (has .*); expected/.exec(address.problem)?.[1];
  return { problem: why === undefined ? '' : `it ${why}` };
}
