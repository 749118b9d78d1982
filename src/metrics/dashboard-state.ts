/** What the dashboard shows, as one document of bounded size. It has names, addresses and numbers: no file, key or certificate. */
import { setImmediate } from 'node:timers/promises';
import type { HealthEvent, ServerHealth } from '../controlplane/health-journal.ts';
import type { ClientCounters, ClientHeadroom, ServerCounters, Stats } from '../controlplane/stats.ts';
import type { Client, Snapshot, TargetGroup, UpstreamServer } from '../domain/model.ts';
import { bytesPerSecondOf, type Direction } from '../domain/ratelimit/byte-line.ts';
import { REASON_MEANING, REFUSAL_REASONS, type Reason } from '../domain/reasons.ts';
import type { ShadowOutcome } from '../domain/shadow.ts';
import type { HealthCode } from '../shared/memory/layout.ts';

/** Where the values come from. */
export interface DashboardSources {
  snapshot(): Snapshot;
  readonly stats: Stats;
  /** undefined: the server is not looked at (yet). */
  healthOf(group: string, server: string): ServerHealth | undefined;
  /** At most `count` of them, newest first. */
  newestHealthEvents(count: number): readonly HealthEvent[];
  readonly workers: number;
  /** Milliseconds since 1970. */
  readonly startedAtMs: number;
  readonly version: string;
}

/** At most so many groups, servers and clients each; of the others only their number and their sums. */
export const MAX_SHOWN = 500;
const MAX_EVENTS = 50;
/** A client may have many groups and a page has little room. */
const MAX_GROUPS_OF_CLIENT = 20;
/** After so many, others have their turn. */
const READ_AT_ONCE = 100;

export interface ReasonCount {
  readonly reason: Reason;
  readonly count: number;
}

export interface GroupShown {
  readonly name: string;
  readonly algorithm: string;
  readonly servers: number;
  readonly healthy: number;
  readonly active: number;
}

export interface ServerShown extends ServerCounters, Pick<UpstreamServer, 'weight' | 'mode' | 'backup'> {
  readonly group: string;
  readonly address: string;
  readonly health: HealthCode;
  /** Connections to it fail, and it gets none for a while. */
  readonly isEjected: boolean;
  readonly lastProbe: string;
  /** Milliseconds since 1970. */
  readonly sinceMs: number;
  /** null: no limit. */
  readonly maxConnections: number | null;
}

export interface BandwidthShown {
  readonly bytesPerSecond: number;
  /** Bytes that would pass now without waiting. */
  readonly headroom: number;
  /** Bytes that have waited so far. */
  readonly paced: number;
}

export interface ClientShown {
  readonly clientId: string;
  readonly targetGroups: readonly string[];
  readonly moreTargetGroups: number;
  /** null: no limit. */
  readonly rate: { readonly limit: number; readonly windowMs: number; readonly algorithm: string } | null;
  readonly headroom: number | null;
  /** What its limits do is only counted. */
  readonly shadow: boolean;
  readonly shadowed: readonly { readonly outcome: ShadowOutcome; readonly count: number }[];
  /** null: not bounded. */
  readonly upload: BandwidthShown | null;
  readonly download: BandwidthShown | null;
  readonly concurrentConnections: number | null;
  readonly active: number;
  readonly accepted: number;
  readonly refused: readonly ReasonCount[];
}

export interface Shown<T, Rest> {
  readonly total: number;
  readonly shown: readonly T[];
  /** The sums over those that are not shown. */
  readonly rest: Rest;
}

export interface DashboardState {
  /** Milliseconds since 1970, like every time here. */
  readonly atMs: number;
  readonly startedAtMs: number;
  readonly version: string;
  readonly revision: number;
  readonly workers: number;
  readonly totals: {
    readonly active: number;
    readonly accepted: number;
    readonly refused: number;
    /** From clients to the servers there are now. */
    readonly bytesUp: number;
    readonly bytesDown: number;
  };
  readonly refused: readonly (ReasonCount & { readonly meaning: string })[];
  readonly groups: Shown<GroupShown, { readonly servers: number; readonly healthy: number; readonly active: number }>;
  readonly servers: Shown<ServerShown, { readonly healthy: number } & Pick<ServerCounters, 'active' | 'connected' | 'failed'>>;
  readonly clients: Shown<ClientShown, { readonly active: number; readonly accepted: number; readonly refused: number }>;
  readonly events: readonly HealthEvent[];
}

