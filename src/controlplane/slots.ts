import { type ChangedGroup, changedGroups } from '../domain/changed-groups.ts';
import { DomainError } from '../domain/errors.ts';
import { EMPTY_SNAPSHOT, type Snapshot, serverKey } from '../domain/model.ts';
import { monotonicMs } from '../shared/clock.ts';
import type { CellLock } from '../shared/memory/cell-lock.ts';
import { MAX_CLIENTS, MAX_GROUPS, MAX_LISTENERS, MAX_SERVERS, type SharedMemory } from '../shared/memory/layout.ts';
import type { SharedLedger } from '../shared/memory/ledger.ts';
import type { SlotAssignments } from '../shared/messages.ts';
import { LimiterCells } from './limiter-cells.ts';

/**
 * Which row of shared memory belongs to which server, group, client and listener. An entry that is added again under the same key gets the row
 * that it had, with the connections that still hold places in it, and everything else from zero. Another entry gets a row that was
 * given up only once no connection counts on it any more.
 */
export class Slots {
  readonly #ledger: SharedLedger;
  readonly #groups: Rows;
  readonly #servers: Rows;
  readonly #clients: Rows;
  readonly #listeners: Rows;
  readonly #limiters: LimiterCells;
  /** The state that the assignments fit. */
  #followed: Snapshot = EMPTY_SNAPSHOT;

  /** `nowMs` must be the clock by which the workers decide about limits. */
  constructor(ledger: SharedLedger, nowMs: () => number = monotonicMs) {
    this.#ledger = ledger;
    this.#limiters = new LimiterCells(nowMs);
    const endPanic = (slot: number) => ledger.outliers.setPanic(slot, false);
    this.#groups = new Rows({ capacity: MAX_GROUPS, isIdle: () => true, renew: endPanic, clear: endPanic });
    const renewServer = (slot: number) => ledger.renewServer(slot);
    this.#servers = new Rows({
      capacity: MAX_SERVERS,
      isIdle: (slot) => ledger.serverActive(slot) === 0,
      renew: renewServer,
      clear: renewServer,
    });
    this.#clients = new Rows({
      capacity: MAX_CLIENTS,
      isIdle: (slot) => ledger.clientActive(slot) === 0,
      renew: (slot) => ledger.renewClient(slot),
      clear: (slot) => ledger.clearClient(slot),
    });
    const renewListener = (slot: number) => ledger.listeners.renew(slot);
    this.#listeners = new Rows({
      capacity: MAX_LISTENERS,
      isIdle: (slot) => ledger.listeners.totals(slot).active === 0,
      renew: renewListener,
      clear: renewListener,
    });
  }

  serverSlot(group: string, address: string): number | undefined {
    return this.#servers.slotOf(serverKey(group, address));
  }

  groupSlot(name: string): number | undefined {
    return this.#groups.slotOf(name);
  }

  clientSlot(clientId: string): number | undefined {
    return this.#clients.slotOf(clientId);
  }

  listenerSlot(name: string): number | undefined {
    return this.#listeners.slotOf(name);
  }

  /** What the client's connection-rate limit is counted in; undefined: it has none. */
  limiterLock(clientId: string): CellLock | undefined {
    return this.#limiters.lockOf(clientId);
  }

  /** Every assignment, for a worker that starts. */
  all(): SlotAssignments {
    return {
      servers: this.#servers.all(),
      groups: this.#groups.all(),
      listeners: this.#listeners.all(),
      clients: this.#clients.all(),
      limiters: this.#limiters.all(),
    };
  }

  /** @throws DomainError `exhausted` when `snapshot` needs more rows than there are. Call it before accepting a change. */
  checkCapacity(snapshot: Snapshot): void {
    const servers = [...snapshot.targetGroups.values()].reduce((sum, group) => sum + group.servers.length, 0);
    checkRoom('targetGroups', snapshot.targetGroups.size, 'target groups', MAX_GROUPS);
    checkRoom('servers', servers, 'upstream servers', MAX_SERVERS);
    checkRoom('clients', snapshot.clients.size, 'clients', MAX_CLIENTS);
    checkRoom('listeners', snapshot.listeners.length, 'listeners', MAX_LISTENERS);
  }

  /** Makes the assignments fit `next`, and returns those that are new. What did not change since the last call is not looked at. */
  follow(next: Snapshot): SlotAssignments {
    const previous = this.#followed;
    const changed = changedGroups(previous, next);
    this.#release(changed, previous, next);
    const added = this.#assign(changed, previous, next);
    // Not before all had room: otherwise the next call goes on from here.
    this.#followed = next;
    return added;
  }

  #release(changed: readonly ChangedGroup[], previous: Snapshot, next: Snapshot): void {
    for (const { name, before, after } of changed) {
      if (after === undefined) this.#groups.release(name);
      const staying = new Set(after?.servers.map(({ address }) => address));
      for (const { address } of before?.servers ?? []) if (!staying.has(address)) this.#servers.release(serverKey(name, address));
    }
    if (previous.listeners !== next.listeners) {
      const staying = new Set(next.listeners.map(({ name }) => name));
      for (const { name } of previous.listeners) if (!staying.has(name)) this.#listeners.release(name);
    }
    if (previous.clients === next.clients) return;
    for (const clientId of previous.clients.keys()) {
      if (next.clients.has(clientId)) continue;
      this.#clients.release(clientId);
      this.#limiters.release(clientId);
    }
  }

  #assign(changed: readonly ChangedGroup[], previous: Snapshot, next: Snapshot): SlotAssignments {
    const servers = new Map<string, number>();
    const groups = new Map<string, number>();
    const listeners = new Map<string, number>();
    const clients = new Map<string, number>();
    const limiters = new Map<string, SharedMemory>();
    for (const { name, after } of changed) {
      if (after === undefined) continue;
      this.#groups.assign(name, groups);
      for (const { address } of after.servers) this.#servers.assign(serverKey(name, address), servers);
    }
    if (previous.listeners !== next.listeners) for (const { name } of next.listeners) this.#listeners.assign(name, listeners);
    if (previous.clients === next.clients) return { servers, groups, listeners, clients, limiters };
    for (const [clientId, client] of next.clients) {
      if (previous.clients.get(clientId) === client) continue;
      this.#clients.assign(clientId, clients);
      const cells = this.#limiters.follow(client, next.revision);
      if (cells !== undefined) limiters.set(clientId, cells);
    }
    return { servers, groups, listeners, clients, limiters };
  }

  /** Gives back what a dead worker held: connection counts and limiter locks. */
  releaseLane(lane: number): void {
    this.#ledger.releaseLane(lane);
    this.#limiters.releaseLane(lane);
  }
}

