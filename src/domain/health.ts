/** Whether an upstream server is up, as a reducer over what its probes say. */
import type { HealthCheck } from './health-check.ts';

/** A server's health, with the run of outcomes that may change it. */
export type Health =
  /** No probe has finished yet; the server takes no connections. */
  | { readonly state: 'unknown' }
  | { readonly state: 'healthy'; readonly failuresInARow: number }
  /** One of the two runs is 0; `failuresInARow` counts those after the one that took the server down. */
  | { readonly state: 'unhealthy'; readonly successesInARow: number; readonly failuresInARow: number };

/** Where every server begins. */
export const UNKNOWN_HEALTH: Health = { state: 'unknown' };

export type Outcome = 'success' | 'failure';

export type HealthThresholds = Pick<HealthCheck, 'unhealthyThreshold' | 'healthyThreshold'>;

/** `flipped`: the state is another than before. */
export interface Observation {
  readonly health: Health;
  readonly flipped: boolean;
}

const UP: Health = { state: 'healthy', failuresInARow: 0 };
const DOWN: Health = { state: 'unhealthy', successesInARow: 0, failuresInARow: 0 };

/**
 * The health after one more probe. A run of `unhealthyThreshold` failures takes a healthy server down, one of `healthyThreshold`
 * successes brings it back. From unknown the first outcome decides: the thresholds guard against flapping, and a server that
 * nothing is known of cannot flap; waiting for more would leave a fresh start without any server for several intervals.
 */
export function observe(health: Health, outcome: Outcome, { unhealthyThreshold, healthyThreshold }: HealthThresholds): Observation {
  switch (health.state) {
    case 'unknown':
      return { health: outcome === 'success' ? UP : DOWN, flipped: true };
    case 'healthy': {
      if (outcome === 'success') return { health: UP, flipped: false };
      const failuresInARow = health.failuresInARow + 1;
      if (failuresInARow >= unhealthyThreshold) return { health: DOWN, flipped: true };
      return { health: { state: 'healthy', failuresInARow }, flipped: false };
    }
    case 'unhealthy': {
      if (outcome === 'failure') {
        return { health: { state: 'unhealthy', successesInARow: 0, failuresInARow: health.failuresInARow + 1 }, flipped: false };
      }
      const successesInARow = health.successesInARow + 1;
      if (successesInARow >= healthyThreshold) return { health: UP, flipped: true };
      return { health: { state: 'unhealthy', successesInARow, failuresInARow: 0 }, flipped: false };
    }
  }
}

/**
 * How long to wait before the next probe, in milliseconds, without jitter: `intervalMs`, doubled for each failure in a row of a
 * server that is down, up to `maxIntervalMs` (which never shortens the interval). A success ends the backing off.
 */
export function nextIntervalMs(health: Health, check: Pick<HealthCheck, 'intervalMs' | 'maxIntervalMs'>): number {
  const doublings = health.state === 'unhealthy' ? health.failuresInARow : 0;
  return Math.max(check.intervalMs, Math.min(check.intervalMs * 2 ** doublings, check.maxIntervalMs));
}
