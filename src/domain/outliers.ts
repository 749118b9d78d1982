/**
 * Passive health, as a reducer: which servers are ejected because connections to them fail, for how long, and when not. After Envoy's
 * outlier detection (consecutive local-origin failures): envoyproxy.io, "Outlier detection".
 */
import type { OutlierDetection } from './model.ts';

/** What is remembered of a server. */
export interface Outlier {
  /** Ejections in a row, one that lasts included. */
  readonly ejectionsInARow: number;
  /** undefined: it is not ejected. */
  readonly ejectedUntilMs: number | undefined;
  /** When its last ejection ended. */
  readonly goodSinceMs: number;
}

/** Where every server begins. */
export const NEVER_EJECTED: Outlier = { ejectionsInARow: 0, ejectedUntilMs: undefined, goodSinceMs: 0 };

/** The group around a server that fails. */
export interface Surroundings {
  /** Servers of the group. */
  readonly servers: number;
  /** Of which are ejected. */
  readonly ejected: number;
  /** Another server of the group takes connections. */
  readonly hasOther: boolean;
}

/** Why a server that fails is not ejected. */
export type Sparing = 'turned off' | 'already ejected' | 'too many ejected' | 'last usable';

/** `spared`: undefined when the server is ejected from now on. */
export interface Decision {
  readonly outlier: Outlier;
  readonly spared: Sparing | undefined;
}

/** What becomes of a server to which `consecutiveFailures` connects in a row have failed. */
export function judgeFailures(
  outlier: Outlier,
  policy: OutlierDetection,
  { servers, ejected, hasOther }: Surroundings,
  nowMs: number,
): Decision {
  const spared = (why: Sparing): Decision => ({ outlier, spared: why });
  if (policy.consecutiveFailures === 0) return spared('turned off');
  if (outlier.ejectedUntilMs !== undefined) return spared('already ejected');
  if ((ejected + 1) * 100 > servers * policy.maxEjectionPercent) return spared('too many ejected');
  if (!hasOther) return spared('last usable');
  const ejectionsInARow = rowAt(outlier, policy, nowMs) + 1;
  return { outlier: { ...outlier, ejectionsInARow, ejectedUntilMs: nowMs + ejectionMs(ejectionsInARow, policy) }, spared: undefined };
}

/** The server takes connections again. */
export function endEjection(outlier: Outlier, nowMs: number): Outlier {
  return { ...outlier, ejectedUntilMs: undefined, goodSinceMs: nowMs };
}

/**
 * How many ejections in a row the next one comes after: one less for each base ejection time that the server has been back. (Envoy
 * takes one off at each of its intervals, 10 s unless told.)
 */
export function rowAt(
  { ejectionsInARow, ejectedUntilMs, goodSinceMs }: Outlier,
  { baseEjectionMs }: OutlierDetection,
  nowMs: number,
): number {
  if (ejectedUntilMs !== undefined) return ejectionsInARow;
  return Math.max(0, ejectionsInARow - Math.floor(Math.max(0, nowMs - goodSinceMs) / baseEjectionMs));
}

function ejectionMs(inARow: number, { baseEjectionMs, maxEjectionMs }: OutlierDetection): number {
  return Math.min(baseEjectionMs * inARow, Math.max(baseEjectionMs, maxEjectionMs));
}
