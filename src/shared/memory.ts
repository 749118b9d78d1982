/**
 * The fast facts that main thread and workers share. This is the only file that says SharedArrayBuffer or Atomics.
 *
 * Two kinds of number live here:
 * - totals that several threads change and decide on (how many connections a server or client holds, limiter cells): Int32
 *   cells changed with Atomics, or cells under a CellLock;
 * - counters that one worker alone writes, in its own lane (accepted, refused by reason, bytes): plain 64-bit floats, exact
 *   up to 2^53. Readers add the lanes up. An aligned 64-bit store is not torn on any platform Node.js supports.
 *
 * The buffers have a fixed capacity; the system commits a page only when it is first written.
 */
import { REASONS, REFUSAL_REASONS, type Reason, type RefusalReason, reasonIndex } from '../domain/reasons.ts';
import { countLatency, LATENCY_WORDS, type LatencyTotals, readLatency } from './latency.ts';

export const MAX_SERVERS = 16_384;
export const MAX_CLIENTS = 16_384;
export const MAX_GROUPS = 4_096;

/** Memory that both sides of the thread wall see; everybody but this file hands it on unopened. */
export type SharedMemory = SharedArrayBuffer;

export interface SharedBuffers {
  readonly totals: SharedMemory;
  /** One for each worker, by lane number. */
  readonly lanes: readonly SharedMemory[];
}

export const HEALTH_CODES = ['unknown', 'healthy', 'unhealthy'] as const;
export type HealthCode = (typeof HEALTH_CODES)[number];

/** One server's or client's counters in one lane, or summed over all lanes. */
export interface ServerTotals {
  readonly connected: number;
  readonly failed: number;
  readonly bytesToUpstream: number;
  readonly bytesFromUpstream: number;
}

export interface ClientTotals {
  readonly accepted: number;
  readonly bytesFromClient: number;
  readonly bytesToClient: number;
  readonly refused: ReadonlyMap<RefusalReason, number>;
}

// Rows of a lane, in 64-bit words.
const SERVER = { active: 0, connected: 1, failed: 2, bytesTo: 3, bytesFrom: 4, width: 5 } as const;
const CLIENT = { active: 0, accepted: 1, bytesFrom: 2, bytesTo: 3, refused: 4, width: 4 + REFUSAL_REASONS.length } as const;
/** What a lane has once, before its rows. */
const HEAD_WORDS = 3 + REASONS.length + 2 * LATENCY_WORDS;
const LANE = {
  accepted: 0,
  active: 1,
  numbered: 2,
  reasons: 3,
  handshake: 3 + REASONS.length,
  connect: 3 + REASONS.length + LATENCY_WORDS,
  servers: HEAD_WORDS,
  clients: HEAD_WORDS + MAX_SERVERS * SERVER.width,
  width: HEAD_WORDS + MAX_SERVERS * SERVER.width + MAX_CLIENTS * CLIENT.width,
} as const;

// Int32 cells of the totals.
const TOTAL = {
  serverActive: 0,
  serverHealth: MAX_SERVERS,
  clientActive: 2 * MAX_SERVERS,
  groupTurn: 2 * MAX_SERVERS + MAX_CLIENTS,
  width: 2 * MAX_SERVERS + MAX_CLIENTS + MAX_GROUPS,
} as const;

export function createSharedBuffers(lanes: number): SharedBuffers {
  return {
    totals: new SharedArrayBuffer(TOTAL.width * Int32Array.BYTES_PER_ELEMENT),
    lanes: Array.from({ length: lanes }, () => new SharedArrayBuffer(LANE.width * Float64Array.BYTES_PER_ELEMENT)),
  };
}

/** Where one worker writes: its own lane, and its part in the shared totals. */
export class LaneWriter {
  readonly lane: number;
  readonly #totals: Int32Array;
  readonly #own: Float64Array;

  constructor(buffers: SharedBuffers, lane: number) {
    const own = buffers.lanes[lane];
    if (own === undefined) throw new RangeError(`there is no lane ${lane}`);
    this.lane = lane;
    this.#totals = new Int32Array(buffers.totals);
    this.#own = new Float64Array(own);
  }

