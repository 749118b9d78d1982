import type { ConnectionRate } from '../model.ts';
import type { Cells, RateLimiter } from './limiter.ts';
import { limiterOf } from './rules.ts';

/** Cells: when the bucket was last full, and how many tokens were taken since. */
const FULL_AT = 0;
const TAKEN = 1;

/**
 * A bucket of `burst` tokens, full at first, refilled evenly at `limit` per `windowMs`; each arrival takes one. It counts what
 * was taken rather than adding up fractions of tokens, so nothing is lost to rounding however long it runs.
 */
export function tokenBucket({ limit, windowMs, burst }: Pick<ConnectionRate, 'limit' | 'windowMs' | 'burst'>): RateLimiter {
  /** When the refill has made up for all but `missing` of the tokens that were taken. */
  const refilledTo = (cells: Cells, missing: number) => (cells[FULL_AT] ?? 0) + (((cells[TAKEN] ?? 0) - missing) * windowMs) / limit;

  return limiterOf({
    words: 2,
    opensAtMs: (cells) => refilledTo(cells, burst - 1),
    room(cells, nowMs) {
      if (nowMs >= refilledTo(cells, 0)) return burst;
      const refilled = ((nowMs - (cells[FULL_AT] ?? 0)) * limit) / windowMs;
      return Math.floor(burst - (cells[TAKEN] ?? 0) + refilled);
    },
    take(cells, nowMs) {
      if (nowMs >= refilledTo(cells, 0)) {
        cells[FULL_AT] = nowMs;
        cells[TAKEN] = 0;
      }
      cells[TAKEN] = (cells[TAKEN] ?? 0) + 1;
    },
  });
}
