import type { Cells, RateLimiter } from './limiter.ts';
import { countOf, type Past } from './past.ts';
import type { RateRule } from './rate-rule.ts';
import { limiterOf } from './rules.ts';

/** Cells: when the bucket was last full, how many tokens were taken since, and how many more another rule had admitted by then. */
const FULL_AT = 0;
const TAKEN = 1;
const BEYOND = 2;

/**
 * A bucket of `burst` tokens, full at first, refilled evenly at `limit` per `windowMs`; each arrival takes one. It counts what
 * was taken rather than adding up fractions of tokens, so nothing is lost to rounding however long it runs.
 */
export function tokenBucket({ limit, windowMs, burst }: Pick<RateRule, 'limit' | 'windowMs' | 'burst'>): RateLimiter {
  /** When the refill has made up for all but `missing` of the tokens that were taken. */
  const refilledTo = (cells: Cells, missing: number) => (cells[FULL_AT] ?? 0) + (((cells[TAKEN] ?? 0) - missing) * windowMs) / limit;

  const tokenMs = windowMs / limit;
  /** How many tokens are missing at `newestMs` if those of the last window took theirs when there were always enough. */
  const missingAfter = (past: Past, newestMs: number) => {
    let missing = 0;
    let newer = 0;
    for (const run of past) {
      const count = countOf(run, newestMs - windowMs);
      if (count === 0) break;
      const sinceMs = newestMs - run.newestMs;
      // It changes evenly along a run, so it is greatest at one of its ends.
      const sinceNewest = newer + 1 - sinceMs / tokenMs;
      const sinceOldest = newer + count - (sinceMs + (count - 1) * run.spacingMs) / tokenMs;
      missing = Math.max(missing, sinceNewest, sinceOldest);
      newer += count;
    }
    return missing;
  };

  return limiterOf({
    words: 3,
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
        cells[BEYOND] = 0;
      }
      cells[TAKEN] = (cells[TAKEN] ?? 0) + 1;
    },
    past(cells, nowMs) {
      const { [FULL_AT]: fullMs = 0, [TAKEN]: taken = 0, [BEYOND]: beyond = 0 } = cells;
      // It was never fuller than full, so of what was taken since a time, as much as is still missing may have been taken just now, and
      // the rest no faster than it was refilled.
      const together = Math.min(taken, Math.max(0, Math.floor((refilledTo(cells, 0) - nowMs) / tokenMs)));
      const runs = [
        // Of departures given ahead of time (departure.ts) the bucket knows the last.
        { count: together, newestMs: Math.max(nowMs, fullMs), spacingMs: 0 },
        { count: taken - together, newestMs: Math.max(fullMs, Math.min(nowMs, refilledTo(cells, together + 1))), spacingMs: tokenMs },
        { count: beyond, newestMs: fullMs, spacingMs: 0 },
      ];
      return runs.filter(({ count }) => count > 0);
    },
    resume(past, newestMs) {
      const missing = missingAfter(past, newestMs);
      // With so many missing, a window passes before the next is admitted. What is beyond them shuts nobody out for longer; it is kept
      // for the rule that comes next.
      const counted = Math.min(missing, burst + limit - 1);
      const taken = Math.ceil(counted);
      return [newestMs - (taken - counted) * tokenMs, taken, Math.ceil(missing) - taken];
    },
  });
}
