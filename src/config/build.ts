/** A file that has passed every check -> Config: defaults that depend on other values, paths, short forms. */
import { availableParallelism } from 'node:os';
import path from 'node:path';
import { DEFAULT_SERVER } from '../domain/defaults.ts';
import type { HealthCheck } from '../domain/health-check.ts';
import {
  ANY_NAME_MATCH,
  type Bandwidth,
  type Client,
  type ConnectionRate,
  type IdentityMatch,
  type Listener,
  type TargetGroup,
  type UpstreamTls,
} from '../domain/model.ts';
import { ROLES, type RoleRules } from '../domain/roles.ts';
import type { TlsParams } from '../domain/tls-material.ts';
import { DEFAULT_CIPHERS } from './ciphers.ts';
import type { AdminConfig, Config, StoreConfig } from './config.ts';
import type { ClientMatchInFile, MatchInFile } from './schema/clients.ts';
import type { ConfigFile } from './schema/file.ts';
import type { TargetGroupInFile } from './schema/target-groups.ts';
import type { TlsParamsInFile } from './schema/tls.ts';

/** Makes a path from the file absolute. */
export type ResolvePath = (written: string) => string;

export function buildConfig(written: ConfigFile, file: string, resolvePath: ResolvePath): Config {
  const tlsOf = (own: TlsParamsInFile | undefined) => {
    const tls = own ?? written.tlsParams;
    if (tls === undefined) throw new Error('cross-checks.ts lets no file through that lacks needed TLS parameters');
    return resolveTls(tls, resolvePath);
  };
  const { handshakeTimeout, idleTimeout, halfCloseTimeout, maxDuration, drainTimeout } = written.timeouts;
  return deepFreeze({
    file,
    listeners: listenersOf(written, tlsOf),
    targetGroups: written.targetGroups.map((group) => targetGroupOf(group, written, resolvePath)),
    clients: written.clients.map(clientOf),
    revocations: written.revokedCertificates.map(({ fingerprint, comment = '', revokedAt = 0 }) => ({
      fingerprint,
      comment,
      atMs: revokedAt,
    })),
    timeouts: {
      handshakeMs: handshakeTimeout,
      idleMs: idleTimeout,
      halfCloseMs: halfCloseTimeout,
      maxDurationMs: maxDuration,
      drainMs: drainTimeout,
    },
    workers: written.workers ?? Math.min(availableParallelism(), 64),
    maxPendingHandshakes: written.maxPendingHandshakes,
    admin: adminOf(written, tlsOf),
    metrics: written.metrics,
    store: storeOf(written, file),
    logLevel: written.logLevel,
  });
}

/** With absolute paths, and the default suites where it names none. */
export function resolveTls(tls: TlsParamsInFile, resolvePath: ResolvePath): TlsParams {
  return {
    certificate: resolvePath(tls.certificate),
    privateKey: resolvePath(tls.privateKey),
    ocspResponse: tls.ocspResponse === undefined ? undefined : resolvePath(tls.ocspResponse),
    certificates: tls.certificates.map(({ certificate, privateKey, ocspResponse }) => ({
      certificate: resolvePath(certificate),
      privateKey: resolvePath(privateKey),
      ocspResponse: ocspResponse === undefined ? undefined : resolvePath(ocspResponse),
    })),
    caCert: resolvePath(tls.caCert),
    crl: tls.crl === undefined ? undefined : resolvePath(tls.crl),
    minVersion: tls.minVersion,
    ciphers: tls.ciphers ?? DEFAULT_CIPHERS,
    sessionTickets: tls.sessionTickets,
  };
}

