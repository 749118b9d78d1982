import type { Cells, RateLimiter } from './limiter.ts';
import { countSince, justBefore } from './past.ts';
import type { RateRule } from './rate-rule.ts';
import { limiterOf } from './rules.ts';

/** Cells: when the window that was last counted in began, how many were admitted in it, and in the one before it. */
const BEGAN = 0;
const CURRENT = 1;
const PREVIOUS = 2;

/**
 * Counts in fixed windows, but weighs the previous window by the part of it that a window ending now would still cover, as if
 * its arrivals had come evenly: `previous * (windowMs - elapsed) / windowMs + current` never passes `limit`. Three cells, and no
 * burst at the boundary. After Cloudflare, "How we built rate limiting capable of scaling to millions of domains" (2017).
 */
export function slidingWindowCounter({ limit, windowMs }: Pick<RateRule, 'limit' | 'windowMs'>): RateLimiter {
  const beginOf = (cells: Cells, nowMs: number) => Math.max(Math.floor(nowMs / windowMs) * windowMs, cells[BEGAN] ?? 0);
  const currentOf = (cells: Cells, beginMs: number) => (beginMs === cells[BEGAN] ? (cells[CURRENT] ?? 0) : 0);
  const previousOf = (cells: Cells, beginMs: number) => {
    const beganMs = cells[BEGAN] ?? 0;
    if (beginMs === beganMs) return cells[PREVIOUS] ?? 0;
    return beginMs === beganMs + windowMs ? (cells[CURRENT] ?? 0) : 0;
  };
  /** When so much of the previous window has passed that `free` is what is left of the limit beside it. */
  const coveredBelow = (beginMs: number, previous: number, free: number) => beginMs + (windowMs - (free * windowMs) / previous);

  return limiterOf({
    words: 3,
    opensAtMs(cells, nowMs) {
      const beginMs = beginOf(cells, nowMs);
      const current = currentOf(cells, beginMs);
      if (current >= limit) return coveredBelow(beginMs + windowMs, current, limit - 1);
      const previous = previousOf(cells, beginMs);
      return previous === 0 ? nowMs : coveredBelow(beginMs, previous, limit - 1 - current);
    },
    room(cells, nowMs) {
      const beginMs = beginOf(cells, nowMs);
      const covered = (previousOf(cells, beginMs) * (beginMs + windowMs - nowMs)) / windowMs;
      return Math.floor(limit - currentOf(cells, beginMs) - covered);
    },
    take(cells, nowMs) {
      const beginMs = beginOf(cells, nowMs);
      const previous = previousOf(cells, beginMs);
      cells[CURRENT] = currentOf(cells, beginMs) + 1;
      cells[PREVIOUS] = previous;
      cells[BEGAN] = beginMs;
    },
    past(cells, nowMs) {
      const { [BEGAN]: beganMs = 0, [CURRENT]: current = 0, [PREVIOUS]: previous = 0 } = cells;
      const newestMs = Math.max(beganMs, Math.min(nowMs, justBefore(beganMs + windowMs)));
      const runs = [
        { count: current, newestMs, spacingMs: 0 },
        { count: previous, newestMs: justBefore(beganMs), spacingMs: 0 },
      ];
      return runs.filter(({ count }) => count > 0);
    },
    resume(past, newestMs) {
      const beganMs = Math.floor(newestMs / windowMs) * windowMs;
      const current = countSince(past, beganMs);
      return [beganMs, current, countSince(past, beganMs - windowMs) - current];
    },
  });
}
