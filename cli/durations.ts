import type { Duration } from '../src/gen/google/protobuf/duration.ts';

const UNITS_MS = { ms: 1, s: 1_000, m: 60_000, h: 3_600_000, d: 86_400_000 } as const;
const PART = /(\d+(?:\.\d+)?)(ms|[smhd])/g;
const WHOLE = /^(?:\d+(?:\.\d+)?(?:ms|[smhd]))+$/;

/** Reads `500ms`, `5s`, `1m30s`, `1h` as milliseconds; undefined when the text is not such a duration. */
export function parseDuration(text: string): number | undefined {
  if (!WHOLE.test(text)) return undefined;
  let totalMs = 0;
  for (const [, amount, unit] of text.matchAll(PART)) {
    if (unit !== 'ms' && unit !== 's' && unit !== 'm' && unit !== 'h' && unit !== 'd') return undefined;
    totalMs += Number(amount) * UNITS_MS[unit];
  }
  return totalMs;
}

/** `5s`, `1m30s`, `250ms`; what is shorter than a second keeps three significant digits: `0.734ms`. */
export function formatDuration(ms: number): string {
  if (ms < UNITS_MS.s) return ms === 0 ? '0s' : `${Number(ms.toPrecision(3))}ms`;
  const wholeMs = Math.round(ms);
  const hours = Math.floor(wholeMs / UNITS_MS.h);
  const minutes = Math.floor((wholeMs % UNITS_MS.h) / UNITS_MS.m);
  const seconds = (wholeMs % UNITS_MS.m) / UNITS_MS.s;
  return [hours > 0 ? `${hours}h` : '', minutes > 0 ? `${minutes}m` : '', seconds > 0 ? `${seconds}s` : ''].join('');
}

/** How long ago something was, in its two largest units: `42s`, `2m10s`, `3h5m`, `6d4h`. */
export function formatAge(ms: number): string {
  const totalSeconds = Math.max(0, Math.floor(ms / UNITS_MS.s));
  const parts: readonly (readonly [number, string])[] = [
    [Math.floor(totalSeconds / 86_400), 'd'],
    [Math.floor(totalSeconds / 3_600) % 24, 'h'],
    [Math.floor(totalSeconds / 60) % 60, 'm'],
    [totalSeconds % 60, 's'],
  ];
  const first = parts.findIndex(([amount]) => amount > 0);
  if (first === -1) return '0s';
  return parts
    .slice(first, first + 2)
    .filter(([amount]) => amount > 0)
    .map(([amount, unit]) => `${amount}${unit}`)
    .join('');
}

/** Milliseconds as the contract's Duration. */
export function toDuration(ms: number): Duration {
  return { seconds: BigInt(Math.trunc(ms / 1_000)), nanos: Math.round((ms % 1_000) * 1_000_000) };
}

/** For a duration that may be left out. */
export function optionalDuration(ms: number | undefined): Duration | undefined {
  return ms === undefined ? undefined : toDuration(ms);
}

/** The contract's Duration in milliseconds. */
export function fromDuration(duration: Duration): number {
  return Number(duration.seconds) * 1_000 + duration.nanos / 1_000_000;
}

/** As proto3 JSON writes a Duration: seconds with as many decimals as it needs, `0.25s`. */
export function durationJson(seconds: bigint, nanos: number): string {
  const negative = seconds < 0n || nanos < 0;
  const decimals = Math.abs(nanos).toString().padStart(9, '0').replace(/0+$/, '');
  const whole = seconds < 0n ? -seconds : seconds;
  return `${negative ? '-' : ''}${whole}${decimals === '' ? '' : `.${decimals}`}s`;
}
