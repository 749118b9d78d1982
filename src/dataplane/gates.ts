/** The checks that stand before an upstream server is dialled, one function each: connection.ts goes through them, Explain shows them. */
import { type Decision, decide, type Requested } from '../domain/authz.ts';
import { addressText } from '../domain/cidr.ts';
import { type CertificateFields, type Identity, identityOf, type Peer } from '../domain/identity.ts';
import type { Client, Listener } from '../domain/model.ts';
import type { Prints } from '../domain/revocations.ts';
import { fingerprintOf } from './fingerprint.ts';
import { Refusal } from './refusal.ts';
import { revokedText } from './standing.ts';
import type { ClientView, GroupView, View } from './view.ts';

/** Of the clients that one certificate matches. */
const MAX_NAMED = 5;

/** What the certificate proves. @throws Refusal `ambiguous_identity` */
export function identityIn(certificate: CertificateFields): Identity {
  const identity = identityOf(certificate, fingerprintOf);
  if (identity === 'ambiguous') throw new Refusal('ambiguous_identity', 'the certificate has more than one common name');
  return identity;
}

/** @throws Refusal `certificate_revoked` for a certificate that was revoked at run time */
export function refuseIfRevoked(certificate: Prints, view: View): void {
  const revoked = revokedText(certificate, view.snapshot);
  if (revoked !== undefined) throw new Refusal('certificate_revoked', revoked);
}

/** Which client it is. @throws Refusal `unknown_client` or `ambiguous_identity` */
export function clientOf(peer: Peer, view: View): ClientView {
  const client = view.findClient(peer);
  if (typeof client !== 'string') return client;
  const { identity, source } = peer;
  const from = source === undefined ? '' : addressText(source);
  if (client === 'ambiguous') {
    const what =
      identity === undefined
        ? `the networks of more than one client hold ${from}`
        : `the certificate matches ${several(view.clientIds(peer))}`;
    throw new Refusal('ambiguous_identity', what);
  }
  if (identity === undefined) {
    const why = from === '' ? 'a plain listener knows clients by where they come from' : `no client's network holds ${from}`;
    throw new Refusal('unknown_client', why);
  }
  throw new Refusal('unknown_client', `no client matches; fingerprint ${identity.fingerprint}`);
}

function several(clientIds: readonly string[]): string {
  const more = clientIds.length > MAX_NAMED ? ` and ${clientIds.length - MAX_NAMED} more` : '';
  return `more than one client: ${clientIds.slice(0, MAX_NAMED).join(', ')}${more}`;
}

/** Where the client is let through to. @throws Refusal `no_route` or `not_authorized` */
export function routeOf(client: Client, listenerName: string, requested: Requested, view: View): Extract<Decision, { allowed: true }> {
  const decision = decide(client, listenerNamed(listenerName, view), requested);
  if (!decision.allowed) throw new Refusal(decision.reason, decision.rule);
  return decision;
}

/** @throws Refusal `no_route` when it was removed */
export function groupNamed(name: string, view: View): GroupView {
  const group = view.group(name);
  if (group === undefined) throw new Refusal('no_route', `target group ${name} was removed`);
  return group;
}

/** @throws Refusal `no_route` when it was removed */
export function listenerNamed(name: string, view: View): Listener {
  const listener = view.listener(name);
  if (listener === undefined) throw new Refusal('no_route', `listener ${name} was removed`);
  return listener;
}
