import type { ConnectionRate } from '../model.ts';
import type { Cells, RateLimiter } from './limiter.ts';
import { limiterOf } from './rules.ts';

/** Cells: how many were ever admitted, then a ring of the times of the last `limit` of them. */
const ADMITTED = 0;
const RING = 1;

/** At most `limit` arrivals in ANY window of `windowMs`, exactly; it takes one cell for each connection of the limit. */
export function slidingWindowLog({ limit, windowMs }: Pick<ConnectionRate, 'limit' | 'windowMs'>): RateLimiter {
  const timeOf = (cells: Cells, arrival: number) => cells[RING + (arrival % limit)] ?? 0;

  return limiterOf({
    words: RING + limit,
    opensAtMs(cells, nowMs) {
      const admitted = cells[ADMITTED] ?? 0;
      return admitted < limit ? nowMs : timeOf(cells, admitted - limit) + windowMs;
    },
    room(cells, nowMs) {
      const admitted = cells[ADMITTED] ?? 0;
      // The times are in order, so the first arrival that still counts is found by halving.
      let first = Math.max(0, admitted - limit);
      let end = admitted;
      while (first < end) {
        const middle = Math.floor((first + end) / 2);
        if (timeOf(cells, middle) + windowMs > nowMs) end = middle;
        else first = middle + 1;
      }
      return limit - (admitted - first);
    },
    take(cells, nowMs) {
      const admitted = cells[ADMITTED] ?? 0;
      const newestMs = admitted === 0 ? 0 : timeOf(cells, admitted - 1);
      cells[RING + (admitted % limit)] = Math.max(nowMs, newestMs);
      cells[ADMITTED] = admitted + 1;
    },
  });
}
