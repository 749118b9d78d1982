import { type Identity, identityOf } from '../domain/identity.ts';
import { fingerprintOf } from './fingerprint.ts';
import { CertificateRefusal, Refusal } from './refusal.ts';
import type { ClientView, View } from './view.ts';

/**
 * Whose connection was refused because of its certificate: is whoever has stolen it still trying? undefined: nobody's, as long as what
 * the certificate says is not proven. `identity` is what a good handshake has proven.
 */
export function clientRefused(
  refusal: unknown,
  identity: Identity | undefined,
  source: bigint | undefined,
  view: View,
): ClientView | undefined {
  if (!(refusal instanceof Refusal)) return undefined;
  const proven =
    refusal instanceof CertificateRefusal && refusal.proven !== undefined ? identityOf(refusal.proven, fingerprintOf) : identity;
  if (proven === undefined || proven === 'ambiguous') return undefined;
  const client = view.findClient({ identity: proven, source });
  return typeof client === 'string' ? undefined : client;
}
