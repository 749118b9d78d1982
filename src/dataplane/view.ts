/** A Snapshot as a worker uses it: with its rows of shared memory, its balancers and its index of clients. */
import { parseAddress } from '../domain/address.ts';
import { ClientIndex, type Peer } from '../domain/identity.ts';
import {
  type Client,
  type ConnectionRate,
  type Listener,
  type Snapshot,
  serverKey,
  type TargetGroup,
  type UpstreamServer,
} from '../domain/model.ts';
import { limitAt, type RevisedLimit } from '../domain/ratelimit/limit-state.ts';
import { ruleOf } from '../domain/ratelimit/rate-rule.ts';
import { CellLock } from '../shared/memory/cell-lock.ts';
import type { LaneWriter } from '../shared/memory/lane-writer.ts';
import type { SlotAssignments } from '../shared/messages.ts';
import { PoolFollower, ServerPool } from './server-pool.ts';
import { ServerView } from './server-view.ts';

export interface GroupView {
  readonly group: TargetGroup;
  readonly slot: number;
  readonly servers: readonly ServerView[];
  /** Chooses among them. */
  readonly pool: ServerPool;
}

export interface ClientView {
  readonly client: Client;
  readonly slot: number;
  readonly rate: RateView | undefined;
}

export interface RateView {
  readonly policy: ConnectionRate;
  readonly limit: RevisedLimit;
  readonly cells: CellLock;
}

/** More are forgotten: connections are done with their handshake by then. */
const MAX_FORMER_LISTENERS = 64;

/** One revision, complete. A connection reads the current View once and keeps to it. */
export class View {
  readonly snapshot: Snapshot;
  readonly slots: SlotAssignments;
  readonly #lane: LaneWriter;
  readonly #follower: PoolFollower;
  readonly #groups: Map<string, GroupView>;
  readonly #clients: Map<string, ClientView>;
  readonly #index: ClientIndex;
  /** Those that were removed or renamed, the newest last: who came on one goes on by what it was. */
  readonly #formerListeners: ReadonlyMap<string, Listener>;

  /** What `previous` holds of groups and clients that did not change is taken over: their rotation goes on. */
  constructor(snapshot: Snapshot, slots: SlotAssignments, lane: LaneWriter, previous?: View) {
    this.snapshot = snapshot;
    this.slots = slots;
    this.#lane = lane;
    this.#follower = previous === undefined ? new PoolFollower(lane) : previous.#follower;
    const sameClients = previous !== undefined && previous.snapshot.clients === snapshot.clients;
    if (previous === undefined) this.#index = new ClientIndex(snapshot.clients.values());
    else this.#index = sameClients ? previous.#index : previous.#index.following(previous.snapshot.clients, snapshot.clients);
    this.#clients = sameClients ? previous.#clients : new Map();
    this.#formerListeners = previous === undefined ? new Map() : formerListeners(snapshot, previous.snapshot, previous.#formerListeners);
    this.#groups = new Map();
    for (const name of previous?.snapshot.targetGroups.keys() ?? [])
      if (!snapshot.targetGroups.has(name)) previous?.group(name)?.pool.close();
    for (const [name, group] of snapshot.targetGroups) {
      const before = previous?.group(name);
      this.#groups.set(name, before?.group === group ? before : this.#viewGroup(group, before));
    }
  }

  /** One that has been removed as it was last. */
  listener(name: string): Listener | undefined {
    return this.snapshot.listeners.find((listener) => listener.name === name) ?? this.#formerListeners.get(name);
  }

  group(name: string): GroupView | undefined {
    return this.#groups.get(name);
  }

  findClient({ identity, source }: Peer): ClientView | 'unknown' | 'ambiguous' {
    const client =
      identity !== undefined ? this.#index.find(identity, source) : source === undefined ? 'unknown' : this.#index.findBySource(source);
    return typeof client === 'string' ? client : this.#viewClient(client);
  }

  /** The client's connection-rate limit; undefined: it has none, or there is no such client. */
  rateOf(clientId: string): RateView | undefined {
    const client = this.snapshot.clients.get(clientId);
    return client && this.#viewClient(client).rate;
  }

  /** The ids of all clients that this one is. */
  clientIds(peer: Peer): readonly string[] {
    return this.#index.every(peer).map(({ clientId }) => clientId);
  }