/** Puts the document together, letting others have their turn in between: there may be 10,000 servers and as many clients. */
export async function dashboardState(sources: DashboardSources): Promise<DashboardState> {
  const { stats, workers, startedAtMs, version } = sources;
  const snapshot = sources.snapshot();
  const servers = await readServers(sources, snapshot);
  await setImmediate();
  const clients = await readClients(sources, snapshot);
  await setImmediate();
  const { active, accepted, byReason } = stats.totals();
  const refused = reasonCounts(byReason);
  return {
    atMs: Date.now(),
    startedAtMs,
    version,
    revision: snapshot.revision,
    workers,
    totals: {
      active: atLeast0(active),
      accepted,
      refused: sumOf(refused, ({ count }) => count),
      bytesUp: sumOf(servers, ({ bytesToUpstream }) => bytesToUpstream),
      bytesDown: sumOf(servers, ({ bytesFromUpstream }) => bytesFromUpstream),
    },
    refused: refused.map(({ reason, count }) => ({ reason, count, meaning: REASON_MEANING[reason] })),
    groups: groupsShown(snapshot, servers),
    servers: serversShown(servers),
    clients,
    events: sources.newestHealthEvents(MAX_EVENTS),
  };
}

/** By group and address. */
async function readServers({ stats, healthOf }: DashboardSources, { targetGroups }: Snapshot): Promise<readonly ServerShown[]> {
  const read: ServerShown[] = [];
  for (const { name, servers } of inOrderOf(targetGroups.values(), (group) => group.name)) {
    for (const { address, weight, mode, backup, maxConnections = null } of inOrderOf(servers, (server) => server.address)) {
      const counters = stats.server(name, address);
      const { health = 'unknown', lastProbe = '', sinceMs = 0 } = healthOf(name, address) ?? {};
      const settings = { weight, mode, backup, maxConnections };
      const isEjected = stats.isEjected(name, address);
      read.push({
        group: name,
        address,
        health,
        isEjected,
        lastProbe,
        sinceMs,
        ...settings,
        ...counters,
        active: atLeast0(counters.active),
      });
      if (read.length % READ_AT_ONCE === 0) await setImmediate();
    }
  }
  return read;
}

function groupsShown({ targetGroups }: Snapshot, servers: readonly ServerShown[]): DashboardState['groups'] {
  const active = new Map<string, number>();
  const healthy = new Map<string, number>();
  for (const server of servers) {
    active.set(server.group, (active.get(server.group) ?? 0) + server.active);
    if (server.health === 'healthy') healthy.set(server.group, (healthy.get(server.group) ?? 0) + 1);
  }
  const all = inOrderOf(targetGroups.values(), ({ name }) => name).map(
    ({ name, algorithm, servers: { length } }: TargetGroup): GroupShown => ({
      name,
      algorithm,
      servers: length,
      healthy: healthy.get(name) ?? 0,
      active: active.get(name) ?? 0,
    }),
  );
  const rest = all.slice(MAX_SHOWN);
  return {
    total: all.length,
    shown: all.slice(0, MAX_SHOWN),
    rest: {
      servers: sumOf(rest, (group) => group.servers),
      healthy: sumOf(rest, (group) => group.healthy),
      active: sumOf(rest, (group) => group.active),
    },
  };
}

