import { isClient, type Peer } from '../domain/identity.ts';
import type { Snapshot } from '../domain/model.ts';
import type { CloseReason, RefusalReason } from '../domain/reasons.ts';
import { type Prints, revocationOf } from '../domain/revocations.ts';
import { Refusal } from './refusal.ts';
import type { View } from './view.ts';

/** On what ground a connection was let in. */
export interface Ground extends Peer {
  readonly clientId: string;
  readonly group: string;
}

/** The ground is gone: why a connection that stands on it is not served, or not any longer. */
export interface Withdrawal {
  readonly refusal: RefusalReason;
  readonly close: CloseReason;
  readonly detail: string;
}

/** Says so of a certificate that was revoked at run time; undefined: it was not. */
export function revokedText(certificate: Prints, snapshot: Snapshot): string | undefined {
  const revocation = revocationOf(certificate, snapshot);
  if (revocation === undefined) return undefined;
  const { fingerprint } = certificate;
  const as = revocation.fingerprint === fingerprint ? '' : ` as ${revocation.fingerprint}, the same certificate with another signature`;
  return `revoked at run time${as}; fingerprint ${fingerprint}`;
}

/**
 * What has been withdrawn of what let a connection in; undefined: nothing. The certificate, the client, that the certificate is
 * the client's, and the permission are each looked at; which group the routes of now lead to is not, since a changed
 * route forbids nothing.
 */
export function withdrawn({ identity, source, clientId, group }: Ground, { snapshot }: View): Withdrawal | undefined {
  const revoked = identity && revokedText(identity, snapshot);
  if (revoked !== undefined) return { refusal: 'certificate_revoked', close: 'revoked', detail: revoked };
  const client = snapshot.clients.get(clientId);
  if (client === undefined) return { refusal: 'unknown_client', close: 'client_removed', detail: `${clientId} was removed meanwhile` };
  if (!isClient(client, { identity, source })) {
    const what = identity === undefined ? 'address' : 'certificate, or the address that it comes from,';
    return { refusal: 'unknown_client', close: 'permission_removed', detail: `the ${what} is no longer that of ${clientId}` };
  }
  if (!client.allowedTargetGroups.includes(group)) {
    return { refusal: 'not_authorized', close: 'permission_removed', detail: `${clientId} may no longer reach ${group}` };
  }
  return undefined;
}

/** The same for a connection that is not served yet: the refusal that it gets. */
export function objectionTo(ground: Ground, view: View): Refusal | undefined {
  const withdrawal = withdrawn(ground, view);
  return withdrawal && new Refusal(withdrawal.refusal, withdrawal.detail);
}