function listenersOf(written: ConfigFile, tlsOf: (own: TlsParamsInFile | undefined) => TlsParams): Listener[] {
  const listeners = written.listeners.map(
    ({ name, address, tls, plain, alpn, acceptProxyProtocol, perAddress, targetGroup, routes }): Listener => ({
      name,
      address,
      tls: plain ? undefined : tlsOf(tls),
      alpn,
      acceptProxyProtocol,
      perAddress:
        perAddress === undefined
          ? undefined
          : {
              connectionsPerSecond: perAddress.connectionsPerSecond,
              burst: perAddress.burst ?? perAddress.connectionsPerSecond ?? 1,
              pendingHandshakes: perAddress.pendingHandshakes,
              concurrentConnections: perAddress.concurrentConnections,
            },
      targetGroup,
      routes: routes.map((route) => ({ sni: route.sni, alpn: route.alpn, targetGroup: route.targetGroup })),
    }),
  );
  if (written.listenAddress === undefined) return listeners;
  const short: Listener = {
    name: 'default',
    address: written.listenAddress,
    tls: tlsOf(undefined),
    alpn: [],
    acceptProxyProtocol: [],
    perAddress: undefined,
    targetGroup: undefined,
    routes: [],
  };
  return [short, ...listeners];
}

function targetGroupOf(group: TargetGroupInFile, { timeouts }: ConfigFile, resolvePath: ResolvePath): TargetGroup {
  const { outlierDetection, queue, agentCheck } = group;
  return {
    name: group.name,
    algorithm: group.algorithm,
    servers: group.upstreamServers.map((server) =>
      typeof server === 'string'
        ? { address: server, ...DEFAULT_SERVER }
        : {
            address: server.address,
            weight: server.weight,
            maxConnections: server.maxConnections,
            backup: server.backup,
            mode: server.mode,
          },
    ),
    healthCheck: healthCheckOf(group.healthCheck),
    connectTimeoutMs: group.connectTimeout ?? timeouts.connectTimeout,
    retries: group.retries ?? timeouts.retries,
    onUnhealthy: group.onUnhealthy,
    slowStartMs: group.slowStart,
    panicThreshold: group.panicThreshold,
    outlierDetection: {
      consecutiveFailures: outlierDetection.consecutiveFailures,
      baseEjectionMs: outlierDetection.baseEjectionTime,
      maxEjectionMs: outlierDetection.maxEjectionTime,
      maxEjectionPercent: outlierDetection.maxEjectionPercent,
    },
    queue: queue === undefined ? undefined : { maxLength: queue.maxLength, timeoutMs: queue.timeout },
    hashBalanceFactor: group.hashBalanceFactor,
    agentCheck:
      agentCheck === undefined ? undefined : { port: agentCheck.port, intervalMs: agentCheck.interval, timeoutMs: agentCheck.timeout },
    rebalance: group.rebalance,
    sendProxyProtocol: group.sendProxyProtocol,
    upstreamTls: group.upstreamTls === undefined ? undefined : upstreamTlsOf(group.upstreamTls, resolvePath),
    resolveIntervalMs: group.resolveInterval,
  };
}

function upstreamTlsOf(tls: NonNullable<TargetGroupInFile['upstreamTls']>, resolvePath: ResolvePath): UpstreamTls {
  const { ca, serverName, certificate, privateKey, insecureSkipVerify } = tls;
  return {
    ca: ca === undefined ? undefined : resolvePath(ca),
    serverName,
    clientCertificate:
      certificate === undefined || privateKey === undefined
        ? undefined
        : { certificate: resolvePath(certificate), privateKey: resolvePath(privateKey) },
    insecureSkipVerify,
  };
}

function healthCheckOf(check: TargetGroupInFile['healthCheck']): HealthCheck {
  const { path, host, status, body } = check.http ?? { path: '/', host: undefined, status: { from: 200, to: 399 }, body: undefined };
  return {
    type: check.type,
    intervalMs: check.interval,
    timeoutMs: check.timeout,
    unhealthyThreshold: check.unhealthyThreshold,
    healthyThreshold: check.healthyThreshold,
    maxIntervalMs: check.maxInterval ?? Math.max(60_000, check.interval),
    http: check.type === 'http' ? { path, host, statusFrom: status.from, statusTo: status.to, body } : undefined,
    grpc: check.type === 'grpc' ? { service: check.grpc?.service ?? '', authority: check.grpc?.authority } : undefined,
    sendExpect:
      check.type === 'sendExpect' && check.sendExpect !== undefined
        ? { send: check.sendExpect.send, expect: check.sendExpect.expect }
        : undefined,
  };
}