/** Those that are not healthy, or are ejected, come first: they are what somebody looks for. */
function serversShown(servers: readonly ServerShown[]): DashboardState['servers'] {
  const isWell = ({ health, isEjected }: ServerShown) => health === 'healthy' && !isEjected;
  const inOrder = [...servers.filter((server) => !isWell(server)), ...servers.filter(isWell)];
  const rest = inOrder.slice(MAX_SHOWN);
  return {
    total: inOrder.length,
    shown: inOrder.slice(0, MAX_SHOWN),
    rest: {
      healthy: rest.filter(({ health }) => health === 'healthy').length,
      active: sumOf(rest, ({ active }) => active),
      connected: sumOf(rest, ({ connected }) => connected),
      failed: sumOf(rest, ({ failed }) => failed),
    },
  };
}

interface CountedClient {
  readonly client: Client;
  readonly counters: ClientCounters;
  readonly refused: number;
}

/** Where not all can be shown: those that have been refused or served the most. They stand in the order of their names. */
async function readClients({ stats }: DashboardSources, { clients }: Snapshot): Promise<DashboardState['clients']> {
  const counted: CountedClient[] = [];
  for (const client of clients.values()) {
    const counters = stats.client(client.clientId);
    counted.push({ client, counters, refused: sumOf([...counters.refused.values()], (times) => times) });
    if (counted.length % READ_AT_ONCE === 0) await setImmediate();
  }
  await setImmediate();
  if (counted.length > MAX_SHOWN) counted.sort((a, b) => b.refused - a.refused || b.counters.accepted - a.counters.accepted);
  const rest = counted.splice(MAX_SHOWN);
  const shown: ClientShown[] = [];
  for (const each of inOrderOf(counted, ({ client }) => client.clientId)) {
    shown.push(clientShown(each, stats.headroom(each.client)));
    if (shown.length % READ_AT_ONCE === 0) await setImmediate();
  }
  return {
    total: clients.size,
    shown,
    rest: {
      active: sumOf(rest, ({ counters }) => atLeast0(counters.active)),
      accepted: sumOf(rest, ({ counters }) => counters.accepted),
      refused: sumOf(rest, ({ refused }) => refused),
    },
  };
}

function clientShown({ client, counters }: CountedClient, headroom: ClientHeadroom): ClientShown {
  const { clientId, allowedTargetGroups, limits } = client;
  const { connectionRate: rate, concurrentConnections = null } = limits;
  return {
    clientId,
    targetGroups: allowedTargetGroups.slice(0, MAX_GROUPS_OF_CLIENT),
    moreTargetGroups: Math.max(0, allowedTargetGroups.length - MAX_GROUPS_OF_CLIENT),
    rate: rate === undefined ? null : { limit: rate.limit, windowMs: rate.windowMs, algorithm: rate.algorithm },
    headroom: headroom.rate ?? null,
    shadow: limits.shadow,
    shadowed: [...counters.shadow].map(([outcome, count]) => ({ outcome, count })),
    upload: bandwidthShown('upload'),
    download: bandwidthShown('download'),
    concurrentConnections,
    active: atLeast0(counters.active),
    accepted: counters.accepted,
    refused: reasonCounts(counters.refused),
  };

  function bandwidthShown(direction: Direction): BandwidthShown | null {
    const bytesPerSecond = bytesPerSecondOf(limits.bandwidth, direction);
    if (bytesPerSecond === undefined) return null;
    return { bytesPerSecond, headroom: headroom[direction] ?? 0, paced: counters.paced[direction] };
  }
}

/** Refusals only, the most frequent first. */
function reasonCounts(counts: ReadonlyMap<Reason, number>): readonly ReasonCount[] {
  return REFUSAL_REASONS.map((reason) => ({ reason, count: counts.get(reason) ?? 0 }))
    .filter(({ count }) => count > 0)
    .sort((a, b) => b.count - a.count);
}

/** A gauge that two threads change can be seen a moment below zero. */
function atLeast0(value: number): number {
  return Math.max(0, value);
}

function sumOf<T>(items: readonly T[], value: (item: T) => number): number {
  return items.reduce((sum, item) => sum + value(item), 0);
}

function inOrderOf<T>(items: Iterable<T>, key: (item: T) => string): readonly T[] {
  return [...items].sort((a, b) => (key(a) < key(b) ? -1 : key(a) > key(b) ? 1 : 0));
}
