/** Answers put together from the state and the counters. Lists are in the order of names, whatever order the state has. */
import type { AgentAnswer } from '../controlplane/agent-checker.ts';
import type { Ended } from '../controlplane/connection-list.ts';
import type { HealthEvent, ServerHealth } from '../controlplane/health-journal.ts';
import type { HostStatus } from '../controlplane/host-resolver.ts';
import type { EjectionStatus } from '../controlplane/outlier-detector.ts';
import type { ServerCounters, Stats } from '../controlplane/stats.ts';
import type { AddressGuard, BoundListener, Client, Snapshot, UpstreamServer } from '../domain/model.ts';
import { isRefusal, type Reason } from '../domain/reasons.ts';
import * as proto from '../gen/lb/admin/v1/admin.ts';
import type { AdminContext } from './context.ts';
import { clientMessage } from './convert.ts';
import { upstreamServerMessage } from './convert-groups.ts';
import { durationMessage } from './convert-values.ts';
import { clientsById, groupsByName, inOrderOf, serversOf } from './ordered.ts';

const HEALTH: Readonly<Record<ServerHealth['health'], proto.HealthState>> = {
  unknown: proto.HealthState.UNKNOWN,
  healthy: proto.HealthState.HEALTHY,
  unhealthy: proto.HealthState.UNHEALTHY,
};

export function serverStatus(context: AdminContext, group: string, server: UpstreamServer): proto.UpstreamServerStatus {
  const { health, stats, agents, upstreams, authority } = context;
  const probed = health.statusOf(group, server.address);
  const agent = agents.answerOf(group, server.address);
  const ejection = upstreams.ejectionOf(group, server.address);
  const resolution = upstreams.resolutionOf(server.address);
  const balance = stats.balance(group, server.address, slowStartMs(authority.snapshot, group));
  return {
    targetGroup: group,
    server: upstreamServerMessage(server),
    health: HEALTH[probed?.health ?? 'unknown'],
    lastProbe: probed?.lastProbe ?? '',
    lastProbeLatency: probed === undefined ? undefined : durationMessage(probed.lastProbeMs),
    since: probed === undefined ? undefined : new Date(probed.sinceMs),
    counters: serverCounters(stats.server(group, server.address)),
    agent: agent === undefined ? undefined : agentMessage(agent),
    connectLatency: balance?.connectMs === undefined ? undefined : durationMessage(balance.connectMs),
    slowStartPercent: slowStartPercent(balance),
    cause: probed?.cause ?? '',
    lastProbeAt: dateOf(probed?.probedAtMs),
    nextProbeAt: dateOf(probed?.nextProbeAtMs),
    ejection: ejection === undefined ? undefined : ejectionMessage(ejection),
    resolution: resolution === undefined ? undefined : resolutionMessage(resolution),
    inPanic: upstreams.isInPanic(group),
  };
}

function slowStartMs({ targetGroups }: Snapshot, group: string): number {
  return targetGroups.get(group)?.slowStartMs ?? 0;
}

/** Undefined: all of its share. */
function slowStartPercent(balance: ReturnType<Stats['balance']>): number | undefined {
  return balance === undefined || balance.slowStartShare === 1 ? undefined : Math.round(balance.slowStartShare * 100);
}

function ejectionMessage({ ejectedUntilMs, ejections, cause, failuresInARow }: EjectionStatus): proto.Ejection {
  return { until: dateOf(ejectedUntilMs), ejections: count(ejections), cause, failuresInARow };
}

function resolutionMessage({ addresses, resolvedAtMs, error = '' }: HostStatus): proto.HostResolution {
  return { addresses: [...addresses], resolvedAt: dateOf(resolvedAtMs), error };
}

function dateOf(ms: number | undefined): Date | undefined {
  return ms === undefined ? undefined : new Date(ms);
}

function agentMessage({ said, ok, atMs, state }: AgentAnswer): proto.AgentStatus {
  const { percent, maxConnections, standing } = state;
  return { said, understood: ok, at: new Date(atMs), percent, maxConnections, standing };
}

export function groupStatus({ stats, upstreams }: AdminContext, targetGroup: string): proto.TargetGroupStatus {
  return { targetGroup, waiting: Math.max(0, stats.waiting(targetGroup)), rebalancing: upstreams.rebalancing(targetGroup) };
}

