import { DomainError } from '../domain/errors.ts';
import { type Client, type RateAlgorithm, type Snapshot, serverKey } from '../domain/model.ts';
import { limiterFor } from '../domain/ratelimit/algorithms.ts';
import { CellLock, MAX_CLIENTS, MAX_GROUPS, MAX_SERVERS, type SharedLedger, type SharedMemory } from '../shared/memory.ts';
import type { SlotAssignments } from '../shared/messages.ts';

/**
 * Which row of shared memory belongs to which server, group and client. A row that was given up is used again only once no
 * connection counts on it any more, and starts from zero then.
 */
export class Slots {
  readonly #ledger: SharedLedger;
  readonly #groups = new Rows(
    MAX_GROUPS,
    () => true,
    () => undefined,
  );
  readonly #servers: Rows;
  readonly #clients: Rows;
  readonly #limiters = new Map<string, Limiter>();

  constructor(ledger: SharedLedger) {
    this.#ledger = ledger;
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

  clientSlot(clientId: string): number | undefined {
    return this.#clients.slotOf(clientId);
  }

  limiterCells(clientId: string): SharedMemory | undefined {
    return this.#limiters.get(clientId)?.cells;
  }

  /** Every assignment, for a worker that starts. */
  all(): SlotAssignments {
    const limiters = new Map([...this.#limiters].map(([clientId, { cells }]) => [clientId, cells]));
    return { servers: this.#servers.all(), groups: this.#groups.all(), clients: this.#clients.all(), limiters };
  }

  /** @throws DomainError `exhausted` when `snapshot` needs more rows than there are. Call it before accepting a change. */
  checkCapacity(snapshot: Snapshot): void {
    const servers = [...snapshot.targetGroups.values()].reduce((sum, group) => sum + group.servers.length, 0);
    checkRoom('targetGroups', snapshot.targetGroups.size, 'target groups', MAX_GROUPS);
    checkRoom('servers', servers, 'upstream servers', MAX_SERVERS);
    checkRoom('clients', snapshot.clients.size, 'clients', MAX_CLIENTS);
  }

  /** Makes the assignments fit `next`, and returns those that are new. */
  follow(next: Snapshot): SlotAssignments {
    const serverKeys = new Set<string>();
    for (const group of next.targetGroups.values())
      for (const server of group.servers) serverKeys.add(serverKey(group.name, server.address));
    const servers = this.#servers.follow(serverKeys);
    const groups = this.#groups.follow(next.targetGroups);
    const clients = this.#clients.follow(next.clients);
    for (const clientId of this.#limiters.keys()) if (!next.clients.has(clientId)) this.#limiters.delete(clientId);
    const limiters = new Map<string, SharedMemory>();
    for (const client of next.clients.values()) {
      const added = this.#limiterOf(client);
      if (added !== undefined) limiters.set(client.clientId, added);
    }
    return { servers, groups, clients, limiters };
  }

  /** Gives back what a dead worker held: connection counts and limiter locks. */
  releaseLane(lane: number): void {
    this.#ledger.releaseLane(lane);
    for (const { cells } of this.#limiters.values()) new CellLock(cells).releaseIfHeldBy(lane);
  }

  /** New cells for a client that had none that fit. Cells that fit are kept when a limit changes: no free refill. */
  #limiterOf({ clientId, limits }: Client): SharedMemory | undefined {
    if (limits.connectionRate === undefined) {
      this.#limiters.delete(clientId);
      return undefined;
    }
    const { algorithm } = limits.connectionRate;
    const { words } = limiterFor(limits.connectionRate);
    const known = this.#limiters.get(clientId);
    if (known !== undefined && known.algorithm === algorithm && known.words === words) return undefined;
    const cells = CellLock.allocate(words);
    this.#limiters.set(clientId, { algorithm, words, cells });
    return cells;
  }
}

interface Limiter {
  readonly algorithm: RateAlgorithm;
  readonly words: number;
  readonly cells: SharedMemory;
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

  follow(keys: { has(key: string): boolean; keys(): Iterable<string> }): Map<string, number> {
    for (const [key, slot] of this.#slots) {
      if (keys.has(key)) continue;
      this.#slots.delete(key);
      this.#retired.push(slot);
    }
    const added = new Map<string, number>();
    for (const key of keys.keys()) {
      if (this.#slots.has(key)) continue;
      const slot = this.#take();
      this.#slots.set(key, slot);
      added.set(key, slot);
    }
    return added;
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
