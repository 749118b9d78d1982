/** What the keys of the config file are made of: containers, numbers and times. Each says in words what it expects and what it is measured in. */
import { z } from 'zod';
import { MAX_BANDWIDTH, MIN_BANDWIDTH } from '../../domain/checks.ts';
import { DURATION_PATTERN, formatDuration, parseDuration } from '../../domain/durations.ts';
import { found } from '../problems.ts';

/** Why a text is no such value; empty when there is nothing to add to what was expected. */
export type Refused = { readonly problem: string };

export const DAY_MS = 86_400_000;
/** What a 32-bit count of connections can hold. */
export const MAX_CONNECTIONS = 2 ** 31 - 1;

/** A mapping with these keys and no others. */
export function mapping<Shape extends z.ZodRawShape>(shape: Shape) {
  return z.strictObject(shape, expecting(`a mapping with ${Object.keys(shape).join(', ')}`));
}

export function list<Item extends z.ZodType>(item: Item, of: string) {
  return measured(z.array(item, expecting(`a list of ${of}`)), `list of ${of}`, measureOf(item)?.range ?? '');
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

/** What a value is measured in, or what kind of thing it is, and which values are taken: as the reference of all keys tells them. */
export interface Measure {
  readonly unit: string;
  /** Empty: whatever the parts of the value take, which have measures of their own. */
  readonly range: string;
}

const measures = z.registry<Measure>();

/** Says what `schema` is measured in and which values it takes. */
export function measured<T extends z.ZodType>(schema: T, unit: string, range: string): T {
  measures.add(schema, { unit, range });
  return schema;
}

/** Of a kind of value made in this file; undefined for a mapping, whose keys have theirs. What may be left out, or has a default, is as what it wraps. */
export function measureOf(schema: z.ZodType): Measure | undefined {
  const own = measures.get(schema);
  if (own !== undefined) return { unit: own.unit, range: own.range };
  const wrapped = schema instanceof z.ZodOptional || schema instanceof z.ZodPrefault ? schema.unwrap() : undefined;
  return wrapped instanceof z.ZodType ? measureOf(wrapped) : undefined;
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

/** So many of `unit`, such as connections. */
export function wholeNumber(min: number, max: number, unit: string) {
  const params = expecting(`a whole number from ${min} to ${max}`);
  return measured(z.int(params).min(min, params).max(max, params), unit, `${min} to ${max}`);
}

export function zeroOrWholeNumber(min: number, max: number, unit: string) {
  const params = expecting(`0, or a whole number from ${min} to ${max}`);
  return measured(z.union([z.literal(0, params), z.int(params).min(min, params).max(max, params)], params), unit, `0, or ${min} to ${max}`);
}

/** `true` or `false`. */
export function flag() {
  return measured(z.boolean(expecting('true or false')), 'switch', 'true or false');
}

export function oneOf<const T extends readonly [string, ...string[]]>(words: T) {
  return measured(z.enum(words, expecting(`one of ${words.join(', ')}`)), 'word', words.join(', '));
}

/** Milliseconds, written with a unit. */
export function duration(minMs: number, maxMs: number) {
  const expected = `a time from ${formatDuration(minMs)} to ${formatDuration(maxMs)} with its unit, such as "5s"`;
  const time = timeText(expected, DURATION_PATTERN).transform((text, context): number => {
    const value = parseDuration(text);
    if (typeof value === 'number' && value >= minMs && value <= maxMs) return value;
    const why = typeof value === 'number' ? '' : `: ${value.problem}`;
    context.addIssue({ code: 'custom', message: `expected ${expected}, found ${found(text)}${why}` });
    return z.NEVER;
  });
  return measured(time, 'time', `${formatDuration(minMs)} to ${formatDuration(maxMs)}`);
}

/** Milliseconds, written with a unit; undefined for `none`. */
export function durationOrNone(minMs: number, maxMs: number) {
  const time = duration(minMs, maxMs);
  const text = timeText('a time with its unit, such as "12h", or none', `^none$|${DURATION_PATTERN}`);
  const timeOrNone = text.transform((written, context): number | undefined => {
    if (written === 'none') return undefined;
    const result = time.safeParse(written);
    if (result.success) return result.data;
    for (const { message } of result.error.issues) context.addIssue({ code: 'custom', message });
    return z.NEVER;
  });
  return measured(timeOrNone, 'time', `${formatDuration(minMs)} to ${formatDuration(maxMs)}, or none`);
}

function timeText(expected: string, pattern: string) {
  const addUnit = (input: unknown) => (typeof input === 'number' && input >= 0 ? `: add a unit: ${input}s or ${input}ms` : '');
  return z.string({ error: ({ input }) => mismatch(expected, input) + addUnit(input) }).meta({ pattern });
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
  return measured(
    z.union([plain, withUnit], params),
    'bytes per second, or kB, MB, GB, KiB, MiB, GiB',
    `${MIN_BANDWIDTH} to ${MAX_BANDWIDTH}`,
  );
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

function mismatch(expected: string, input: unknown): string {
  return input === undefined ? `missing; expected ${expected}` : `expected ${expected}, found ${found(input)}`;
}

export function isRefused(value: unknown): value is Refused {
  return typeof value === 'object' && value !== null && 'problem' in value;
}
