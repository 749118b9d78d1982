/** What lies between two states, and whom it touches. */
import { formatDuration } from './durations.ts';
import type { HealthCheck } from './health-check.ts';
import {
  type Client,
  type ConnectionRate,
  formatAddress,
  type Listener,
  type Revocation,
  type Snapshot,
  type TargetGroup,
  type UpstreamTls,
} from './model.ts';
import { revocationOf } from './revocations.ts';

/** One thing that differs: a whole entry that came or went, or one field of an entry that stayed. */
export interface Difference {
  readonly kind: 'added' | 'removed' | 'changed';
  /** In the keys of the configuration file: `targetGroups/web/upstreamServers/127.0.0.1:8081/weight`. */
  readonly path: string;
  /** As JSON, each value as the file writes it; empty for what was added. */
  readonly before: string;
  /** As JSON; empty for what was removed. */
  readonly after: string;
}

/** A live connection, or one that waits to be served, as far as a change of state may touch it. */
export interface LiveConnection {
  readonly clientId: string;
  /** Of the client's certificate; empty without one. */
  readonly fingerprint: string;
  /** As of Identity. */
  readonly twins: readonly string[];
  readonly group: string;
  readonly server: string;
  /** The name of the listener that it came in by. */
  readonly listener: string;
  /** undefined: it is served. What waits has no server yet, or only one that is being dialled. */
  readonly waiting: { readonly kind: 'delayed' | 'queued' | 'connecting' } | undefined;
}

/** A client that can reach a group no longer. */
export interface LostAccess {
  readonly clientId: string;
  /** undefined: the client is removed. */
  readonly targetGroup: string | undefined;
  /** Live connections that this closes. */
  readonly connections: number;
}

/** Live connections of one client with a certificate that the change revokes. */
export interface RevokedConnections {
  readonly fingerprint: string;
  readonly clientId: string;
  readonly connections: number;
}

export interface BlastRadius {
  /** Live connections of clients that stay, to servers or on listeners that go: they go on until they end. */
  readonly connectionsDraining: number;
  /** Live connections that are not allowed any more, and those whose queue is gone. */
  readonly connectionsClosing: number;
  /** Those of `connectionsClosing` that are not served yet. */
  readonly waitingRefused: number;
  /** Clients in the order of the state before. */
  readonly lostAccess: readonly LostAccess[];
  /** Those of `connectionsClosing` that close because of their certificates. */
  readonly revoked: readonly RevokedConnections[];
}

/** What differs in one entry; undefined: it is not there. */
export type EntryDifferences<T> = (name: string, before: T | undefined, after: T | undefined) => readonly Difference[];

export const listenerDifferences: EntryDifferences<Listener> = (name, before, after) => [
  ...between(`listeners/${name}`, before && listenerFields(before), after && listenerFields(after)),
];

export const groupDifferences: EntryDifferences<TargetGroup> = (name, before, after) => [
  ...between(`targetGroups/${name}`, before && groupFields(before), after && groupFields(after)),
];

export const clientDifferences: EntryDifferences<Client> = (name, before, after) => [
  ...between(`clients/${name}`, before && clientFields(before), after && clientFields(after)),
];

export const revocationDifferences: EntryDifferences<Revocation> = (name, before, after) => [
  ...between(`revokedCertificates/${name}`, before && revocationFields(before), after && revocationFields(after)),
];

/**
 * Whom the change from one state to the other would touch among the connections that are there now. A client's changed `match`
 * is not judged: that takes its certificate.
 */
export function blastRadius(before: Snapshot, after: Snapshot, live: Iterable<LiveConnection>): BlastRadius {
  const stays = serversIn(after);
  const listenersGone = new Set(before.listeners.map(({ name }) => name));
  for (const { name } of after.listeners) listenersGone.delete(name);
  const closingByAccess = new Map<string, number>();
  const revoked = new Map<string, RevokedConnections>();
  let connectionsDraining = 0;
  let connectionsClosing = 0;
  let waitingRefused = 0;
  for (const connection of live) {
    const { clientId, fingerprint, group, server, listener, waiting } = connection;
    const client = after.clients.get(clientId);
    const isAllowed = client?.allowedTargetGroups.includes(group) === true;
    const isRevoked = revocationOf(connection, after) !== undefined && revocationOf(connection, before) === undefined;
    const hasLostQueue = waiting?.kind === 'queued' && after.targetGroups.get(group)?.queue === undefined;
    if (isAllowed && !isRevoked && !hasLostQueue) {
      if ((waiting === undefined && !stays(group, server)) || listenersGone.has(listener)) connectionsDraining++;
      continue;
    }
    connectionsClosing++;
    if (waiting !== undefined) waitingRefused++;
    if (isRevoked) {
      const key = JSON.stringify([fingerprint, clientId]);
      revoked.set(key, { fingerprint, clientId, connections: (revoked.get(key)?.connections ?? 0) + 1 });
    }
    if (isAllowed) continue;
    const access = accessKey(clientId, client === undefined ? undefined : group);
    closingByAccess.set(access, (closingByAccess.get(access) ?? 0) + 1);
  }
  const lostAccess = accessLost(before, after).map((lost) => ({
    ...lost,
    connections: closingByAccess.get(accessKey(lost.clientId, lost.targetGroup)) ?? 0,
  }));
  return { connectionsDraining, connectionsClosing, waitingRefused, lostAccess, revoked: [...revoked.values()] };
}

