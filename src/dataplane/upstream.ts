/** Picks an upstream server, takes one of its places, dials it, and goes on to another when it does not answer. */
import type { Socket } from 'node:net';
import type { RefusalReason } from '../domain/reasons.ts';
import { monotonicMs } from '../shared/clock.ts';
import type { LaneWriter } from '../shared/memory/lane-writer.ts';
import { tcpBelow } from '../shared/upstream-socket.ts';
import { refusalIn } from './client-watch.ts';
import { Refusal } from './refusal.ts';
import { reset } from './reset.ts';
import type { Caller } from './server-pool.ts';
import { isLastResort, type Obstacle, obstacleTo, preferenceOf, type ServerView, standsFirst } from './server-view.ts';
import type { GroupView } from './view.ts';

/** Connects to a server, or rejects with a DialError. The socket allows half-open connections. */
export type Dial = (server: ServerView, timeoutMs: number, gone: AbortSignal) => Promise<Socket>;

export class DialError extends Error {
  readonly reason: Extract<
    RefusalReason,
    'upstream_connect_failed' | 'upstream_tls_failed' | 'upstream_timeout' | 'no_healthy_upstream' | 'client_gone'
  >;
  /** It was us who could not connect to anybody: no file, port or address is left, or it is not known where the server is. */
  readonly isLocal: boolean;

  constructor(reason: DialError['reason'], message: string, isLocal = false) {
    super(message);
    this.name = 'DialError';
    this.reason = reason;
    this.isLocal = isLocal;
  }
}

/** A connected server, with one of its places taken. */
export interface Upstream {
  readonly reservation: Reservation;
  readonly socket: Socket;
  /** How many servers were tried, this one included. */
  readonly attempts: number;
}

/** A place of a server that was taken before it is dialled. */
export interface Reservation {
  readonly server: ServerView;
  /** Gives the place back, and calls whoever waits for one; a second time does nothing. */
  release(): void;
}

/** A class, because there is one for each connection that is served: a closure would take twice the memory. */
class ReservedPlace implements Reservation {
  readonly server: ServerView;
  readonly #groupSlot: number;
  readonly #lane: LaneWriter;
  #isGivenBack = false;

  constructor(server: ServerView, groupSlot: number, lane: LaneWriter) {
    this.server = server;
    this.#groupSlot = groupSlot;
    this.#lane = lane;
  }

  release(): void {
    if (this.#isGivenBack) return;
    this.#isGivenBack = true;
    this.#lane.releaseServer(this.server.slot);
    this.#lane.queue.callFirst(this.#groupSlot);
  }
}

/**
 * The first server of the group that answers: the one that is reserved, then up to `retries` others in the balancer's order, which have
 * a place at once: it is still this connection's turn. One that was removed while it was dialled gets no connection.
 * @throws Refusal with what the last one that was tried failed with, or with the reason that `gone` has; all places are given back then
 */
export async function connectUpstream(
  view: GroupView,
  first: Reservation,
  caller: Caller,
  lane: LaneWriter,
  dial: Dial,
  gone: AbortSignal,
): Promise<Upstream> {
  const { group } = view;
  const tried = new Set<ServerView>();
  let reserved = first;
  for (;;) {
    const { server } = reserved;
    tried.add(server);
    const startedMs = monotonicMs();
    try {
      const socket = await dial(server, group.connectTimeoutMs, gone);
      if (!view.pool.stillHas(server, view.servers)) throw wasRemoved(server, socket);
      const connectedMs = monotonicMs();
      lane.observeLatency(server.slot, connectedMs - startedMs, connectedMs);
      lane.countConnected(server.slot);
      return { reservation: reserved, socket, attempts: tried.size };
    } catch (error) {
      reserved.release();
      if (!(error instanceof DialError)) throw error;
      if (error.reason === 'client_gone') throw refusalIn(gone) ?? new Refusal('client_gone', error.message);
      if (error.reason !== 'no_healthy_upstream') {
        lane.countFailed(server.slot);
        // A server that refuses does so quickly: it must not look fast.
        lane.observeLatency(server.slot, group.connectTimeoutMs, monotonicMs());
      }
      const other = tried.size <= group.retries ? reserve(view, caller, lane, tried) : undefined;
      if (other === undefined)
        throw new Refusal(error.reason, tried.size === 1 ? error.message : `${error.message} (the last of ${tried.size} tried)`);
      reserved = other;
    }
  }
}

function wasRemoved({ address }: ServerView, socket: Socket): DialError {
  reset(tcpBelow(socket), socket);
  return new DialError('no_healthy_upstream', `${address} was removed while it was dialled`);
}

/** In a stream of changes a choice that is a moment old must do. */
const MOST_LOOKS = 8;

/** Takes a place before anything is awaited, so that connections that arrive together see each other; undefined: there is none. */
export function reserve(
  { pool, slot }: GroupView,
  caller: Caller,
  lane: LaneWriter,
  tried: ReadonlySet<ServerView> = new Set(),
): Reservation | undefined {
  for (let looks = 1; ; looks++) {
    const server = pool.choose(caller, tried);
    if (server === undefined) return undefined;
    const seen = server.active();
    // Another worker was at it meanwhile: another server may be the better one now.
    if (lane.changes.hasNews && looks < MOST_LOOKS) continue;
    if (seen >= server.maxConnections || !lane.reserveServer(server.slot, seen)) continue;
    return new ReservedPlace(server, slot, lane);
  }
}

const OUT: Readonly<Record<Obstacle | 'free' | 'unprobed', string>> = {
  unhealthy: 'unhealthy',
  ejected: 'ejected',
  drain: 'draining',
  maintenance: 'in maintenance',
  weight: 'of weight 0',
  agentDown: 'down by the agent',
  agentDrain: 'draining by the agent',
  agentMaintenance: 'in maintenance by the agent',
  full: 'full',
  free: 'free again since',
  unprobed: 'not probed yet',
};

/** Says why no server is chosen: how many are out, by what keeps them out. */
export function noneOf({ group, servers }: GroupView): string {
  if (servers.length === 0) return `${group.name} has no servers`;
  const standings = servers.map((server) => {
    const health = server.health();
    return { obstacle: obstacleTo(server, health), preference: preferenceOf(server, health) };
  });
  const isProbed = standings.some(({ obstacle, preference }) => standsFirst(obstacle, preference));
  const counts = Map.groupBy(standings, ({ obstacle, preference }) =>
    isProbed && isLastResort(preference) && (obstacle ?? 'full') === 'full' ? OUT.unprobed : OUT[obstacle ?? 'free'],
  );
  return `${group.name}: no server takes a connection: ${[...counts].map(([words, { length }]) => `${length} ${words}`).join(', ')}`;
}
