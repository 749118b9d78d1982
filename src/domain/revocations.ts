/** Since when certificates are revoked. */
import type { Revocation } from './model.ts';

/** Those of a file may not say when: they count from `nowMs`, the time of the change that takes them in. */
export function datedRevocations(revocations: readonly Revocation[], nowMs: number): readonly Revocation[] {
  return revocations.map((revocation) => (revocation.atMs === 0 ? { ...revocation, atMs: nowMs } : revocation));
}
