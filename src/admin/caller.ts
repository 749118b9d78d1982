import { hash, X509Certificate } from 'node:crypto';
import type { ServerInterceptingCallInterface } from '@grpc/grpc-js';
import { plainFingerprint } from '../domain/fingerprint.ts';
import { displayName, type Identity, identityOf } from '../domain/identity.ts';

/** Who makes a call, and what for: what the certificate proves, what goes into the log and the audit trail. */
export interface Caller {
  /** undefined: the certificate carries more than one common name, or the connection has no verified certificate. */
  readonly identity: Identity | undefined;
  readonly name: string;
  /** SHA-256 of the certificate, 64 lower-case hex digits; empty without one. */
  readonly fingerprint: string;
  /** DER; undefined without one. */
  readonly certificate: Buffer | undefined;
  /** When the certificate ends, in milliseconds since 1970; without one it has ended always. */
  readonly endsAtMs: number;
  /** host:port of the other end. */
  readonly from: string;
  /** Without the service: AddClient. */
  readonly method: string;
  /** The request message; undefined when the call was refused before it was read. */
  readonly request: unknown;
}

/** What the certificate proves; `ambiguous`: it has more than one common name. */
export function identityIn(certificate: X509Certificate): Identity | 'ambiguous' {
  // As dataplane/fingerprint.ts has it: the domain alone is common to both, and hashes nothing.
  return identityOf(certificate, (der) => hash('sha256', der, 'hex'));
}

/** Reads the caller from the connection's verified certificate. */
export function callerOf(
  call: Pick<ServerInterceptingCallInterface, 'getAuthContext' | 'getPeer'>,
  path: string,
  request?: unknown,
): Caller {
  const raw = call.getAuthContext().sslPeerCertificate?.raw;
  const about = { from: call.getPeer(), method: path.slice(path.lastIndexOf('/') + 1), request };
  if (raw === undefined) return { identity: undefined, name: '', fingerprint: '', certificate: undefined, endsAtMs: 0, ...about };
  const certificate = new X509Certificate(raw);
  const fingerprint = plainFingerprint(certificate.fingerprint256);
  const identity = identityIn(certificate);
  const known = { fingerprint, certificate: raw, endsAtMs: certificate.validToDate.getTime(), ...about };
  if (identity === 'ambiguous') return { identity: undefined, name: certificate.fingerprint256, ...known };
  return { identity, name: displayName(identity), ...known };
}
