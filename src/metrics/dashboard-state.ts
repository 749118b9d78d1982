/** What the dashboard shows, as one document of bounded size. It has names, addresses and numbers: no file, key or certificate. */
import { setImmediate } from 'node:timers/promises';
import type { HealthEvent } from '../controlplane/health-journal.ts';
import type { BoundListener, Snapshot } from '../domain/model.ts';
import { REASON_MEANING } from '../domain/reasons.ts';
import { type ClientsShown, readClients } from './dashboard-clients.ts';
import { type ListenersShown, listenersShown } from './dashboard-listeners.ts';
import { atLeast0, type ReasonCount, reasonCounts, sumOf } from './dashboard-parts.ts';
import { type GroupsShown, groupsShown, readServers, type ServerSources, type ServersShown, serversShown } from './dashboard-servers.ts';

/** Where the values come from. */
export interface DashboardSources extends ServerSources {
  snapshot(): Snapshot;
  listeners(): readonly BoundListener[];
  /** At most `count` of them, newest first. */
  newestHealthEvents(count: number): readonly HealthEvent[];
  readonly workers: number;
  /** Milliseconds since 1970. */
  readonly startedAtMs: number;
  readonly version: string;
}

const MAX_EVENTS = 50;

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
  readonly listeners: ListenersShown;
  readonly groups: GroupsShown;
  readonly servers: ServersShown;
  readonly clients: ClientsShown;
  readonly events: readonly HealthEvent[];
}

/** Puts the document together, letting others have their turn in between: there may be 10,000 servers and as many clients. */
export async function dashboardState(sources: DashboardSources): Promise<DashboardState> {
  const { stats, workers, startedAtMs, version } = sources;
  const snapshot = sources.snapshot();
  const servers = await readServers(sources, snapshot);
  await setImmediate();
  const clients = await readClients(stats, snapshot);
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
    listeners: listenersShown(sources.listeners(), stats),
    groups: groupsShown(snapshot, servers, stats),
    servers: serversShown(servers),
    clients,
    events: sources.newestHealthEvents(MAX_EVENTS),
  };
}
