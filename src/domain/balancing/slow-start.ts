/** Less than this would keep a server that has just recovered waiting until others have hundreds of connections. */
const LEAST_SHARE = 0.01;

/**
 * The part of its share that a server gets `slowStartMs` after it has recovered and before: it grows linearly, as HAProxy's
 * `slowstart` and Envoy's slow start with aggression 1 do. 1 without slow start and for a server that has never recovered (undefined).
 */
export function slowStartShare(recoveredAtMs: number | undefined, nowMs: number, slowStartMs: number): number {
  if (recoveredAtMs === undefined || slowStartMs === 0) return 1;
  return Math.min(1, Math.max(LEAST_SHARE, (nowMs - recoveredAtMs) / slowStartMs));
}