function clientOf(client: ConfigFile['clients'][number]): Client {
  const { clientId, match, allowedTargetGroup, allowedTargetGroups, limits } = client;
  return {
    clientId,
    match: match === undefined ? ANY_NAME_MATCH : clientMatchOf(match),
    allowedTargetGroups: allowedTargetGroup === undefined ? (allowedTargetGroups ?? []) : [allowedTargetGroup],
    limits: {
      connectionRate: connectionRateOf(client),
      concurrentConnections: limits?.concurrentConnections,
      bandwidth: bandwidthOf(limits?.bandwidth),
      shadow: limits?.shadow ?? false,
    },
  };
}

function bandwidthOf(bandwidth: NonNullable<ConfigFile['clients'][number]['limits']>['bandwidth']): Bandwidth | undefined {
  if (bandwidth?.upload === undefined && bandwidth?.download === undefined) return undefined;
  return { uploadBytesPerSecond: bandwidth.upload, downloadBytesPerSecond: bandwidth.download };
}

function connectionRateOf({ requests_per_second: perSecond, limits }: ConfigFile['clients'][number]): ConnectionRate | undefined {
  if (perSecond !== undefined)
    return { algorithm: 'fixedWindow', limit: perSecond, windowMs: 1000, burst: undefined, action: 'reset', maxDelayMs: 5000 };
  const rate = limits?.connectionRate;
  if (rate === undefined) return undefined;
  return {
    algorithm: rate.algorithm,
    limit: rate.limit,
    windowMs: rate.window,
    burst: rate.burst,
    action: rate.action,
    maxDelayMs: rate.maxDelay,
  };
}

function matchOf({ cn, dns, uri, ou, fingerprint }: MatchInFile): IdentityMatch {
  return { cn, dns, uri, ou, fingerprint, cidr: undefined };
}

function clientMatchOf({ cidr, ...certificate }: ClientMatchInFile): IdentityMatch {
  return { ...matchOf(certificate), cidr };
}

function adminOf({ admin }: ConfigFile, tlsOf: (own: TlsParamsInFile | undefined) => TlsParams): AdminConfig {
  return { address: admin.address, tls: tlsOf(admin.tls), roles: rolesOf(admin.roles), rolesConfigured: admin.roles !== undefined };
}

/** Without rules, a certificate whose OU or CN is the name of a role has that role. */
function rolesOf(roles: ConfigFile['admin']['roles']): RoleRules {
  const rules: Record<(typeof ROLES)[number], IdentityMatch[]> = { viewer: [], operator: [], admin: [] };
  for (const role of ROLES) {
    if (roles === undefined) rules[role].push({ ...ANY_NAME_MATCH, ou: role }, { ...ANY_NAME_MATCH, cn: role });
    else if (!Array.isArray(roles))
      rules[role].push(...roles[role].map((entry) => (typeof entry === 'string' ? { ...ANY_NAME_MATCH, cn: entry } : matchOf(entry))));
  }
  if (Array.isArray(roles)) for (const { role, match, ...own } of roles) rules[role].push(matchOf(match ?? own));
  return rules;
}

/** The state is written, not read first: it stands beside the config file even when nothing is there yet. */
function storeOf({ store }: ConfigFile, file: string): StoreConfig {
  if (store.kind === 'memory') return { kind: 'memory' };
  return {
    kind: 'sqlite',
    path: store.path === undefined ? `${file.replace(/\.ya?ml$/i, '')}.state.db` : path.resolve(path.dirname(file), store.path),
  };
}

function deepFreeze<T>(value: T): T {
  if (typeof value === 'object' && value !== null && !Object.isFrozen(value)) {
    Object.freeze(value);
    for (const part of Object.values(value)) deepFreeze(part);
  }
  return value;
}