function checkRoom(field: string, count: number, what: string, most: number): void {
  if (count > most) throw new DomainError('exhausted', field, `${count} ${what} are more than the ${most} there is room for`);
}

/** What rows are for. */
interface RowsOf {
  readonly capacity: number;
  /** Nothing counts on the row any more. */
  readonly isIdle: (slot: number) => boolean;
  /** Makes a row ready for the entry that had it last. */
  readonly renew: (slot: number) => void;
  /** Makes an idle row ready for another entry. */
  readonly clear: (slot: number) => void;
}

class Rows {
  readonly #slots = new Map<string, number>();
  readonly #of: RowsOf;
  /** Given up by these keys, but perhaps still counted on by connections; in the order in which they were. */
  readonly #retired = new Map<string, number>();
  #unused = 0;

  constructor(of: RowsOf) {
    this.#of = of;
  }

  slotOf(key: string): number | undefined {
    return this.#slots.get(key);
  }

  all(): ReadonlyMap<string, number> {
    return new Map(this.#slots);
  }

  /** Gives up the key's row, if it has one. */
  release(key: string): void {
    const slot = this.#slots.get(key);
    if (slot === undefined) return;
    this.#slots.delete(key);
    this.#retired.set(key, slot);
  }

  /** Finds a row for a key that has none, and adds it to `added`. @throws DomainError `exhausted` */
  assign(key: string, added: Map<string, number>): void {
    if (this.#slots.has(key)) return;
    const slot = this.#takeBack(key) ?? this.#take();
    this.#slots.set(key, slot);
    added.set(key, slot);
  }

  #takeBack(key: string): number | undefined {
    const slot = this.#retired.get(key);
    if (slot === undefined) return undefined;
    this.#retired.delete(key);
    this.#of.renew(slot);
    return slot;
  }

  /** A row never used comes first: a row just given up may still be in the hands of a worker that has not swapped yet. */
  #take(): number {
    const { capacity, isIdle, clear } = this.#of;
    if (this.#unused < capacity) return this.#unused++;
    for (const [key, slot] of this.#retired) {
      if (!isIdle(slot)) continue;
      this.#retired.delete(key);
      clear(slot);
      return slot;
    }
    throw new DomainError('exhausted', '', `all ${capacity} rows are in use; connections of removed entries still hold some`);
  }
}