  #viewGroup(group: TargetGroup, before: GroupView | undefined): GroupView {
    const slot = this.slots.groups.get(group.name);
    if (slot === undefined) throw new Error(`target group ${group.name} was published without a slot`);
    const known = new Map(before?.group.servers.map((server, index) => [server, before.servers[index]]));
    const servers = group.servers.map((server) => known.get(server) ?? this.#viewServer(group.name, server));
    const pool = before?.pool ?? new ServerPool(group, this.#follower);
    pool.update(group, servers);
    return { group, slot, servers, pool };
  }

  #viewServer(group: string, server: UpstreamServer): ServerView {
    const target = parseAddress(server.address);
    const slot = this.slots.servers.get(serverKey(group, server.address));
    const groupSlot = this.slots.groups.get(group);
    if ('problem' in target || slot === undefined || groupSlot === undefined)
      throw new Error(`server ${server.address} of ${group} was published without a slot or an address`);
    return new ServerView(server, target, slot, groupSlot, this.#lane);
  }

  /** Made when a client first connects: most of ten thousand clients are not here now. */
  #viewClient(client: Client): ClientView {
    const known = this.#clients.get(client.clientId);
    if (known !== undefined) return known;
    const slot = this.slots.clients.get(client.clientId);
    if (slot === undefined) throw new Error(`client ${client.clientId} was published without a slot`);
    const made: ClientView = { client, slot, rate: this.#viewRate(client) };
    this.#clients.set(client.clientId, made);
    return made;
  }

  #viewRate({ clientId, limits }: Client): RateView | undefined {
    if (limits.connectionRate === undefined) return undefined;
    const buffer = this.slots.limiters.get(clientId);
    if (buffer === undefined) throw new Error(`client ${clientId} was published without limiter cells`);
    const limit = limitAt(this.snapshot.revision, ruleOf(limits.connectionRate), limits.shadow);
    return { policy: limits.connectionRate, limit, cells: new CellLock(buffer) };
  }
}

/**
 * The assignments of `next`: those of `previous`, with new rows added and rows of entries that are gone dropped. What did not
 * change costs nothing, however much it is.
 */
export function mergeSlots(before: SlotAssignments, changes: SlotAssignments, previous: Snapshot, next: Snapshot): SlotAssignments {
  const goneGroups = missing(previous.targetGroups, next.targetGroups);
  const goneClients = missing(previous.clients, next.clients);
  return {
    servers: merged(before.servers, changes.servers, missingServers(previous, next)),
    groups: merged(before.groups, changes.groups, goneGroups),
    listeners: merged(before.listeners, changes.listeners, goneListeners(previous, next)),
    clients: merged(before.clients, changes.clients, goneClients),
    limiters: merged(before.limiters, changes.limiters, unlimited(previous.clients, next.clients)),
  };
}

function formerListeners(
  { listeners }: Snapshot,
  previous: Snapshot,
  before: ReadonlyMap<string, Listener>,
): ReadonlyMap<string, Listener> {
  if (listeners === previous.listeners) return before;
  const former = new Map([...before, ...previous.listeners.map((each) => [each.name, each] as const)]);
  for (const { name } of listeners) former.delete(name);
  return new Map([...former].slice(-MAX_FORMER_LISTENERS));
}

function merged<T>(before: ReadonlyMap<string, T>, changes: ReadonlyMap<string, T>, gone: readonly string[]): ReadonlyMap<string, T> {
  if (changes.size === 0 && gone.length === 0) return before;
  const after = new Map(before);
  for (const key of gone) after.delete(key);
  for (const [key, row] of changes) after.set(key, row);
  return after;
}

function missing(previous: ReadonlyMap<string, unknown>, next: ReadonlyMap<string, unknown>): readonly string[] {
  return previous === next ? [] : [...previous.keys()].filter((key) => !next.has(key));
}

function goneListeners({ listeners }: Snapshot, next: Snapshot): readonly string[] {
  if (listeners === next.listeners) return [];
  const staying = new Set(next.listeners.map(({ name }) => name));
  return listeners.map(({ name }) => name).filter((name) => !staying.has(name));
}

function unlimited(previous: Snapshot['clients'], next: Snapshot['clients']): readonly string[] {
  if (previous === next) return [];
  const hasRate = (client: Client | undefined) => client?.limits.connectionRate !== undefined;
  return [...previous].filter(([clientId, client]) => hasRate(client) && !hasRate(next.get(clientId))).map(([clientId]) => clientId);
}

function missingServers(previous: Snapshot, next: Snapshot): readonly string[] {
  return [...previous.targetGroups].flatMap(([name, group]) => {
    const after = next.targetGroups.get(name);
    if (after === group) return [];
    const staying = new Set(after?.servers.map(({ address }) => address));
    return group.servers.filter(({ address }) => !staying.has(address)).map(({ address }) => serverKey(name, address));
  });
}
