/** How long it takes to connect to a server, as a moving average that every thread adds to. */

/** What is known: an average of milliseconds, and when it was brought up to date, on a clock that all threads share. */
export interface LatencyEstimate {
  readonly averageMs: number;
  readonly atMs: number;
}

/** After so long without a new measurement an estimate counts for 1/e of what it was; Finagle's default of peak EWMA. */
export const LATENCY_DECAY_MS = 10_000;

const LEAST_MS = 0.01;

/**
 * The estimate after one more measurement: Finagle's peak EWMA. A measurement above what is left of the estimate replaces it at once;
 * one below draws it down by as much as time has passed.
 */
export function observeLatency(before: LatencyEstimate | undefined, tookMs: number, nowMs: number): LatencyEstimate {
  if (before === undefined) return { averageMs: tookMs, atMs: nowMs };
  const weight = Math.exp(-Math.max(0, nowMs - before.atMs) / LATENCY_DECAY_MS);
  const left = before.averageMs * weight;
  return { averageMs: tookMs > left ? tookMs : left * weight + tookMs * (1 - weight), atMs: nowMs };
}

/**
 * A number that orders servers as their estimates do at any one moment. All of them decay at one rate, so which is less does not
 * change while time passes, and the logarithm at time 0 will do. A server that is not measured falls behind those that are: however
 * slow it once was, its turn comes.
 */
export function latencyRank({ averageMs, atMs }: LatencyEstimate): number {
  return Math.log(Math.max(averageMs, LEAST_MS)) + atMs / LATENCY_DECAY_MS;
}
