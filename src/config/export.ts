/** The running state as the text of a config file that starts another lbd with it. */
import { stringify } from 'yaml';
import { formatDuration } from '../domain/durations.ts';
import {
  type Client,
  type ConnectionRate,
  formatAddress,
  type HealthCheck,
  type IdentityMatch,
  type Listener,
  type Revocation,
  type Snapshot,
  type TargetGroup,
  type TlsParams,
  type UpstreamServer,
} from '../domain/model.ts';
import { ROLES } from '../domain/roles.ts';
import type { AdminConfig, MetricsConfig, Running } from './config.ts';
import type { ConfigDocument } from './document.ts';

/**
 * YAML that reads as the groups, clients and revocations of `snapshot`, with the listeners and settings of `running`. Paths are
 * absolute, so that it says the same wherever it is put.
 */
export function exportConfig(running: Running, snapshot: Snapshot): string {
  const { timeouts, workers, maxPendingHandshakes, admin, metrics, store, logLevel } = running;
  const document: ConfigDocument = {
    logLevel,
    listeners: snapshot.listeners.map(listenerDocument),
    targetGroups: [...snapshot.targetGroups.values()].map(groupDocument),
    clients: [...snapshot.clients.values()].map(clientDocument),
    revokedCertificates: [...snapshot.revocations.values()].map(revocationDocument),
    timeouts: {
      handshakeTimeout: formatDuration(timeouts.handshakeMs),
      idleTimeout: formatDuration(timeouts.idleMs),
      halfCloseTimeout: formatDuration(timeouts.halfCloseMs),
      maxDuration: timeouts.maxDurationMs === undefined ? 'none' : formatDuration(timeouts.maxDurationMs),
      drainTimeout: formatDuration(timeouts.drainMs),
    },
    workers,
    maxPendingHandshakes,
    admin: { address: formatAddress(admin.address), tls: tlsDocument(admin.tls), roles: rolesDocument(admin) },
    metrics: metricsDocument(metrics),
    store: { ...store },
  };
  // What is undefined is left out. No aliases: a file is read by people, and its parts are moved about.
  return stringify(document, { aliasDuplicateObjects: false, lineWidth: 0 });
}

function metricsDocument(metrics: MetricsConfig | undefined) {
  if (metrics === undefined) return undefined;
  const { address, dashboard, hosts } = metrics;
  return { address: formatAddress(address), dashboard, hosts: hosts.length === 0 ? undefined : [...hosts] };
}

function listenerDocument({ name, address, tls, targetGroup, routes }: Listener) {
  return {
    name,
    address: formatAddress(address),
    tls: tlsDocument(tls),
    targetGroup,
    routes: routes.length === 0 ? undefined : routes.map((route) => ({ ...route })),
  };
}

function tlsDocument({ certificate, privateKey, caCert, crl, minVersion, ciphers }: TlsParams) {
  return { certificate, privateKey, caCert, crl, minVersion, ciphers };
}

function groupDocument({ name, algorithm, servers, healthCheck, connectTimeoutMs, retries, onUnhealthy }: TargetGroup) {
  return {
    name,
    algorithm,
    upstreamServers: servers.map(serverDocument),
    healthCheck: healthCheckDocument(healthCheck),
    connectTimeout: formatDuration(connectTimeoutMs),
    retries,
    onUnhealthy,
  };
}

/** The short form where there is nothing but the address to say: there may be thousands. */
function serverDocument({ address, weight, maxConnections, backup, mode }: UpstreamServer) {
  if (weight === 1 && maxConnections === undefined && !backup && mode === 'ready') return address;
  return { address, weight, maxConnections, backup, mode };
}

function healthCheckDocument({ type, http, ...check }: HealthCheck) {
  return {
    type,
    interval: formatDuration(check.intervalMs),
    timeout: formatDuration(check.timeoutMs),
    unhealthyThreshold: check.unhealthyThreshold,
    healthyThreshold: check.healthyThreshold,
    // A file says no maxInterval below the interval, which it could not shorten anyway.
    maxInterval: formatDuration(Math.max(check.intervalMs, check.maxIntervalMs)),
    http: http === undefined ? undefined : { path: http.path, host: http.host, status: `${http.statusFrom}-${http.statusTo}` },
  };
}

function clientDocument({ clientId, match, allowedTargetGroups, limits }: Client) {
  const { connectionRate, concurrentConnections } = limits;
  const isLimited = connectionRate !== undefined || concurrentConnections !== undefined;
  return {
    clientId,
    match: matchDocument(match),
    allowedTargetGroups: [...allowedTargetGroups],
    limits: isLimited
      ? { connectionRate: connectionRate === undefined ? undefined : rateDocument(connectionRate), concurrentConnections }
      : undefined,
  };
}

function rateDocument({ algorithm, limit, windowMs, burst, action, maxDelayMs }: ConnectionRate) {
  return { algorithm, limit, window: formatDuration(windowMs), burst, action, maxDelay: formatDuration(maxDelayMs) };
}

/** undefined: any certificate that carries the client's id as a name. */
function matchDocument({ cn, dns, uri, ou, fingerprint }: IdentityMatch) {
  return (cn ?? dns ?? uri ?? ou ?? fingerprint) === undefined ? undefined : { cn, dns, uri, ou, fingerprint };
}

function revocationDocument({ fingerprint, comment, atMs }: Revocation) {
  return {
    fingerprint,
    comment: comment === '' ? undefined : comment,
    revokedAt: atMs === 0 ? undefined : new Date(atMs).toISOString(),
  };
}

function rolesDocument({ roles, rolesConfigured }: AdminConfig) {
  if (!rolesConfigured) return undefined;
  const [viewer, operator, admin] = ROLES.map((role) => roles[role].map((match) => matchDocument(match) ?? {}));
  return { viewer, operator, admin };
}
