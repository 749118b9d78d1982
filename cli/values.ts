/** Readers of command-line values for commander: each returns the value or throws InvalidArgumentError saying what was expected. */
import { InvalidArgumentError, Option } from 'commander';
import { parseDuration } from './durations.ts';
import { parseBytes } from './sizes.ts';
import type { Words } from './words.ts';

const ADDRESS = /^(?:\[(?<v6>[\da-f:.]+)\]|(?<name>[^\s:[\]/@]+)):(?<port>\d{1,5})$/i;

export interface HostPort {
  /** Without brackets. */
  readonly host: string;
  readonly port: number;
}

/** Splits `host:port`, IPv6 hosts in brackets; undefined when it is not one. Whether the host makes sense is the server's to say. */
export function splitAddress(text: string): HostPort | undefined {
  const groups = ADDRESS.exec(text)?.groups;
  const port = Number(groups?.['port']);
  const host = groups?.['v6'] ?? groups?.['name'];
  return host !== undefined && port >= 1 && port <= 65_535 ? { host, port } : undefined;
}

export const EXPECTED_ADDRESS = 'expected host:port, for example 127.0.0.1:9000 or [::1]:9000';

export function address(text: string): string {
  if (splitAddress(text) === undefined) throw new InvalidArgumentError(`${EXPECTED_ADDRESS}.`);
  return text;
}

/** Milliseconds. */
export function duration(text: string): number {
  const ms = parseDuration(text);
  if (ms === undefined) throw new InvalidArgumentError('expected a duration, for example 500ms, 5s or 1m30s.');
  return ms;
}

/** Milliseconds, above 0. */
export function positiveDuration(text: string): number {
  const ms = duration(text);
  if (ms === 0) throw new InvalidArgumentError('expected a duration above 0, for example 10s.');
  return ms;
}

/** The most connections that the server takes as a bound. */
export const MOST_CONNECTIONS = 2 ** 31 - 1;

/** Whole numbers from `least` to `most`. */
export function count(least: number, most = 4_294_967_295): (text: string) => number {
  return (text) => {
    const value = /^\d{1,10}$/.test(text) ? Number(text) : Number.NaN;
    if (value >= least && value <= most) return value;
    throw new InvalidArgumentError(`expected a whole number from ${least} to ${most}.`);
  };
}

export function revision(text: string): bigint {
  const value = /^\d{1,20}$/.test(text) ? BigInt(text) : -1n;
  if (value < 0n || value >= 2n ** 64n) throw new InvalidArgumentError('expected a revision, for example 12.');
  return value;
}

/** `200-399` or one code. */
export function statusRange(text: string): { readonly from: number; readonly to: number } {
  const groups = /^(?<from>[1-5]\d\d)(?:-(?<to>[1-5]\d\d))?$/.exec(text)?.groups;
  const from = Number(groups?.['from']);
  const to = Number(groups?.['to'] ?? from);
  if (from <= to) return { from, to };
  throw new InvalidArgumentError('expected HTTP status codes, for example 200 or 200-399.');
}

/** One of these words, as what it means on the wire. */
export function word<Wire extends string>(words: Words<Wire>): (text: string) => Wire {
  return (text) => {
    const wireName = words.get(text);
    if (wireName === undefined) throw new InvalidArgumentError(`expected one of ${[...words.keys()].join(', ')}.`);
    return wireName;
  };
}

/** An option that takes one of these words; its help and its completion list them. */
export function wordOption<Wire extends string>(flags: string, description: string, words: Words<Wire>): Option {
  const option = new Option(flags, description).choices([...words.keys()]);
  return option.argParser(word(words));
}

const COLLECTED = new WeakSet<object>();

/** For an option that may be given several times. */
export function collect<Value>(read: (text: string) => Value): (text: string, before: readonly Value[] | undefined) => readonly Value[] {
  const reader = (text: string, before: readonly Value[] = []) => [...before, read(text)];
  COLLECTED.add(reader);
  return reader;
}

/** Whether {@link collect} made the reader of an option. */
export function isCollected(reader: object | undefined): boolean {
  return reader !== undefined && COLLECTED.has(reader);
}

/** Any text but an empty one. */
export function name(text: string): string {
  if (text.trim() === '') throw new InvalidArgumentError('expected a name.');
  return text;
}

const ESCAPES: Readonly<Record<string, string>> = { r: '\r', n: '\n', t: '\t', '0': '\0', '\\': '\\' };

/** Text in which `\r`, `\n`, `\t`, `\0`, `\\` and `\x7f` stand for one character each. */
export function escapedText(text: string): string {
  return text.replace(/\\(?:x(?<hex>[\da-f]{2})|(?<letter>.?))/gis, (written, hex?: string, letter = '') => {
    const character = hex === undefined ? ESCAPES[letter] : String.fromCharCode(Number.parseInt(hex, 16));
    if (character === undefined) throw new InvalidArgumentError(`expected \\r, \\n, \\t, \\0, \\\\ or \\x7f where ${written} stands.`);
    return character;
  });
}

/** `10MB`: bytes per second; 0 for no bound. */
export function byteRate(text: string): bigint {
  const bytes = parseBytes(text);
  if (bytes === undefined) throw new InvalidArgumentError('expected bytes per second, for example 10MB, 512KiB or 1000000.');
  return bytes;
}

/** A moment, or how long ago it was. */
export type TimePoint = { readonly atMs: number } | { readonly agoMs: number };

/** `1h` (ago) or a time in RFC 3339. */
export function timePoint(text: string): TimePoint {
  const agoMs = parseDuration(text);
  if (agoMs !== undefined) return { agoMs };
  const atMs = /^\d{4}-\d\d-\d\d/.test(text) ? Date.parse(text) : Number.NaN;
  if (Number.isNaN(atMs))
    throw new InvalidArgumentError('expected how long ago, for example 1h, or a time, for example 2030-01-31T12:00:00Z.');
  return { atMs };
}

/** The moment that is meant, now that it is `nowMs`. */
export function toDate(point: TimePoint | undefined, nowMs: number): Date | undefined {
  if (point === undefined) return undefined;
  return new Date('atMs' in point ? point.atMs : nowMs - point.agoMs);
}