export function clientStatus({ stats }: AdminContext, client: Client): proto.ClientStatus {
  return { client: clientMessage(client), counters: clientCounters(stats, client) };
}

export function listenerMessage({
  targetGroup = '',
  routes,
  alpn,
  acceptProxyProtocol,
  perAddress,
  ...same
}: BoundListener): proto.Listener {
  return {
    ...same,
    targetGroup,
    routes: routes.map(({ sni = '', alpn: protocol = '', targetGroup: to }) => ({ sni, alpn: protocol, targetGroup: to })),
    alpn: [...alpn],
    acceptProxyProtocol: [...acceptProxyProtocol],
    perAddress: perAddress && guardMessage(perAddress),
  };
}

function guardMessage({
  connectionsPerSecond = 0,
  burst,
  pendingHandshakes = 0,
  concurrentConnections = 0,
}: AddressGuard): proto.AddressGuard {
  return { connectionsPerSecond, burst, pendingHandshakes, concurrentConnections };
}

export function listenersByName(listeners: readonly BoundListener[]): BoundListener[] {
  return [...listeners].sort(inOrderOf(({ name }) => name));
}

/** Which servers and clients are meant; an empty name means all. */
export interface StatsFilter {
  readonly targetGroup: string;
  readonly server: string;
  readonly clientId: string;
}

/** Servers, clients and groups in one message of statistics: one of 10,000 would hold up others while it is put together. */
const MOST_STATS = 500;

/** The totals of everything, and the servers and clients that the filter fits; where they are many, in several messages. */
export function* statsMessages(context: AdminContext, filter: StatsFilter, at: Date): Generator<proto.WatchStatsResponse, void, undefined> {
  const { snapshot } = context.authority;
  const { active, accepted, byReason } = context.stats.totals();
  const totals = {
    at,
    revision: BigInt(snapshot.revision),
    activeConnections: count(active),
    accepted: count(accepted),
    refused: sumOf([...byReason].filter(([reason]) => isRefusal(reason))),
    byReason: reasonCounts(byReason),
  };
  let servers: proto.ServerStats[] = [];
  let clients: proto.ClientStats[] = [];
  let groups: proto.TargetGroupStatus[] = [];
  for (const each of statsRows(context, snapshot, filter)) {
    if (servers.length + clients.length + groups.length === MOST_STATS) {
      yield { ...totals, servers, clients, groups, more: true };
      [servers, clients, groups] = [[], [], []];
    }
    if ('clientId' in each) clients.push(each);
    else if ('waiting' in each) groups.push(each);
    else servers.push(each);
  }
  yield { ...totals, servers, clients, groups, more: false };
}

function* statsRows(
  context: AdminContext,
  snapshot: Snapshot,
  filter: StatsFilter,
): Generator<proto.ServerStats | proto.ClientStats | proto.TargetGroupStatus, void, undefined> {
  const { stats, health, agents, upstreams } = context;
  for (const { name, queue } of groupsByName(snapshot)) {
    if (!fits(filter.targetGroup, name)) continue;
    const status = groupStatus(context, name);
    if (queue !== undefined || status.waiting > 0 || status.rebalancing !== undefined) yield status;
  }
  for (const { group, server } of serversOf(groupsByName(snapshot))) {
    const { address } = server;
    if (!fits(filter.targetGroup, group) || !fits(filter.server, address)) continue;
    const agent = agents.answerOf(group, address);
    yield {
      targetGroup: group,
      server: address,
      counters: serverCounters(stats.server(group, address)),
      health: HEALTH[health.statusOf(group, address)?.health ?? 'unknown'],
      ejected: upstreams.ejectionOf(group, address)?.ejectedUntilMs !== undefined,
      inPanic: upstreams.isInPanic(group),
      agent: agent === undefined ? undefined : agentMessage(agent),
      slowStartPercent: slowStartPercent(stats.balance(group, address, slowStartMs(snapshot, group))),
    };
  }
  for (const client of clientsById(snapshot)) {
    const { clientId } = client;
    if (fits(filter.clientId, clientId)) yield { clientId, counters: clientCounters(stats, client) };
  }
}

