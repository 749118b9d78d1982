/**
 * THE closed list of why a connection was refused or closed. The same code appears in the connection log line, the
 * counters, the admin API and the metrics, so an operator can search one word everywhere.
 *
 * The position of a reason in {@link REASONS} is its counter's index in shared memory: append, never reorder within a run.
 */

/** Reasons for which a connection never reached an upstream server. */
export const REFUSAL_REASONS = [
  'too_many_handshakes',
  'handshake_timeout',
  'handshake_failed',
  'no_client_certificate',
  'certificate_untrusted',
  'certificate_revoked',
  'certificate_expired',
  'ambiguous_identity',
  'unknown_client',
  'no_route',
  'not_authorized',
  'rate_limited',
  'too_many_connections',
  'no_healthy_upstream',
  'upstream_connect_failed',
  'upstream_timeout',
  'client_gone',
  'overloaded',
  'address_limited',
  'proxy_protocol_invalid',
  'queue_full',
  'queue_timeout',
  'upstream_tls_failed',
  'refused_by_admin',
] as const;

/** Reasons for which a connection that was being served ended. */
export const CLOSE_REASONS = [
  'client_closed',
  'upstream_closed',
  'client_reset',
  'upstream_reset',
  'idle_timeout',
  'half_close_timeout',
  'max_duration',
  'client_removed',
  'upstream_removed',
  'upstream_unhealthy',
  'killed_by_admin',
  'shutdown',
  'internal_error',
  'permission_removed',
  'revoked',
  'certificate_withdrawn',
  'rebalanced',
] as const;

export const REASONS = [...REFUSAL_REASONS, ...CLOSE_REASONS] as const;

export type RefusalReason = (typeof REFUSAL_REASONS)[number];
export type CloseReason = (typeof CLOSE_REASONS)[number];
/** How a connection that was given a server ends: a plain one may be refused for its first words, which come after the server's. */
export type EndReason = CloseReason | Extract<RefusalReason, 'proxy_protocol_invalid'>;
export type Reason = (typeof REASONS)[number];

const INDEX: ReadonlyMap<string, number> = new Map(REASONS.map((reason, index) => [reason, index]));

/** The counter index of a reason, 0 to REASONS.length - 1. */
export function reasonIndex(reason: Reason): number {
  const index = INDEX.get(reason);
  if (index === undefined) throw new Error(`${reason} is not in the list of reasons`);
  return index;
}

const REFUSALS: ReadonlySet<string> = new Set(REFUSAL_REASONS);

/** True when the reason for closing connections is that they lose their server: it is none against their clients. */
export function isLossOfServer(reason: CloseReason): boolean {
  return reason === 'upstream_removed' || reason === 'upstream_unhealthy';
}

/** True when the reason says that the connection was never served. */
export function isRefusal(reason: Reason): reason is RefusalReason {
  return REFUSALS.has(reason);
}

/** What each reason means and what to do about it, one sentence: shown by the admin API and the README. */
export const REASON_MEANING: Readonly<Record<Reason, string>> = {
  too_many_handshakes: 'the worker already had its bound of unfinished TLS handshakes; look for a flood from one address',
  handshake_timeout: 'the client did not finish the TLS handshake within handshakeTimeout',
  handshake_failed:
    'the TLS handshake failed: no common version or cipher, not TLS at all (a PROXY header from where none is accepted), or the client gave up',
  no_client_certificate: 'the client presented no certificate; mutual TLS needs one',
  certificate_untrusted: 'no chain from the client certificate to the CA in caCert',
  certificate_revoked: 'the client certificate is on the revocation list, or was revoked at run time or in revokedCertificates',
  certificate_expired: 'the client certificate is expired or not valid yet',
  ambiguous_identity: 'the certificate matches more than one client, or carries more than one common name',
  unknown_client: 'the certificate is trusted but matches no configured client',
  no_route: 'no target group follows from the listener, the SNI, the ALPN or the client; or more than one does',
  not_authorized: 'the client is not allowed to reach the target group',
  rate_limited: 'the client is over its connection rate',
  too_many_connections: 'the client already holds as many connections as it may',
  no_healthy_upstream: 'the target group has no server that may take a connection now',
  upstream_connect_failed: 'every server that was tried refused the connection',
  upstream_timeout: 'the servers that were tried did not accept within connectTimeout',
  overloaded: 'the worker holds as many connections as the open-file limit of the process allows; raise the limit (ulimit -n, LimitNOFILE)',
  client_gone: 'the client left before an upstream server was connected',
  address_limited: 'the source address is over what perAddress of the listener allows one address',
  proxy_protocol_invalid:
    'the connection did not begin with a PROXY protocol header that is well formed; or, on a plain listener with acceptProxyProtocol, it began with one and came from where none is accepted',
  queue_full: 'every server is at its maxConnections, and as many connections wait as the queue holds',
  queue_timeout: 'every server stayed at its maxConnections for as long as the queue lets a connection wait',
  upstream_tls_failed: 'the TLS handshake with every server that was tried failed; look at upstreamTls of the target group',
  refused_by_admin: 'an administrator closed the connection while it waited for its turn or for a server, or was being connected to one',
  client_closed: 'the client ended the connection',
  upstream_closed: 'the upstream server ended the connection',
  client_reset: 'the client reset the connection, or its TLS stream broke',
  upstream_reset: 'the upstream server reset the connection',
  idle_timeout: 'no byte moved in either direction for idleTimeout',
  half_close_timeout: 'one side had ended and the other did not within halfCloseTimeout',
  max_duration: 'the connection reached maxDuration',
  client_removed: 'the client was removed while connected',
  upstream_removed: 'the upstream server was removed while connected',
  upstream_unhealthy: 'the upstream server failed its health check and the group closes such connections',
  killed_by_admin: 'an administrator closed the connection',
  shutdown: 'the load balancer stopped and the drain deadline passed',
  internal_error: 'a defect in the load balancer; the log has the stack',
  permission_removed: 'the client was changed while connected: it may no longer reach the target group, or is another certificate now',
  revoked: 'the client certificate was revoked at run time while connected',
  certificate_withdrawn: 'a reload of the CA or of the revocation list withdrew the client certificate while connected',
  rebalanced: 'closed so that the client comes back to a server that has recovered',
};
