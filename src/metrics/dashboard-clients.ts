/** Clients on the dashboard. */
import { setImmediate } from 'node:timers/promises';
import type { ClientCounters, ClientHeadroom, Stats } from '../controlplane/stats.ts';
import type { Client, Snapshot } from '../domain/model.ts';
import { bytesPerSecondOf, type Direction } from '../domain/ratelimit/byte-line.ts';
import type { ShadowOutcome } from '../domain/shadow.ts';
import { atLeast0, inOrderOf, MAX_SHOWN, READ_AT_ONCE, type ReasonCount, reasonCounts, type Shown, sumOf } from './dashboard-parts.ts';

/** A client may have many groups and a page has little room. */
const MAX_GROUPS_OF_CLIENT = 20;

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

export type ClientsShown = Shown<ClientShown, { readonly active: number; readonly accepted: number; readonly refused: number }>;

interface CountedClient {
  readonly client: Client;
  readonly counters: ClientCounters;
  readonly refused: number;
}

/** Where not all can be shown: those that have been refused or served the most. They stand in the order of their names. */
export async function readClients(stats: Stats, { clients }: Snapshot): Promise<ClientsShown> {
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
