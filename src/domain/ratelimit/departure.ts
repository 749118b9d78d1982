/** A limit that makes connections wait: each is given the moment at which it goes, before it waits for it. */
import { isCountedBy, LATEST_DEPARTURE, type LimitState, limiterInForce, peekLimit, type RevisedLimit } from './limit-state.ts';
import type { Verdict } from './limiter.ts';

/** How far ahead departures are given. */
export interface DepartureBounds {
  /** None later than this from now. */
  readonly maxDelayMs: number;
  /** A leaky bucket: no more than so many wait at a time, over all who decide by it. undefined: not bounded here. */
  readonly mostWaiting: number | undefined;
}

/** When the next connection may go, on the clock of `nowMs`; or why it is given no time. */
export type Departure = number | 'too_long' | 'line_full';

/**
 * Takes the next departure that the limit allows, now or later. It is counted as an admission at its own time, so whoever comes next, in
 * whichever worker, is given a later one: a leaky bucket's departures are its interval apart, whoever they are given to.
 */
export function takeDeparture(state: LimitState, limit: RevisedLimit, bounds: DepartureBounds, nowMs: number): Departure {
  const limiter = limiterInForce(state, limit, nowMs);
  const fromMs = earliest(state, nowMs);
  const departure = departureAt(afterVerdict(limiter.peek(state.cells, fromMs), fromMs), limit, bounds, nowMs);
  if (typeof departure !== 'number') return departure;
  limiter.admit(state.cells, departure);
  state.terms[LATEST_DEPARTURE] = departure;
  return departure;
}

/** What {@link takeDeparture} would give. Changes nothing. */
export function peekDeparture(state: LimitState, limit: RevisedLimit, bounds: DepartureBounds, nowMs: number): Departure {
  const fromMs = isCountedBy(state, limit) ? earliest(state, nowMs) : nowMs;
  return departureAt(afterVerdict(peekLimit(state, limit, fromMs), fromMs), limit, bounds, nowMs);
}

/** First come, first served: nobody goes before one who came earlier. */
function earliest({ terms }: LimitState, nowMs: number): number {
  return Math.max(nowMs, terms[LATEST_DEPARTURE] ?? 0);
}

function afterVerdict(verdict: Verdict, fromMs: number): number {
  return verdict.admitted ? fromMs : fromMs + verdict.retryAfterMs;
}

function departureAt(departureMs: number, { rule }: RevisedLimit, { maxDelayMs, mostWaiting }: DepartureBounds, nowMs: number): Departure {
  const delayMs = departureMs - nowMs;
  if (delayMs > maxDelayMs) return 'too_long';
  if (mostWaiting !== undefined) {
    // One leaves at each interval, so the delay says how many are ahead; a rounding error makes nobody more.
    const intervals = Math.ceil((delayMs * rule.limit) / rule.windowMs - 1e-6);
    if (intervals > mostWaiting) return 'line_full';
  }
  return departureMs;
}
