import { durationJson } from './durations.ts';
import { wordOf } from './words.ts';

export type Plain = string | number | boolean | null | readonly Plain[] | { readonly [key: string]: Plain };

/** The fields of the contract that hold an enum. */
const ENUM_FIELDS: ReadonlySet<string> = new Set([
  'algorithm',
  'onUnhealthy',
  'type',
  'health',
  'action',
  'from',
  'to',
  'kind',
  'mode',
  'sendProxyProtocol',
]);

/**
 * A generated message as the data of `--output json` and `yaml`: its own camelCase fields, enums in the words of the configuration
 * file, 64-bit numbers as numbers where those are exact and as text otherwise, durations as `0.25s`, times in RFC 3339.
 */
export function toPlain(value: unknown): Plain {
  if (value === null || value === undefined) return null;
  if (typeof value === 'bigint') return safeInteger(value);
  if (typeof value === 'string' || typeof value === 'number' || typeof value === 'boolean') return value;
  if (value instanceof Date) return value.toISOString();
  if (Array.isArray(value)) return value.map(toPlain);
  if (typeof value !== 'object') throw new Error(`a message holds no ${typeof value}`);
  if ('seconds' in value && typeof value.seconds === 'bigint' && 'nanos' in value && typeof value.nanos === 'number') {
    return durationJson(value.seconds, value.nanos);
  }
  const fields = Object.entries(value).filter(([, field]) => field !== undefined);
  return Object.fromEntries(
    fields.map(([key, field]) => [key, ENUM_FIELDS.has(key) && typeof field === 'string' ? enumWord(field) : toPlain(field)]),
  );
}

/** `from` is a health in one message and an address in another, which is no wire name. */
function enumWord(value: string): string {
  return wordOf(value) ?? (/^UNRECOGNIZED$|_UNSPECIFIED$/.test(value) ? 'unspecified' : value);
}

/** A 64-bit integer as a number while that is exact, else as its decimal text. */
export function safeInteger(value: bigint): number | string {
  const number = Number(value);
  return Number.isSafeInteger(number) ? number : value.toString();
}
