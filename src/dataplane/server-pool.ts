/** Which server of a target group gets the next connection. */
import { createBalancer } from '../domain/balancing/algorithms.ts';
import type { Balancer } from '../domain/balancing/balancer.ts';
import { hashText } from '../domain/balancing/hash.ts';
import type { TargetGroup } from '../domain/model.ts';
import { monotonicMs } from '../shared/clock.ts';
import type { Change } from '../shared/memory/change-log.ts';
import type { LaneWriter } from '../shared/memory/lane-writer.ts';
import { MAX_SERVERS } from '../shared/memory/layout.ts';
import { isLastResort, obstacleTo, PREFERENCES, type Preference, preferenceOf, type ServerView } from './server-view.ts';

/** Whom a connection is for, as far as balancing may look at it. */
export interface Caller {
  readonly clientId: string;
  /** The address it comes from, as of cidr.ts; undefined: not known. */
  readonly source: bigint | undefined;
}

/** The servers of one preference that can be proposed, with a balancer over them. */
interface Tier {
  readonly preference: Preference;
  readonly balancer: Balancer<ServerView>;
  servers: readonly ServerView[];
}

/** Where a server is in its pool, in one small integer: which tier proposes it, and as which of its servers. */
type Place = number;
/** No tier proposes it now. */
const NOWHERE: Place = -1;
const placeOf = (tier: number, position: number): Place => position * PREFERENCES.length + tier;

/** Sorting so many servers anew takes microseconds: it is done as soon as something is known to have changed. */
const FEW_SERVERS = 256;
/** Sorting more of them takes at most one part in so many of a worker's time, however often health changes. */
const REFRESH_PART = 20;
/** In slow start shares are looked at again so many times. */
const SLOW_START_STEPS = 100;
const LEAST_STEP_MS = 10;

const NONE: ReadonlySet<ServerView> = new Set();
const ROSTER = { healthy: 'regular', backup: 'backup', unknown: 'regular', unknownBackup: 'backup' } as const;

/**
 * A target group's servers in one worker, sorted by whether they can be chosen. What happens to them, in any thread, comes by the
 * change log; so that a choice need not look at all of them.
 */
export class ServerPool {
  readonly #follower: PoolFollower;
  #group: TargetGroup;
  #servers: readonly ServerView[] = [];
  #rosters: Readonly<Record<'backup' | 'regular', readonly ServerView[]>> = { backup: [], regular: [] };
  #tiers: readonly Tier[];
  #stale = true;
  #freshUntilMs = 0;
  /** When shares of servers in slow start are looked at again; Infinity: none is. */
  #nextStepMs = Number.POSITIVE_INFINITY;

  constructor(group: TargetGroup, follower: PoolFollower) {
    this.#group = group;
    this.#follower = follower;
    this.#tiers = tiersOf(group);
  }

  /** Takes over another version of the group. Rotations go on, unless the algorithm is another. */
  update(group: TargetGroup, servers: readonly ServerView[]): void {
    const isSame = group.algorithm === this.#group.algorithm && group.hashBalanceFactor === this.#group.hashBalanceFactor;
    if (!isSame) this.#tiers = tiersOf(group);
    this.#group = group;
    this.#follower.forget(this.#servers);
    this.#follower.follow(this, servers);
    this.#servers = servers;
    this.#rosters = { regular: servers.filter(({ backup }) => !backup), backup: servers.filter(({ backup }) => backup) };
    this.#refresh();
  }

  /** The pool is not asked any more. */
  close(): void {
    this.#follower.forget(this.#servers);
  }

