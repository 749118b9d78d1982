import { X509Certificate } from 'node:crypto';
import type { ServerInterceptingCallInterface } from '@grpc/grpc-js';
import { displayName, type Identity, identityOf } from '../domain/identity.ts';

/** Who makes a call: what its certificate proves, and the name and address that go into the log. */
export interface Caller {
  /** undefined: the certificate carries more than one common name, or the connection has no verified certificate. */
  readonly identity: Identity | undefined;
  readonly name: string;
  /** host:port of the other end. */
  readonly from: string;
}

/** Reads the caller from the connection's verified certificate. */
export function callerOf(call: Pick<ServerInterceptingCallInterface, 'getAuthContext' | 'getPeer'>): Caller {
  const raw = call.getAuthContext().sslPeerCertificate?.raw;
  const from = call.getPeer();
  if (raw === undefined) return { identity: undefined, name: '', from };
  const certificate = new X509Certificate(raw);
  const identity = identityOf(certificate);
  if (identity === 'ambiguous') return { identity: undefined, name: certificate.fingerprint256, from };
  return { identity, name: displayName(identity), from };
}
