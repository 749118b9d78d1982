import { DomainError } from '../domain/errors.ts';
import { EMPTY_SNAPSHOT, type Snapshot, serverKey } from '../domain/model.ts';
import { monotonicMs } from '../shared/clock.ts';
import type { CellLock } from '../shared/memory/cell-lock.ts';
import { MAX_CLIENTS, MAX_GROUPS, MAX_SERVERS, type SharedMemory } from '../shared/memory/layout.ts';
import type { SharedLedger } from '../shared/memory/ledger.ts';
import type { SlotAssignments } from '../shared/messages.ts';
import { LimiterCells } from './limiter-cells.ts';

/**
 * Which row of shared memory belongs to which server, group and client. A row that was given up is used again only once no
 * connection counts on it any more, and starts from zero then.
 */
export class Slots {
  readonly #ledger: SharedLedger;
  readonly #groups: Rows;
  readonly #servers: Rows;
  readonly #clients: Rows;
  readonly #limiters: LimiterCells;
  /** The state that the assignments fit. */
  #followed: Snapshot = EMPTY_SNAPSHOT;

  /** `nowMs` must be the clock by which the workers decide about limits. */
  constructor(ledger: SharedLedger, nowMs: () => number = monotonicMs) {
    this.#ledger = ledger;
    this.#limiters = new LimiterCells(nowMs);
    this.#groups = new Rows(
      MAX_GROUPS,
      () => true,
      (slot) => ledger.outliers.setPanic(slot, false),
    );
    this.#servers = new Rows(
      MAX_SERVERS,
      (slot) => ledger.serverActive(slot) === 0,
      (slot) => ledger.clearServer(slot),
    );
    this.#clients = new Rows(
      MAX_CLIENTS,
      (slot) => ledger.clientActive(slot) === 0,
      (slot) => ledger.clearClient(slot),
    );
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

  /** What the client's connection-rate limit is counted in; undefined: it has none. */
  limiterLock(clientId: string): CellLock | undefined {
    return this.#limiters.lockOf(clientId);
  }

  /** Every assignment, for a worker that starts. */
  all(): SlotAssignments {
    return { servers: this.#servers.all(), groups: this.#groups.all(), clients: this.#clients.all(), limiters: this.#limiters.all() };
  }

  /** @throws DomainError `exhausted` when `snapshot` needs more rows than there are. Call it before accepting a change. */
  checkCapacity(snapshot: Snapshot): void {
    const servers = [...snapshot.targetGroups.values()].reduce((sum, group) => sum + group.servers.length, 0);
    checkRoom('targetGroups', snapshot.targetGroups.size, 'target groups', MAX_GROUPS);
    checkRoom('servers', servers, 'upstream servers', MAX_SERVERS);
    checkRoom('clients', snapshot.clients.size, 'clients', MAX_CLIENTS);
  }

  /** Makes the assignments fit `next`, and returns those that are new. What did not change since the last call is not looked at. */
  follow(next: Snapshot): SlotAssignments {
    const previous = this.#followed;
    this.#release(previous, next);
    const added = this.#assign(previous, next);
    // Not before all had room: otherwise the next call goes on from here.
    this.#followed = next;
    return added;
  }

  #release(previous: Snapshot, next: Snapshot): void {
    for (const [name, group] of previous.targetGroups) {
      const after = next.targetGroups.get(name);
      if (after === group) continue;
      if (after === undefined) this.#groups.release(name);
      const staying = new Set(after?.servers.map(({ address }) => address));
      for (const { address } of group.servers) if (!staying.has(address)) this.#servers.release(serverKey(name, address));
    }
    if (previous.clients === next.clients) return;
    for (const clientId of previous.clients.keys()) {
      if (next.clients.has(clientId)) continue;
      this.#clients.release(clientId);
      this.#limiters.release(clientId);
    }
  }

  #assign(previous: Snapshot, next: Snapshot): SlotAssignments {
    const servers = new Map<string, number>();
    const groups = new Map<string, number>();
    const clients = new Map<string, number>();
    const limiters = new Map<string, SharedMemory>();
    for (const [name, group] of next.targetGroups) {
      if (previous.targetGroups.get(name) === group) continue;
      this.#groups.assign(name, groups);
      for (const { address } of group.servers) this.#servers.assign(serverKey(name, address), servers);
    }
    if (previous.clients === next.clients) return { servers, groups, clients, limiters };
    for (const [clientId, client] of next.clients) {
      if (previous.clients.get(clientId) === client) continue;
      this.#clients.assign(clientId, clients);
      const cells = this.#limiters.follow(client, next.revision);
      if (cells !== undefined) limiters.set(clientId, cells);
    }
    return { servers, groups, clients, limiters };
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

class Rows {
  readonly #slots = new Map<string, number>();
  readonly #isIdle: (slot: number) => boolean;
  readonly #clear: (slot: number) => void;
  readonly #capacity: number;
  /** Given up, but perhaps still counted on by a connection. */
  readonly #retired: number[] = [];
  #unused = 0;

  constructor(capacity: number, isIdle: (slot: number) => boolean, clear: (slot: number) => void) {
    this.#capacity = capacity;
    this.#isIdle = isIdle;
    this.#clear = clear;
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
    this.#retired.push(slot);
  }

  /** Finds a row for a key that has none, and adds it to `added`. @throws DomainError `exhausted` */
  assign(key: string, added: Map<string, number>): void {
    if (this.#slots.has(key)) return;
    const slot = this.#take();
    this.#slots.set(key, slot);
    added.set(key, slot);
  }

  /** A row never used comes first: a row just given up may still be in the hands of a worker that has not swapped yet. */
  #take(): number {
    if (this.#unused < this.#capacity) return this.#unused++;
    const index = this.#retired.findIndex(this.#isIdle);
    const slot = this.#retired[index];
    if (slot === undefined)
      throw new DomainError('exhausted', '', `all ${this.#capacity} rows are in use; connections of removed entries still hold some`);
    this.#retired.splice(index, 1);
    this.#clear(slot);
    return slot;
  }
}
