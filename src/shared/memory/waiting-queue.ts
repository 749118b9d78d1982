import { aheadOf, first, join, leave, leaveAll, lengths, MOST_WAITING, queueWords, serve } from '../../domain/queue.ts';
import type { SharedMemory } from './layout.ts';
import { releaseIfHeldBy, tryLockForMain, unlock, withSpinLock } from './spin-lock.ts';

/** A lock, how many wait for each group, and a bell for each lane; then the table of domain/queue.ts. */
export interface QueueMemory {
  readonly cells: SharedMemory;
  readonly words: SharedMemory;
}

const LOCK = 0;
const LENGTHS = 1;

/** Memory for a queue in which nobody waits. */
export function createQueueMemory(groups: number, lanes: number): QueueMemory {
  return {
    cells: new SharedArrayBuffer((LENGTHS + groups + lanes) * Int32Array.BYTES_PER_ELEMENT),
    words: new SharedArrayBuffer(queueWords(MOST_WAITING) * Float64Array.BYTES_PER_ELEMENT),
  };
}

/** Whose turn it is in a group's queue. */
export interface FirstInLine {
  readonly row: number;
  /** It is one of this worker's connections. */
  readonly isMine: boolean;
}

/**
 * The queue as one worker has it. Who gives something back rings the bell of the worker whose connection is first, and of no other; a
 * worker that nobody waits in hears no bell, so an empty queue costs nothing.
 */
export class WaitingQueue {
  readonly #lane: number;
  readonly #cells: Int32Array;
  readonly #words: Float64Array;
  readonly #bells: number;

  constructor({ cells, words }: QueueMemory, lane: number, groups: number) {
    this.#lane = lane;
    this.#cells = new Int32Array(cells);
    this.#words = new Float64Array(words);
    this.#bells = LENGTHS + groups;
  }

  /** How many wait for the group, in all workers. */
  length(group: number): number {
    return Atomics.load(this.#cells, LENGTHS + group);
  }

  /** As {@link join} of domain/queue.ts. */
  join(group: number, client: number, maxLength: number): number | undefined {
    return this.#alone(() => {
      const row = join(this.#words, { holder: this.#lane, group, client }, maxLength);
      if (row !== undefined) Atomics.add(this.#cells, LENGTHS + group, 1);
      return row;
    });
  }

  /** Waits no longer. If it was its turn, it is another's now, who may not have heard of a place that is free. */
  leave(group: number, row: number): void {
    const wasFirst = this.#alone(() => {
      const before = first(this.#words, group);
      leave(this.#words, row);
      Atomics.sub(this.#cells, LENGTHS + group, 1);
      return before?.row === row;
    });
    if (wasFirst) this.callFirst(group);
  }

  /** As {@link serve} of domain/queue.ts. */
  serve(group: number, row: number): void {
    this.#alone(() => {
      serve(this.#words, row);
      Atomics.sub(this.#cells, LENGTHS + group, 1);
    });
  }

  /** undefined: nobody waits. */
  first(group: number): FirstInLine | undefined {
    if (this.length(group) === 0) return undefined;
    const found = this.#alone(() => first(this.#words, group));
    return found === undefined ? undefined : { row: found.row, isMine: found.holder === this.#lane };
  }

  /** As {@link aheadOf} of domain/queue.ts. */
  aheadOf(group: number, client: number): number {
    return this.#alone(() => aheadOf(this.#words, group, client));
  }

  /** A place may be free: tells the worker whose connection is first. Call it after the place was given back. */
  callFirst(group: number): void {
    if (this.length(group) === 0) return;
    const found = this.#alone(() => first(this.#words, group));
    if (found !== undefined) ring(this.#cells, this.#bells + found.holder);
  }

  /** How often this worker has been called. */
  get calls(): number {
    return Atomics.load(this.#cells, this.#bells + this.#lane);
  }

  /** Resolves when this worker has been called more often than `seen`, which may be now. */
  async calledAfter(seen: number): Promise<void> {
    await Atomics.waitAsync(this.#cells, this.#bells + this.#lane, seen).value;
  }

  /** Takes out what a worker of this lane, which is dead, has left, unless the main thread has; the others look whose turn it is then. */
  clearLane(): void {
    this.#alone(() => clearLane(this.#cells, this.#words, this.#lane, this.#bells));
    ringAll(this.#cells, this.#bells);
  }

  #alone<T>(decide: () => T): T {
    return withSpinLock(this.#cells, LOCK, this.#lane, decide);
  }
}

/** The queue as the main thread has it: it reads lengths, calls everybody when servers are others, and clears up. */
export class QueueLedger {
  readonly #cells: Int32Array;
  readonly #words: Float64Array;
  readonly #bells: number;

  constructor({ cells, words }: QueueMemory, groups: number) {
    this.#cells = new Int32Array(cells);
    this.#words = new Float64Array(words);
    this.#bells = LENGTHS + groups;
  }

  /** How many wait for the group, in all workers. */
  length(group: number): number {
    return Atomics.load(this.#cells, LENGTHS + group);
  }

  /** Servers may have room that had none: every worker in which somebody waits looks again. */
  callAll(): void {
    ringAll(this.#cells, this.#bells);
  }

  /** Frees the lock that a dead worker held, and takes out who waited in it; if the lock is another's for long, its successor does. */
  releaseLane(lane: number): void {
    releaseIfHeldBy(this.#cells, LOCK, lane);
    if (!tryLockForMain(this.#cells, LOCK)) return;
    try {
      clearLane(this.#cells, this.#words, lane, this.#bells);
    } finally {
      unlock(this.#cells, LOCK);
    }
    this.callAll();
  }
}

function ringAll(cells: Int32Array, bells: number): void {
  for (let bell = bells; bell < cells.length; bell++) ring(cells, bell);
}

function ring(cells: Int32Array, bell: number): void {
  Atomics.add(cells, bell, 1);
  Atomics.notify(cells, bell);
}

/** Counts anew, because a worker may have died between the table and its count. */
function clearLane(cells: Int32Array, words: Float64Array, lane: number, bells: number): void {
  leaveAll(words, lane);
  const counted = lengths(words);
  for (let group = 0; group < bells - LENGTHS; group++) Atomics.store(cells, LENGTHS + group, counted.get(group) ?? 0);
}
