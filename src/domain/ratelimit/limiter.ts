import type { Past } from './past.ts';

/** A limiter's state: numbers by position, all zero at first. Who holds them (an array, shared memory) is not known here. */
export interface Cells {
  [index: number]: number;
  readonly length: number;
}

export type Verdict =
  | { readonly admitted: true; readonly remaining: number }
  /** `retryAfterMs`: after this time the same arrival is admitted if nobody else came. It has fractions: a timer rounds it up. */
  | { readonly admitted: false; readonly retryAfterMs: number };

/**
 * One rate-limiting algorithm, set up for one limit. Time comes in as nowMs: monotonic, any origin, never negative. Those who
 * share cells share the clock's origin too; a clock read that comes in a little late is no earlier than what it finds.
 */
export interface RateLimiter {
  /** How many cells the state takes. */
  readonly words: number;
  /** Decides one arrival; the cells change only when it is admitted. `remaining` is how many more would be, now. */
  admit(cells: Cells, nowMs: number): Verdict;
  /** The same verdict without changing anything. `remaining` counts this arrival as not yet made. */
  peek(cells: Cells, nowMs: number): Verdict;
  /** What the cells know of the admissions that they counted. */
  past(cells: Cells, nowMs: number): Past;
  /** The cells of a limiter that has counted these admissions, its own or another's; the rest of its cells are zero, or more than it needs. */
  resume(past: Past): readonly number[];
}