function accessLost(before: Snapshot, after: Snapshot): Pick<LostAccess, 'clientId' | 'targetGroup'>[] {
  const lost: Pick<LostAccess, 'clientId' | 'targetGroup'>[] = [];
  for (const [clientId, client] of before.clients) {
    const still = after.clients.get(clientId);
    if (still === client) continue;
    if (still === undefined) lost.push({ clientId, targetGroup: undefined });
    else {
      const gone = client.allowedTargetGroups.filter((group) => !still.allowedTargetGroups.includes(group));
      lost.push(...gone.map((targetGroup) => ({ clientId, targetGroup })));
    }
  }
  return lost;
}

/** Says whether a group has a server. What there is of a group is looked through once. */
function serversIn({ targetGroups }: Snapshot): (group: string, server: string) => boolean {
  const known = new Map<string, ReadonlySet<string>>();
  return (name, server) => {
    const servers = known.get(name) ?? new Set(targetGroups.get(name)?.servers.map(({ address }) => address));
    known.set(name, servers);
    return servers.has(server);
  };
}

function accessKey(clientId: string, group: string | undefined): string {
  return JSON.stringify([clientId, group]);
}

/** The fields of an entry by the names that the file gives them: nested where a part has fields of its own. */
type Fields = { readonly [field: string]: unknown };

function listenerFields({ name: _, address, tls, ...same }: Listener): Fields {
  return { address: formatAddress(address), plain: tls === undefined ? true : undefined, tls: tls && { ...tls }, ...same };
}

function groupFields(group: TargetGroup): Fields {
  const { name: _, algorithm, servers, healthCheck, connectTimeoutMs, ...policy } = group;
  const { slowStartMs, resolveIntervalMs, outlierDetection, queue, agentCheck, upstreamTls, ...same } = policy;
  const { baseEjectionMs, maxEjectionMs, ...outliers } = outlierDetection;
  return {
    algorithm,
    healthCheck: healthCheckFields(healthCheck),
    connectTimeout: formatDuration(connectTimeoutMs),
    ...same,
    slowStart: formatDuration(slowStartMs),
    outlierDetection: {
      ...outliers,
      baseEjectionTime: formatDuration(baseEjectionMs),
      maxEjectionTime: formatDuration(maxEjectionMs),
    },
    queue: queue && { maxLength: queue.maxLength, timeout: formatDuration(queue.timeoutMs) },
    agentCheck: agentCheck && {
      port: agentCheck.port,
      interval: formatDuration(agentCheck.intervalMs),
      timeout: formatDuration(agentCheck.timeoutMs),
    },
    upstreamTls: upstreamTls && upstreamTlsFields(upstreamTls),
    resolveInterval: formatDuration(resolveIntervalMs),
    upstreamServers: Object.fromEntries(servers.map(({ address, ...server }) => [address, server])),
  };
}

function upstreamTlsFields({ clientCertificate, ...same }: UpstreamTls): Fields {
  return { ...same, ...clientCertificate };
}

function healthCheckFields({ intervalMs, timeoutMs, maxIntervalMs, http, ...same }: HealthCheck): Fields {
  return {
    ...same,
    interval: formatDuration(intervalMs),
    timeout: formatDuration(timeoutMs),
    maxInterval: formatDuration(maxIntervalMs),
    http: http && { path: http.path, host: http.host, status: `${http.statusFrom}-${http.statusTo}`, body: http.body },
  };
}

function clientFields({ clientId: _, limits, ...same }: Client): Fields {
  const { connectionRate, bandwidth, ...others } = limits;
  return {
    ...same,
    limits: {
      connectionRate: connectionRate && rateFields(connectionRate),
      bandwidth: bandwidth && { upload: bandwidth.uploadBytesPerSecond, download: bandwidth.downloadBytesPerSecond },
      ...others,
    },
  };
}

function rateFields({ algorithm, limit, windowMs, maxDelayMs, ...same }: ConnectionRate): Fields {
  return { algorithm, limit, window: formatDuration(windowMs), ...same, maxDelay: formatDuration(maxDelayMs) };
}

function revocationFields({ comment, atMs }: Revocation): Fields {
  return { comment, revokedAt: atMs === 0 ? undefined : new Date(atMs).toISOString() };
}

function* between(path: string, before: unknown, after: unknown): Generator<Difference> {
  if (before === undefined && after === undefined) return;
  if (before === undefined) yield { kind: 'added', path, before: '', after: JSON.stringify(after) };
  else if (after === undefined) yield { kind: 'removed', path, before: JSON.stringify(before), after: '' };
  else if (isFields(before) && isFields(after)) {
    for (const field of new Set([...Object.keys(before), ...Object.keys(after)]))
      yield* between(`${path}/${field}`, before[field], after[field]);
  } else {
    const [was, is] = [JSON.stringify(before), JSON.stringify(after)];
    if (was !== is) yield { kind: 'changed', path, before: was, after: is };
  }
}

function isFields(value: unknown): value is Fields {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
