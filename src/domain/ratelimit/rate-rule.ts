import type { ConnectionRate, RateAlgorithm } from '../model.ts';

/** The part of a connection-rate limit that decides how arrivals are counted. */
export interface RateRule {
  readonly algorithm: RateAlgorithm;
  /** Connections per window. */
  readonly limit: number;
  readonly windowMs: number;
  /** What a bucket holds; 0 with the algorithms that have none. */
  readonly burst: number;
}

/**
 * How a client's limit is counted. A leaky bucket with the action `delay` is a queue: one leaves at each interval, none together, so it
 * holds one; its `burst` is how many may wait, which the one who makes them wait sees to.
 */
export function ruleOf({ algorithm, limit, windowMs, burst = limit, action }: ConnectionRate): RateRule {
  return { algorithm, limit, windowMs, burst: heldBy(algorithm, burst, action) };
}

function heldBy(algorithm: RateAlgorithm, burst: number, action: ConnectionRate['action']): number {
  if (algorithm === 'tokenBucket') return burst;
  if (algorithm === 'leakyBucket') return action === 'delay' ? 1 : burst;
  return 0;
}
