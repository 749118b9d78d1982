/** What a limiter's cells know of the admissions that they counted: the form in which one rule hands its count to the next. */

/**
 * Admissions at even distances. The cells seldom know when each one was; the times here are the latest that they can have been, so that
 * who counts by them never forgets one too early.
 */
export interface Run {
  /** At least 1. */
  readonly count: number;
  /** When the newest of them was, at the latest. */
  readonly newestMs: number;
  /** How much earlier each of the others was than the next, at the least; 0 or more. */
  readonly spacingMs: number;
}

/** Newest first, and no run begins later than the one before it ends. */
export type Past = readonly Run[];

/** How many admissions of the run were at `ms` or later. */
export function countOf({ count, newestMs, spacingMs }: Run, ms: number): number {
  if (newestMs < ms) return 0;
  if (spacingMs === 0) return count;
  // One that misses `ms` by a rounding error only is counted.
  return Math.min(count, Math.floor((newestMs - ms) / spacingMs + 1e-6) + 1);
}

/** How many admissions were at `ms` or later. */
export function countSince(past: Past, ms: number): number {
  return past.reduce((sum, run) => sum + countOf(run, ms), 0);
}

/** With the admissions that are given ahead of time (departure.ts) counted as of now. */
export function withoutFuture(past: Past, nowMs: number): Past {
  return past.flatMap((run) => {
    const future = countOf(run, nowMs);
    if (future === 0 || run.newestMs <= nowMs) return [run];
    const before = { ...run, count: run.count - future, newestMs: Math.min(nowMs, run.newestMs - future * run.spacingMs) };
    return [{ count: future, newestMs: nowMs, spacingMs: 0 }, before].filter(({ count }) => count > 0);
  });
}

/** The last moment before `ms`. */
export function justBefore(ms: number): number {
  return ms * (1 - Number.EPSILON / 2);
}
