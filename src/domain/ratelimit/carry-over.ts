import { limiterFor } from './algorithms.ts';
import type { Cells } from './limiter.ts';
import { type Past, withoutFuture } from './past.ts';
import type { RateRule } from './rate-rule.ts';

/**
 * The cells of the rule `to` for a client whose admissions were counted in `cells` by the rule `from` until now: what was used up stays
 * used up. With those that `from` still knows, no more are ever admitted than `to` allows in one of its windows, or than its
 * bucket holds and is given in any time of at most a window.
 *
 * What cells do not know is taken at its latest, against the client: all of a window counts as at its end, or as now while it lasts; a
 * bucket's admissions as at the last moments at which it had room for them. What they have forgotten comes back free: windows
 * before the last (before the last two for slidingWindowCounter), a bucket's admissions before it was last full, and with
 * slidingWindowLog those older than its window when there are more than its limit. A bucket that takes over more
 * than it may have admitted is shut for at most one of its windows.
 */
export function carryOver(from: RateRule, cells: Cells, to: RateRule, nowMs: number): Float64Array {
  return resumed(to, seenIn(from, cells, nowMs));
}

/**
 * {@link carryOver} for cells that may be in the middle of a change: beside what is seen in them, all that `to` allows counts as used up
 * now, so `to` admits nobody before the first of it comes back.
 */
export function carryOverUnseen(from: RateRule, cells: Cells, to: RateRule, nowMs: number): Float64Array {
  const seen = seenIn(from, cells, nowMs);
  const newestMs = Math.max(nowMs, seen[0]?.newestMs ?? 0);
  return resumed(to, [{ count: Math.max(to.limit, to.burst), newestMs, spacingMs: 0 }, ...seen]);
}

/** Who has been given a later time keeps it, and counts as of now: by the new rule nobody waits for those that the old one made wait. */
function seenIn(from: RateRule, cells: Cells, nowMs: number): Past {
  return withoutFuture(limiterFor(from).past(cells, nowMs), nowMs);
}

function resumed(to: RateRule, past: Past): Float64Array {
  const limiter = limiterFor(to);
  const carried = limiter.resume(past);
  const complete = new Float64Array(Math.max(limiter.words, carried.length));
  complete.set(carried);
  return complete;
}