/** An empty name means all. */
export function fits(wanted: string, name: string): boolean {
  return wanted === '' || wanted === name;
}

/** How one server is, at the beginning of a watch; `revision` is that of the whole state. */
export function healthStateMessage(
  { group, server, health, lastProbe, sinceMs }: ServerHealth,
  ejectedUntilMs: number | undefined,
  revision: number,
): proto.WatchHealthResponse {
  return {
    kind: proto.WatchHealthResponse_Kind.STATE,
    targetGroup: group,
    server,
    from: proto.HealthState.UNSPECIFIED,
    to: HEALTH[health],
    cause: lastProbe,
    at: new Date(sinceMs),
    revision: BigInt(revision),
    ejectedUntil: dateOf(ejectedUntilMs),
  };
}

export function healthSyncedMessage(revision: number, at: Date): proto.WatchHealthResponse {
  return proto.WatchHealthResponse.fromPartial({ kind: proto.WatchHealthResponse_Kind.SYNCED, at, revision: BigInt(revision) });
}

const EVENT_KIND: Readonly<Record<HealthEvent['kind'], proto.WatchHealthResponse_Kind>> = {
  changed: proto.WatchHealthResponse_Kind.CHANGED,
  removed: proto.WatchHealthResponse_Kind.REMOVED,
  ejected: proto.WatchHealthResponse_Kind.EJECTED,
  returned: proto.WatchHealthResponse_Kind.RETURNED,
};

export function healthEventMessage(event: HealthEvent): proto.WatchHealthResponse {
  const { kind, group, server, from, to, cause, atMs, ejectedUntilMs, revision } = event;
  return {
    kind: EVENT_KIND[kind],
    targetGroup: group,
    server,
    from: HEALTH[from],
    to: HEALTH[to],
    cause,
    at: new Date(atMs),
    revision: BigInt(revision),
    ejectedUntil: dateOf(ejectedUntilMs),
  };
}

/** By reason code, in order. */
export function reasonCounts(counts: ReadonlyMap<Reason, number>): proto.ReasonCount[] {
  const told = ([reason, times]: [Reason, number]) => ({ reason, count: count(times), refused: isRefusal(reason) });
  return [...counts].map(told).sort(inOrderOf(({ reason }) => reason));
}

export function sumOf(counts: Iterable<readonly [unknown, number]>): bigint {
  let sum = 0;
  for (const [, times] of counts) sum += times;
  return count(sum);
}

/** A gauge that two threads change can be seen a moment below zero, which the wire has no place for. */
export function count(value: number): bigint {
  return BigInt(Math.max(0, value));
}

/** What answers say of the connections that a change has ended. */
export function endedMessage({ served, waiting }: Ended): { readonly connectionsClosed: bigint; readonly waitingRefused: bigint } {
  return { connectionsClosed: count(served + waiting), waitingRefused: count(waiting) };
}

function serverCounters(counters: ServerCounters): proto.ServerCounters {
  return {
    active: count(counters.active),
    connected: count(counters.connected),
    failed: count(counters.failed),
    bytesToUpstream: count(counters.bytesToUpstream),
    bytesFromUpstream: count(counters.bytesFromUpstream),
  };
}

function clientCounters(stats: Stats, client: Client): proto.ClientCounters {
  const { active, accepted, refused, bytesFromClient, bytesToClient, paced, delayed, queued, shadow } = stats.client(client.clientId);
  const { rate, connections, upload, download } = stats.headroom(client);
  return {
    active: count(active),
    accepted: count(accepted),
    refused: sumOf(refused),
    refusedByReason: reasonCounts(refused),
    bytesFromClient: count(bytesFromClient),
    bytesToClient: count(bytesToClient),
    rateHeadroom: rate,
    connectionsHeadroom: connections,
    uploadHeadroom: upload === undefined ? undefined : count(upload),
    downloadHeadroom: download === undefined ? undefined : count(download),
    pacedBytesFromClient: count(paced.upload),
    pacedBytesToClient: count(paced.download),
    delayed: count(delayed),
    queued: count(queued),
    shadowRefused: [...shadow].map(([outcome, times]) => ({ reason: outcome, count: count(times), refused: false })),
  };
}
