/** google.protobuf.Duration and Timestamp in proto3 JSON (protobuf.dev/programming-guides/json), to the nanosecond. */

/** As proto-loader takes and gives it: 64-bit numbers as text. */
export interface Seconds {
  readonly seconds: string;
  /** Of the same sign as the seconds in a Duration; never negative in a Timestamp. */
  readonly nanos: number;
}

const DURATION = /^(?<sign>-?)(?<seconds>\d{1,12})(?:\.(?<fraction>\d{1,9}))?s$/;
const LONGEST_SECONDS = 315_576_000_000n;
const TIMESTAMP = /^(?<start>\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(?:\.(?<fraction>\d{1,9}))?(?<zone>Z|[+-]\d\d:\d\d)$/i;

/** Reads `5s`, `0.25s`, `-1.5s`; undefined for anything else, and for more than some ten thousand years. */
export function durationFromJson(text: string): Seconds | undefined {
  const { sign, seconds, fraction } = DURATION.exec(text)?.groups ?? {};
  if (sign === undefined || seconds === undefined || BigInt(seconds) > LONGEST_SECONDS) return undefined;
  const nanos = nanosOf(fraction);
  return sign === '-' ? { seconds: (-BigInt(seconds)).toString(), nanos: nanos === 0 ? 0 : -nanos } : { seconds, nanos };
}

/** With 0, 3, 6 or 9 decimals: `5s`, `0.250s`. */
export function durationToJson({ seconds, nanos }: Seconds): string {
  const sign = seconds.startsWith('-') || nanos < 0 ? '-' : '';
  return `${sign}${seconds.replace('-', '')}${fractionOf(Math.abs(nanos))}s`;
}

/** Reads RFC 3339: `2030-01-31T12:00:00Z`, with up to nine decimals and any offset; undefined for anything else. */
export function timestampFromJson(text: string): Seconds | undefined {
  const { start, fraction, zone } = TIMESTAMP.exec(text)?.groups ?? {};
  const ms = start === undefined || zone === undefined ? Number.NaN : Date.parse(`${start}${zone}`);
  return Number.isNaN(ms) ? undefined : { seconds: String(ms / 1_000), nanos: nanosOf(fraction) };
}

/** In UTC, with 0, 3, 6 or 9 decimals: `2030-01-31T12:00:00.500Z`. */
export function timestampToJson({ seconds, nanos }: Seconds): string {
  const whole = new Date(Number(seconds) * 1_000).toISOString();
  return whole.replace(/\.000Z$/, `${fractionOf(nanos)}Z`);
}

function nanosOf(fraction = ''): number {
  return Number(fraction.padEnd(9, '0'));
}

function fractionOf(nanos: number): string {
  return nanos === 0
    ? ''
    : `.${nanos
        .toString()
        .padStart(9, '0')
        .replace(/(?:000){1,2}$/, '')}`;
}
