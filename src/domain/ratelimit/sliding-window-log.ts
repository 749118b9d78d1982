import type { Cells, RateLimiter } from './limiter.ts';
import { countSince, type Past, type Run } from './past.ts';
import type { RateRule } from './rate-rule.ts';
import { limiterOf } from './rules.ts';

/** Cells: how many were ever admitted, then a ring of the times of the last of them, at least `limit`; with more cells, of more. */
const ADMITTED = 0;
const RING = 1;

/** Admissions within this part of a window are told as one run: a long log is handed on in few, and soon. */
const TOGETHER = 1 / 10_000;

/** The longest log that may be kept, in connections. */
export const LONGEST_LOG = 100_000;

/** At most `limit` arrivals in ANY window of `windowMs`, exactly; it takes one cell for each connection of the limit. */
export function slidingWindowLog({ limit, windowMs }: Pick<RateRule, 'limit' | 'windowMs'>): RateLimiter {
  const cellOf = (cells: Cells, arrival: number) => RING + (arrival % (cells.length - RING));
  const timeOf = (cells: Cells, arrival: number) => cells[cellOf(cells, arrival)] ?? 0;

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
      cells[cellOf(cells, admitted)] = Math.max(nowMs, newestMs);
      cells[ADMITTED] = admitted + 1;
    },
    past(cells) {
      const admitted = cells[ADMITTED] ?? 0;
      const oldest = Math.max(0, admitted - (cells.length - RING));
      const runs: Run[] = [];
      let newest = admitted - 1;
      for (let arrival = newest; arrival >= oldest; arrival--) {
        const newestMs = timeOf(cells, newest);
        if (arrival > oldest && newestMs - timeOf(cells, arrival - 1) < windowMs * TOGETHER) continue;
        runs.push({ count: newest - arrival + 1, newestMs, spacingMs: 0 });
        newest = arrival - 1;
      }
      return runs;
    },
    resume(past, newestMs) {
      const times = newestTimes(past, Math.min(LONGEST_LOG, Math.max(limit, countSince(past, newestMs - windowMs))));
      return [times.length, ...times.reverse()];
    },
  });
}

/** The times of the newest admissions, at most so many, newest first. */
function newestTimes(past: Past, most: number): number[] {
  const times: number[] = [];
  for (const { count, newestMs, spacingMs } of past) {
    for (let older = 0; older < count && times.length < most; older++) times.push(newestMs - older * spacingMs);
  }
  return times;
}