  health(serverSlot: number): HealthCode {
    return HEALTH_CODES[Atomics.load(this.#totals, TOTAL.serverHealth + serverSlot)] ?? 'unknown';
  }

  serverActive(serverSlot: number): number {
    return Atomics.load(this.#totals, TOTAL.serverActive + serverSlot);
  }

  /**
   * Takes one of the server's places, if its count is still `seen`. False: another worker was quicker; look again.
   */
  reserveServer(serverSlot: number, seen: number): boolean {
    if (Atomics.compareExchange(this.#totals, TOTAL.serverActive + serverSlot, seen, seen + 1) !== seen) return false;
    this.#add(LANE.servers + serverSlot * SERVER.width + SERVER.active, 1);
    return true;
  }

  releaseServer(serverSlot: number): void {
    Atomics.sub(this.#totals, TOTAL.serverActive + serverSlot, 1);
    this.#add(LANE.servers + serverSlot * SERVER.width + SERVER.active, -1);
  }

  /** Whose turn it is in a target group, for all workers together. */
  groupTurn(groupSlot: number): { position: number } {
    const totals = this.#totals;
    const cell = TOTAL.groupTurn + groupSlot;
    return {
      get position() {
        return Atomics.load(totals, cell);
      },
      set position(position) {
        Atomics.store(totals, cell, position);
      },
    };
  }

  clientActive(clientSlot: number): number {
    return Atomics.load(this.#totals, TOTAL.clientActive + clientSlot);
  }

  /** Takes one of the client's `limit` places; false when all are taken. Exact across workers. */
  reserveClient(clientSlot: number, limit: number): boolean {
    const cell = TOTAL.clientActive + clientSlot;
    for (;;) {
      const seen = Atomics.load(this.#totals, cell);
      if (seen >= limit) return false;
      if (Atomics.compareExchange(this.#totals, cell, seen, seen + 1) === seen) break;
    }
    this.#add(LANE.clients + clientSlot * CLIENT.width + CLIENT.active, 1);
    return true;
  }

  releaseClient(clientSlot: number): void {
    Atomics.sub(this.#totals, TOTAL.clientActive + clientSlot, 1);
    this.#add(LANE.clients + clientSlot * CLIENT.width + CLIENT.active, -1);
  }

  /** A connection is being served from now on; {@link countEnded} says when it no longer is. */
  countAccepted(clientSlot: number): void {
    this.#add(LANE.accepted, 1);
    this.#add(LANE.active, 1);
    this.#add(LANE.clients + clientSlot * CLIENT.width + CLIENT.accepted, 1);
  }

  /** How many connections have been given a number in this lane; it outlives the worker, so that no number comes twice. */
  get lastNumber(): number {
    return this.#own[LANE.numbered] ?? 0;
  }

  /** The number of one more connection, from 1. */
  nextNumber(): number {
    this.#add(LANE.numbered, 1);
    return this.lastNumber;
  }

  /** `seconds` from accept to a verified handshake. */
  countHandshake(seconds: number): void {
    countLatency(this.#own, LANE.handshake, seconds);
  }

  /** `seconds` from the first dial to a connected upstream server, retries included. */
  countConnect(seconds: number): void {
    countLatency(this.#own, LANE.connect, seconds);
  }

  countEnded(): void {
    this.#add(LANE.active, -1);
  }

  countReason(reason: Reason): void {
    this.#add(LANE.reasons + reasonIndex(reason), 1);
  }

  countRefused(clientSlot: number, reason: RefusalReason): void {
    this.#add(LANE.clients + clientSlot * CLIENT.width + CLIENT.refused + reasonIndex(reason), 1);
  }

  countConnected(serverSlot: number): void {
    this.#add(LANE.servers + serverSlot * SERVER.width + SERVER.connected, 1);
  }

  countFailed(serverSlot: number): void {
    this.#add(LANE.servers + serverSlot * SERVER.width + SERVER.failed, 1);
  }

  countBytesUp(clientSlot: number, serverSlot: number, bytes: number): void {
    this.#add(LANE.clients + clientSlot * CLIENT.width + CLIENT.bytesFrom, bytes);
    this.#add(LANE.servers + serverSlot * SERVER.width + SERVER.bytesTo, bytes);
  }

  countBytesDown(clientSlot: number, serverSlot: number, bytes: number): void {
    this.#add(LANE.clients + clientSlot * CLIENT.width + CLIENT.bytesTo, bytes);
    this.#add(LANE.servers + serverSlot * SERVER.width + SERVER.bytesFrom, bytes);
  }

  #add(word: number, amount: number): void {
    this.#own[word] = (this.#own[word] ?? 0) + amount;
  }
}

/** The main thread's side: writes health, reads everything, clears up after a worker that died. */
export class SharedLedger {
  readonly buffers: SharedBuffers;
  readonly #totals: Int32Array;
  readonly #lanes: readonly Float64Array[];

  constructor(buffers: SharedBuffers) {
    this.buffers = buffers;
    this.#totals = new Int32Array(buffers.totals);
    this.#lanes = buffers.lanes.map((lane) => new Float64Array(lane));
  }

  setHealth(serverSlot: number, health: HealthCode): void {
    Atomics.store(this.#totals, TOTAL.serverHealth + serverSlot, HEALTH_CODES.indexOf(health));
  }

  serverActive(serverSlot: number): number {
    return Atomics.load(this.#totals, TOTAL.serverActive + serverSlot);
  }

  clientActive(clientSlot: number): number {
    return Atomics.load(this.#totals, TOTAL.clientActive + clientSlot);
  }

  accepted(): number {
    return this.#sum(LANE.accepted);
  }

  active(): number {
    return this.#sum(LANE.active);
  }

  reason(reason: Reason): number {
    return this.#sum(LANE.reasons + reasonIndex(reason));
  }

  handshakes(): LatencyTotals {
    return readLatency((index) => this.#sum(LANE.handshake + index));
  }

  connects(): LatencyTotals {
    return readLatency((index) => this.#sum(LANE.connect + index));
  }

  server(serverSlot: number): ServerTotals {
    const row = LANE.servers + serverSlot * SERVER.width;
    return {
      connected: this.#sum(row + SERVER.connected),
      failed: this.#sum(row + SERVER.failed),
      bytesToUpstream: this.#sum(row + SERVER.bytesTo),
      bytesFromUpstream: this.#sum(row + SERVER.bytesFrom),
    };
  }

  client(clientSlot: number): ClientTotals {
    const row = LANE.clients + clientSlot * CLIENT.width;
    const refused = new Map<RefusalReason, number>();
    REFUSAL_REASONS.forEach((reason, index) => {
      const count = this.#sum(row + CLIENT.refused + index);
      if (count > 0) refused.set(reason, count);
    });
    return {
      accepted: this.#sum(row + CLIENT.accepted),
      bytesFromClient: this.#sum(row + CLIENT.bytesFrom),
      bytesToClient: this.#sum(row + CLIENT.bytesTo),
      refused,
    };
  }

  /** Gives back every place that a dead worker still held. Its counters of what was stay. */
  releaseLane(lane: number): void {
    this.#releaseGauges(lane, LANE.servers + SERVER.active, SERVER.width, MAX_SERVERS, TOTAL.serverActive);
    this.#releaseGauges(lane, LANE.clients + CLIENT.active, CLIENT.width, MAX_CLIENTS, TOTAL.clientActive);
    this.#lanes[lane]?.fill(0, LANE.active, LANE.active + 1);
  }

  /** Makes an idle server row ready for another server. */
  clearServer(serverSlot: number): void {
    this.#clearRows(LANE.servers + serverSlot * SERVER.width, SERVER.width);
    Atomics.store(this.#totals, TOTAL.serverHealth + serverSlot, 0);
  }

  clearClient(clientSlot: number): void {
    this.#clearRows(LANE.clients + clientSlot * CLIENT.width, CLIENT.width);
  }

  #releaseGauges(lane: number, first: number, width: number, rows: number, totals: number): void {
    const words = this.#lanes[lane];
    if (words === undefined) return;
    for (let row = 0; row < rows; row++) {
      const held = words[first + row * width] ?? 0;
      if (held === 0) continue;
      Atomics.sub(this.#totals, totals + row, held);
      words[first + row * width] = 0;
    }
  }

  #clearRows(first: number, width: number): void {
    for (const lane of this.#lanes) lane.fill(0, first, first + width);
  }

  #sum(word: number): number {
    let sum = 0;
    for (const lane of this.#lanes) sum += lane[word] ?? 0;
    return sum;
  }
}

/** Holds a lock for the main thread; workers hold it as their lane plus 1. */
const GLANCING = -1;
const GLANCE_SPINS = 1_000;

/**
 * A limiter's state: 64-bit cells behind a lock, so that a decision over several cells is one step for all workers. The lock
 * is held for the length of one arithmetic decision. It names its holder, so a worker that dies holding it can be cleared.
 */
export class CellLock {
  readonly #lock: Int32Array;
  readonly cells: Float64Array;

  constructor(buffer: SharedMemory) {
    this.#lock = new Int32Array(buffer, 0, 2);
    this.cells = new Float64Array(buffer, 8);
  }

  static allocate(words: number): SharedMemory {
    return new SharedArrayBuffer(8 + words * Float64Array.BYTES_PER_ELEMENT);
  }

  /** Runs `decide` alone among all threads. `lane` says who holds the lock meanwhile. */
  withLock<T>(lane: number, decide: (cells: Float64Array) => T): T {
    const holder = lane + 1;
    for (let spins = 0; Atomics.compareExchange(this.#lock, 0, 0, holder) !== 0; spins++) {
      // The holder may have been descheduled on a busy machine: give the processor away rather than burn it.
      if (spins > 100) Atomics.wait(this.#lock, 0, Atomics.load(this.#lock, 0), 1);
    }
    try {
      return decide(this.cells);
    } finally {
      Atomics.store(this.#lock, 0, 0);
    }
  }

  /**
   * Runs `look`, which changes nothing, without ever waiting for long: the main thread must not, because the holder may be a
   * worker that died, whose lock only the main thread frees. In that case what it sees may be in the middle of a change.
   */
  glance<T>(look: (cells: Float64Array) => T): T {
    let isMine = false;
    for (let spins = 0; spins < GLANCE_SPINS && !isMine; spins++) {
      isMine = Atomics.compareExchange(this.#lock, 0, 0, GLANCING) === 0;
    }
    try {
      return look(this.cells);
    } finally {
      if (isMine) Atomics.store(this.#lock, 0, 0);
    }
  }

  /** Frees the lock if the dead worker of this lane held it. */
  releaseIfHeldBy(lane: number): void {
    Atomics.compareExchange(this.#lock, 0, lane + 1, 0);
  }
}
