/** Which certificates are revoked, and since when. */
import type { Identity } from './identity.ts';
import type { Revocation, Snapshot } from './model.ts';

/** What a certificate is known by where something is forbidden to it. */
export type Prints = Pick<Identity, 'fingerprint' | 'twins'>;

/** The revocation that holds for a certificate: its own, or that of a twin; undefined: none does. */
export function revocationOf({ fingerprint, twins }: Prints, { revocations }: Pick<Snapshot, 'revocations'>): Revocation | undefined {
  if (revocations.size === 0) return undefined;
  const revoked = [fingerprint, ...twins].find((each) => revocations.has(each));
  return revoked === undefined ? undefined : revocations.get(revoked);
}

/** Whether what is forbidden to `fingerprint` is forbidden to the certificate. */
export function goesBy(fingerprint: string, certificate: Prints): boolean {
  return certificate.fingerprint === fingerprint || certificate.twins.includes(fingerprint);
}

/** Those of a file may not say when: they count from `nowMs`, the time of the change that takes them in. */
export function datedRevocations(revocations: readonly Revocation[], nowMs: number): readonly Revocation[] {
  return revocations.map((revocation) => (revocation.atMs === 0 ? { ...revocation, atMs: nowMs } : revocation));
}
