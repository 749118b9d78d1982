/** Target groups and their servers on the dashboard. */
import { setImmediate } from 'node:timers/promises';
import type { ServerHealth } from '../controlplane/health-journal.ts';
import type { ServerCounters, Stats } from '../controlplane/stats.ts';
import type { Snapshot, TargetGroup, UpstreamServer } from '../domain/model.ts';
import type { HealthCode } from '../shared/memory/layout.ts';
import { atLeast0, inOrderOf, MAX_SHOWN, READ_AT_ONCE, type Shown, sumOf } from './dashboard-parts.ts';

export interface GroupShown {
  readonly name: string;
  readonly algorithm: string;
  readonly servers: number;
  readonly healthy: number;
  readonly active: number;
  /** Connections in its queue; null: it has none. */
  readonly waiting: number | null;
}

export type GroupsShown = Shown<GroupShown, { readonly servers: number; readonly healthy: number; readonly active: number }>;

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

export type ServersShown = Shown<ServerShown, { readonly healthy: number } & Pick<ServerCounters, 'active' | 'connected' | 'failed'>>;

/** Where what is told of servers comes from. */
export interface ServerSources {
  readonly stats: Stats;
  /** undefined: the server is not looked at (yet). */
  healthOf(group: string, server: string): ServerHealth | undefined;
}

/** By group and address. */
export async function readServers({ stats, healthOf }: ServerSources, { targetGroups }: Snapshot): Promise<readonly ServerShown[]> {
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

/** With the sums of their servers. */
export function groupsShown({ targetGroups }: Snapshot, servers: readonly ServerShown[], stats: Stats): GroupsShown {
  const active = new Map<string, number>();
  const healthy = new Map<string, number>();
  for (const server of servers) {
    active.set(server.group, (active.get(server.group) ?? 0) + server.active);
    if (server.health === 'healthy') healthy.set(server.group, (healthy.get(server.group) ?? 0) + 1);
  }
  const all = inOrderOf(targetGroups.values(), ({ name }) => name).map(
    ({ name, algorithm, queue, servers: { length } }: TargetGroup): GroupShown => ({
      name,
      algorithm,
      servers: length,
      healthy: healthy.get(name) ?? 0,
      active: active.get(name) ?? 0,
      waiting: queue === undefined ? null : atLeast0(stats.waiting(name)),
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
export function serversShown(servers: readonly ServerShown[]): ServersShown {
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
