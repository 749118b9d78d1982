import type { Cells, RateLimiter } from './limiter.ts';
import { countSince, justBefore } from './past.ts';
import type { RateRule } from './rate-rule.ts';
import { limiterOf } from './rules.ts';

/** Cells: when the window that was last counted in began, and how many were admitted in it. */
const BEGAN = 0;
const ADMITTED = 1;

/**
 * `limit` arrivals in each window; windows begin at the multiples of `windowMs`. Two cells, and the cheapest; but arrivals
 * around a boundary count in two windows, so up to twice the limit can come within a moment.
 */
export function fixedWindow({ limit, windowMs }: Pick<RateRule, 'limit' | 'windowMs'>): RateLimiter {
  const beginOf = (cells: Cells, nowMs: number) => Math.max(Math.floor(nowMs / windowMs) * windowMs, cells[BEGAN] ?? 0);
  const admittedSince = (cells: Cells, beginMs: number) => (beginMs === cells[BEGAN] ? (cells[ADMITTED] ?? 0) : 0);

  return limiterOf({
    words: 2,
    opensAtMs(cells, nowMs) {
      const beginMs = beginOf(cells, nowMs);
      return admittedSince(cells, beginMs) < limit ? nowMs : beginMs + windowMs;
    },
    room: (cells, nowMs) => limit - admittedSince(cells, beginOf(cells, nowMs)),
    take(cells, nowMs) {
      const beginMs = beginOf(cells, nowMs);
      cells[ADMITTED] = admittedSince(cells, beginMs) + 1;
      cells[BEGAN] = beginMs;
    },
    past(cells, nowMs) {
      const { [BEGAN]: beganMs = 0, [ADMITTED]: count = 0 } = cells;
      const newestMs = Math.max(beganMs, Math.min(nowMs, justBefore(beganMs + windowMs)));
      return count === 0 ? [] : [{ count, newestMs, spacingMs: 0 }];
    },
    resume(past, newestMs) {
      const beganMs = Math.floor(newestMs / windowMs) * windowMs;
      return [beganMs, countSince(past, beganMs)];
    },
  });
}
