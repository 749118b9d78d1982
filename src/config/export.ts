/** The running state as the text of a config file that starts another lbd with it. */
import { stringify } from 'yaml';
import { formatDuration } from '../domain/durations.ts';
import type { HealthCheck } from '../domain/health-check.ts';
import {
  type Client,
  type ConnectionRate,
  formatAddress,
  type IdentityMatch,
  type Listener,
  type Revocation,
  type Snapshot,
  type TargetGroup,
  type UpstreamServer,
  type UpstreamTls,
} from '../domain/model.ts';
import { ROLES } from '../domain/roles.ts';
import type { TlsParams } from '../domain/tls-material.ts';
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

function listenerDocument({ name, address, tls, alpn, acceptProxyProtocol, perAddress, targetGroup, routes }: Listener) {
  return {
    name,
    address: formatAddress(address),
    ...(tls === undefined ? { plain: true } : { tls: tlsDocument(tls) }),
    alpn: alpn.length === 0 ? undefined : [...alpn],
    acceptProxyProtocol: acceptProxyProtocol.length === 0 ? undefined : [...acceptProxyProtocol],
    perAddress: perAddress === undefined ? undefined : { ...perAddress },
    targetGroup,
    routes: routes.length === 0 ? undefined : routes.map((route) => ({ ...route })),
  };
}

function tlsDocument({ certificate, privateKey, ocspResponse, certificates, caCert, crl, minVersion, ciphers, sessionTickets }: TlsParams) {
  const more = certificates.length === 0 ? undefined : certificates.map((pair) => ({ ...pair }));
  return {
    certificate,
    privateKey,
    ocspResponse,
    certificates: more,
    caCert,
    crl,
    minVersion,
    ciphers,
    sessionTickets: sessionTickets || undefined,
  };
}

function groupDocument(group: TargetGroup) {
  const { outlierDetection, queue, agentCheck, upstreamTls } = group;
  return {
    name: group.name,
    algorithm: group.algorithm,
    upstreamServers: group.servers.map(serverDocument),
    healthCheck: healthCheckDocument(group.healthCheck),
    connectTimeout: formatDuration(group.connectTimeoutMs),
    retries: group.retries,
    onUnhealthy: group.onUnhealthy,
    slowStart: formatDuration(group.slowStartMs),
    panicThreshold: group.panicThreshold,
    outlierDetection: {
      consecutiveFailures: outlierDetection.consecutiveFailures,
      baseEjectionTime: formatDuration(outlierDetection.baseEjectionMs),
      maxEjectionTime: formatDuration(outlierDetection.maxEjectionMs),
      maxEjectionPercent: outlierDetection.maxEjectionPercent,
    },
    queue: queue === undefined ? undefined : { maxLength: queue.maxLength, timeout: formatDuration(queue.timeoutMs) },
    hashBalanceFactor: group.hashBalanceFactor,
    agentCheck:
      agentCheck === undefined
        ? undefined
        : { port: agentCheck.port, interval: formatDuration(agentCheck.intervalMs), timeout: formatDuration(agentCheck.timeoutMs) },
    rebalance: group.rebalance === undefined ? undefined : { ...group.rebalance },
    sendProxyProtocol: group.sendProxyProtocol,
    upstreamTls: upstreamTls === undefined ? undefined : upstreamTlsDocument(upstreamTls),
    resolveInterval: formatDuration(group.resolveIntervalMs),
  };
}

function upstreamTlsDocument({ ca, serverName, clientCertificate, insecureSkipVerify }: UpstreamTls) {
  return { ca, serverName, ...clientCertificate, insecureSkipVerify: insecureSkipVerify || undefined };
}

/** The short form where there is nothing but the address to say: there may be thousands. */
function serverDocument({ address, weight, maxConnections, backup, mode }: UpstreamServer) {
  if (weight === 1 && maxConnections === undefined && !backup && mode === 'ready') return address;
  return { address, weight, maxConnections, backup, mode };
}

function healthCheckDocument({ type, http, grpc, sendExpect, ...check }: HealthCheck) {
  return {
    type,
    interval: formatDuration(check.intervalMs),
    timeout: formatDuration(check.timeoutMs),
    unhealthyThreshold: check.unhealthyThreshold,
    healthyThreshold: check.healthyThreshold,
    // A file says no maxInterval below the interval, which it could not shorten anyway.
    maxInterval: formatDuration(Math.max(check.intervalMs, check.maxIntervalMs)),
    http:
      http === undefined ? undefined : { path: http.path, host: http.host, status: `${http.statusFrom}-${http.statusTo}`, body: http.body },
    grpc: grpc === undefined ? undefined : { service: grpc.service === '' ? undefined : grpc.service, authority: grpc.authority },
    sendExpect: sendExpect === undefined ? undefined : { ...sendExpect },
  };
}

function clientDocument({ clientId, match, allowedTargetGroups, limits }: Client) {
  const { connectionRate, concurrentConnections, bandwidth, shadow } = limits;
  const isLimited = (connectionRate ?? concurrentConnections ?? bandwidth) !== undefined || shadow;
  return {
    clientId,
    match: clientMatchDocument(match),
    allowedTargetGroups: [...allowedTargetGroups],
    limits: isLimited
      ? {
          connectionRate: connectionRate === undefined ? undefined : rateDocument(connectionRate),
          concurrentConnections,
          bandwidth:
            bandwidth === undefined ? undefined : { upload: bandwidth.uploadBytesPerSecond, download: bandwidth.downloadBytesPerSecond },
          shadow: shadow || undefined,
        }
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

/** As {@link matchDocument}, with the network of a client. */
function clientMatchDocument(match: IdentityMatch) {
  return match.cidr === undefined ? matchDocument(match) : { ...matchDocument(match), cidr: match.cidr };
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
