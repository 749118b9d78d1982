/** Picks an upstream server, takes one of its places, dials it, and goes on to another when it does not answer. */
import { connect, type Socket } from 'node:net';
import { type Balancer, pick } from '../domain/balancing/balancer.ts';
import type { RefusalReason } from '../domain/reasons.ts';
import type { LaneWriter } from '../shared/memory/lane-writer.ts';
import type { HealthCode } from '../shared/memory/layout.ts';
import { once } from './once.ts';
import { Refusal } from './refusal.ts';
import type { GroupView, ServerView } from './view.ts';

/** Connects to a server, or rejects with a DialError. The socket allows half-open connections. */
export type Dial = (server: ServerView, timeoutMs: number, gone: AbortSignal) => Promise<Socket>;

export class DialError extends Error {
  readonly reason: Extract<RefusalReason, 'upstream_connect_failed' | 'upstream_timeout' | 'client_gone'>;

  constructor(reason: DialError['reason'], message: string) {
    super(message);
    this.name = 'DialError';
    this.reason = reason;
  }
}

export const dialTcp: Dial = (server, timeoutMs, gone) =>
  new Promise((resolve, reject) => {
    const socket = connect({ ...server.target, allowHalfOpen: true, noDelay: true, keepAlive: true });
    const fail = (reason: DialError['reason'], why: string) => {
      settle();
      socket.on('error', () => undefined);
      socket.destroy();
      reject(new DialError(reason, `${server.address}: ${why}`));
    };
    const timer = setTimeout(() => fail('upstream_timeout', `no answer in ${timeoutMs} ms`), timeoutMs);
    const onError = (error: Error & { code?: string }) => fail('upstream_connect_failed', error.code ?? error.message);
    const onGone = () => fail('client_gone', 'the client left');
    const onConnect = () => {
      settle();
      resolve(socket);
    };
    const settle = () => {
      clearTimeout(timer);
      gone.removeEventListener('abort', onGone);
      socket.removeListener('error', onError);
      socket.removeListener('connect', onConnect);
    };
    socket.once('error', onError);
    socket.once('connect', onConnect);
    if (gone.aborted) onGone();
    else gone.addEventListener('abort', onGone);
  });

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
export async function connectUpstream(view: GroupView, lane: LaneWriter, dial: Dial, gone: AbortSignal): Promise<Upstream> {
  const { group } = view;
  const tried = new Set<ServerView>();
  let failure: DialError | undefined;
  while (tried.size <= group.retries) {
    const server = reserve(view, lane, tried);
    if (server === undefined) break;
    tried.add(server);
    const release = once(() => lane.releaseServer(server.slot));
    try {
      const socket = await dial(server, group.connectTimeoutMs, gone);
      lane.countConnected(server.slot);
      return { server, socket, attempts: tried.size, release };
    } catch (error) {
      release();
      if (!(error instanceof DialError)) throw error;
      if (error.reason === 'client_gone') throw new Refusal('client_gone', error.message);
      lane.countFailed(server.slot);
      failure = error;
    }
  }
  if (failure === undefined) throw new Refusal('no_healthy_upstream', noneOf(view, lane));
  throw new Refusal(failure.reason, tried.size === 1 ? failure.message : `${failure.message} (the last of ${tried.size} tried)`);
}

/** Why a server takes no connection now, whatever the others do; undefined: it may. Weight 0 is among it, as balancers have it. */
export function obstacleTo(server: ServerView, health: HealthCode): 'drain' | 'maintenance' | 'weight' | 'unhealthy' | 'full' | undefined {
  if (server.mode !== 'ready') return server.mode;
  if (server.weight === 0) return 'weight';
  if (health === 'unhealthy') return 'unhealthy';
  if (server.active() >= server.maxConnections) return 'full';
  return undefined;
}

/** Which servers may be chosen, best first: the next are asked only when all of the one before are out. */
const PREFERENCES = ['healthy', 'unknown', 'backup'] as const;
export type Preference = (typeof PREFERENCES)[number];

export function preferenceOf(server: ServerView, health: HealthCode): Preference {
  if (server.backup) return 'backup';
  // Not probed yet: nothing is known against it, and a failed dial only costs a retry.
  return health === 'unknown' ? 'unknown' : 'healthy';
}

const NONE: ReadonlySet<ServerView> = new Set();

/** The server that the balancer chooses of those that are preferred most; undefined: none takes a connection. */
export function choose(
  servers: readonly ServerView[],
  balancer: Balancer<ServerView>,
  lane: LaneWriter,
  tried: ReadonlySet<ServerView> = NONE,
): ServerView | undefined {
  for (const preference of PREFERENCES) {
    const usable = (server: ServerView) => {
      const health = lane.health(server.slot);
      return preferenceOf(server, health) === preference && obstacleTo(server, health) === undefined && !tried.has(server);
    };
    const server = pick(balancer, servers, usable);
    if (server !== undefined) return server;
  }
  return undefined;
}

/** Takes a place before anything is awaited, so that connections that arrive together see each other. */
function reserve({ servers, balancer }: GroupView, lane: LaneWriter, tried: ReadonlySet<ServerView>): ServerView | undefined {
  for (;;) {
    const server = choose(servers, balancer, lane, tried);
    if (server === undefined) return undefined;
    const seen = server.active();
    if (seen < server.maxConnections && lane.reserveServer(server.slot, seen)) return server;
  }
}

/** Says why {@link choose} found no server. */
export function noneOf({ group, servers }: GroupView, lane: LaneWriter): string {
  if (servers.length === 0) return `${group.name} has no servers`;
  const down = servers.filter((server) => lane.health(server.slot) === 'unhealthy').length;
  return `${group.name}: ${down} of ${servers.length} servers are unhealthy, the others are full, drained or of weight 0`;
}
