import type { Cells, RateLimiter, Verdict } from './limiter.ts';
import type { Past } from './past.ts';

/** What makes one algorithm differ from the next. */
export interface RateAlgorithmRules {
  /** How many cells the state takes. */
  readonly words: number;
  /** The time from which the next arrival is admitted if nobody else comes: `nowMs` or earlier when it is admitted now. */
  opensAtMs(cells: Cells, nowMs: number): number;
  /** How many arrivals would be admitted now; asked only when one is. */
  room(cells: Cells, nowMs: number): number;
  /** Counts one admitted arrival. */
  take(cells: Cells, nowMs: number): void;
  /** As {@link RateLimiter.past}. */
  past(cells: Cells, nowMs: number): Past;
  /** As {@link RateLimiter.resume}; there is at least one run. */
  resume(past: Past, newestMs: number): readonly number[];
}

/**
 * The limiter that these rules make. Admission is decided by a point in time that follows from the cells alone, and that
 * same point is what a refused arrival is told: the two can never disagree by a rounding error.
 */
export function limiterOf({ words, opensAtMs, room, take, past, resume }: RateAlgorithmRules): RateLimiter {
  return {
    words,
    past,
    resume: (known) => (known[0] === undefined ? [] : resume(known, known[0].newestMs)),
    admit(cells, nowMs) {
      const opensMs = opensAtMs(cells, nowMs);
      if (opensMs > nowMs) return refusedUntil(opensMs, nowMs);
      const remaining = Math.max(0, room(cells, nowMs) - 1);
      take(cells, nowMs);
      return { admitted: true, remaining };
    },
    peek(cells, nowMs) {
      const opensMs = opensAtMs(cells, nowMs);
      return opensMs > nowMs ? refusedUntil(opensMs, nowMs) : { admitted: true, remaining: Math.max(1, room(cells, nowMs)) };
    },
  };
}

/** The difference is rounded; where `nowMs` plus it would fall short of `opensMs`, it is made up to reach it. */
function refusedUntil(opensMs: number, nowMs: number): Verdict {
  const waitMs = opensMs - nowMs;
  const missingMs = opensMs - (nowMs + waitMs);
  return { admitted: false, retryAfterMs: missingMs > 0 ? waitMs + missingMs : waitMs };
}
