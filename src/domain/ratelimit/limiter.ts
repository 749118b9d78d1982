import type { ConnectionRate } from '../model.ts';

/** A limiter's state: numbers by position, all zero at first. Who holds them (an array, shared memory) is not known here. */
export interface Cells {
  [index: number]: number;
  readonly length: number;
}

export type Verdict =
  | { readonly admitted: true; readonly remaining: number }
  /** `retryAfterMs`: the earliest time at which the same arrival would be admitted if nobody else came. */
  | { readonly admitted: false; readonly retryAfterMs: number };

/** One rate-limiting algorithm, set up for one limit. Time comes in as nowMs, monotonic, any origin, never negative. */
export interface RateLimiter {
  /** How many cells the state takes. */
  readonly words: number;
  /** Decides one arrival; the cells change only when it is admitted (or when old history is dropped). */
  admit(cells: Cells, nowMs: number): Verdict;
  /** The same verdict without changing anything. `remaining` counts this arrival as not yet made. */
  peek(cells: Cells, nowMs: number): Verdict;
}

/** The limiter that a client's policy names. */
export function limiterFor(_rate: ConnectionRate): RateLimiter {
  throw new Error('in the making');
}
