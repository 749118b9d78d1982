/** Picks an upstream server, takes one of its places, dials it, and goes on to another when it does not answer. */
import type { Socket } from 'node:net';
import type { RefusalReason } from '../domain/reasons.ts';
import { monotonicMs } from '../shared/clock.ts';
import type { LaneWriter } from '../shared/memory/lane-writer.ts';
import { once } from './once.ts';
import { Refusal } from './refusal.ts';
import type { Caller } from './server-pool.ts';
import type { ServerView } from './server-view.ts';
import type { GroupView } from './view.ts';

/** Connects to a server, or rejects with a DialError. The socket allows half-open connections. */
export type Dial = (server: ServerView, timeoutMs: number, gone: AbortSignal) => Promise<Socket>;

export class DialError extends Error {
  readonly reason: Extract<RefusalReason, 'upstream_connect_failed' | 'upstream_tls_failed' | 'upstream_timeout' | 'client_gone'>;

  constructor(reason: DialError['reason'], message: string) {
    super(message);
    this.name = 'DialError';
    this.reason = reason;
  }
}

/** A connected server, with one of its places taken. */
export interface Upstream {
  readonly server: ServerView;
  readonly socket: Socket;
  /** How many servers were tried, this one included. */
  readonly attempts: number;
  /** Gives the place back; a second time does nothing. */
  release(): void;
}

/**
 * The first server of the group that answers, in the balancer's order: one, and up to `retries` others.
 * @throws Refusal `no_healthy_upstream` when none may be tried, else what the last one that was tried failed with.
 */
export async function connectUpstream(view: GroupView, caller: Caller, lane: LaneWriter, dial: Dial, gone: AbortSignal): Promise<Upstream> {
  const { group } = view;
  const tried = new Set<ServerView>();
  let failure: DialError | undefined;
  while (tried.size <= group.retries) {
    const server = reserve(view, caller, lane, tried);
    if (server === undefined) break;
    tried.add(server);
    const release = once(() => lane.releaseServer(server.slot));
    const startedMs = monotonicMs();
    try {
      const socket = await dial(server, group.connectTimeoutMs, gone);
      const connectedMs = monotonicMs();
      lane.observeLatency(server.slot, connectedMs - startedMs, connectedMs);
      lane.countConnected(server.slot);
      return { server, socket, attempts: tried.size, release };
    } catch (error) {
      release();
      if (!(error instanceof DialError)) throw error;
      if (error.reason === 'client_gone') throw new Refusal('client_gone', error.message);
      lane.countFailed(server.slot);
      // A server that refuses does so quickly: it must not look fast.
      lane.observeLatency(server.slot, group.connectTimeoutMs, monotonicMs());
      failure = error;
    }
  }
  if (failure === undefined) throw new Refusal('no_healthy_upstream', noneOf(view));
  throw new Refusal(failure.reason, tried.size === 1 ? failure.message : `${failure.message} (the last of ${tried.size} tried)`);
}

/** In a stream of changes a choice that is a moment old must do. */
const MOST_LOOKS = 8;

/** Takes a place before anything is awaited, so that connections that arrive together see each other. */
function reserve({ pool }: GroupView, caller: Caller, lane: LaneWriter, tried: ReadonlySet<ServerView>): ServerView | undefined {
  for (let looks = 1; ; looks++) {
    const server = pool.choose(caller, tried);
    if (server === undefined) return undefined;
    const seen = server.active();
    // Another worker was at it meanwhile: another server may be the better one now.
    if (lane.changes.hasNews && looks < MOST_LOOKS) continue;
    if (seen < server.maxConnections && lane.reserveServer(server.slot, seen)) return server;
  }
}

/** Says why no server is chosen. */
export function noneOf({ group, servers }: GroupView): string {
  if (servers.length === 0) return `${group.name} has no servers`;
  const down = servers.filter((server) => server.health() === 'unhealthy').length;
  return `${group.name}: ${down} of ${servers.length} servers are unhealthy, the others are full, drained or of weight 0`;
}