  /** The server for the next connection that has not been tried; undefined: none takes one. Asking changes nothing. */
  choose(caller: Caller, tried: ReadonlySet<ServerView> = NONE): ServerView | undefined {
    this.#follower.catchUp();
    if (this.#isDue()) this.#refresh();
    const key = keyOf(this.#group, caller);
    const found = this.#first(key, tried);
    // Before a connection is refused or a backup gets it, the others are looked at as they are now.
    if (!this.#stale || (found !== undefined && preferenceOf(found, found.health()) === 'healthy')) return found;
    this.#refresh();
    return this.#first(key, tried);
  }

  /** Whether a server, which is one of the group's `servers` of before, is in the group of now. */
  stillHas({ address }: ServerView, servers: readonly ServerView[]): boolean {
    return servers === this.#servers || this.#servers.some((server) => server.address === address);
  }

  /** Something happened to the server at this place. */
  note(place: Place, change: Change): void {
    if (change === 'standing') {
      this.#stale = true;
      return;
    }
    if (place === NOWHERE) return;
    const balancer = this.#tiers[place % PREFERENCES.length]?.balancer;
    const position = Math.floor(place / PREFERENCES.length);
    if (change === 'taken') balancer?.taken(position);
    else balancer?.changed(position);
  }

  /** Anything may have happened. */
  noteAll(): void {
    this.#stale = true;
    this.#freshUntilMs = 0;
  }

  #first(key: number, tried: ReadonlySet<ServerView>): ServerView | undefined {
    let isProbed = false;
    for (const { preference, balancer, servers } of this.#tiers) {
      if (servers.length === 0) continue;
      if (!isLastResort(preference)) isProbed = true;
      // That the probed ones are full, or have been tried, is no reason for one of which nothing is known.
      else if (isProbed) return undefined;
      for (const server of balancer.candidates(key)) {
        if (!tried.has(server) && obstacleTo(server, server.health()) === undefined) return server;
      }
    }
    return undefined;
  }

  #isDue(): boolean {
    if (!this.#stale && this.#nextStepMs === Number.POSITIVE_INFINITY) return false;
    const nowMs = monotonicMs();
    return (this.#stale && nowMs >= this.#freshUntilMs) || nowMs >= this.#nextStepMs;
  }

  #refresh(): void {
    const startedMs = monotonicMs();
    const { slowStartMs } = this.#group;
    const open: Record<Preference, ServerView[]> = { healthy: [], backup: [], unknown: [], unknownBackup: [] };
    let isStarting = false;
    for (const server of this.#servers) {
      server.refresh(startedMs, slowStartMs);
      const health = server.health();
      const obstacle = obstacleTo(server, health);
      // A full one has room again at any moment, which nobody announces but its load.
      if (obstacle !== undefined && obstacle !== 'full') {
        this.#follower.place(server.slot, NOWHERE);
        continue;
      }
      open[preferenceOf(server, health)].push(server);
      isStarting ||= server.share < 1;
    }
    for (const [index, tier] of this.#tiers.entries()) {
      tier.servers = open[tier.preference];
      tier.balancer.update(tier.servers, this.#rosters[ROSTER[tier.preference]]);
      for (const [position, { slot }] of tier.servers.entries()) this.#follower.place(slot, placeOf(index, position));
    }
    this.#stale = false;
    this.#nextStepMs = isStarting ? startedMs + Math.max(LEAST_STEP_MS, slowStartMs / SLOW_START_STEPS) : Number.POSITIVE_INFINITY;
    const nowMs = monotonicMs();
    this.#freshUntilMs = this.#servers.length <= FEW_SERVERS ? 0 : nowMs + (nowMs - startedMs) * REFRESH_PART;
  }
}

/** Hands the entries of the change log to the pools that the servers belong to, for one worker. */
export class PoolFollower {
  readonly #lane: LaneWriter;
  /** By slot. */
  readonly #pools: (ServerPool | undefined)[] = [];
  /** By slot, close together: each choice looks at some, of thousands of servers. */
  readonly #places = new Int32Array(MAX_SERVERS).fill(NOWHERE);

  constructor(lane: LaneWriter) {
    this.#lane = lane;
  }

  /** These servers are the pool's, none of them to be proposed yet. */
  follow(pool: ServerPool, servers: readonly ServerView[]): void {
    for (const { slot } of servers) {
      this.#pools[slot] = pool;
      this.#places[slot] = NOWHERE;
    }
  }

  /** The server with this slot is at this place of its pool now. */
  place(slot: number, place: Place): void {
    this.#places[slot] = place;
  }

  forget(servers: readonly ServerView[]): void {
    for (const { slot } of servers) this.#pools[slot] = undefined;
  }

  catchUp(): void {
    const isWhole = this.#lane.changes.read(this.#note);
    if (isWhole) return;
    for (const pool of new Set(this.#pools)) pool?.noteAll();
  }

  readonly #note = (slot: number, change: Change): void => this.#pools[slot]?.note(this.#places[slot] ?? NOWHERE, change);
}

function tiersOf({ algorithm, hashBalanceFactor }: TargetGroup): readonly Tier[] {
  return PREFERENCES.map((preference) => ({
    preference,
    balancer: createBalancer<ServerView>(algorithm, Math.random, hashBalanceFactor),
    servers: [],
  }));
}

/** What consistent hashing goes by. A client of an unknown address is known by its name. */
function keyOf({ algorithm }: TargetGroup, { clientId, source }: Caller): number {
  if (algorithm === 'clientHash') return hashText(clientId);
  return algorithm === 'sourceHash' ? hashText(source?.toString() ?? clientId) : 0;
}
