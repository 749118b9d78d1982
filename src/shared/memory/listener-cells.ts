/** How many connections came by each listener: a column for each worker, which it alone writes, and the main thread once it is dead. */
import type { SharedMemory } from './layout.ts';

/** A listener's words in a column, 64-bit. */
const WORD = { active: 0, accepted: 1, refused: 2, width: 3 } as const;

/** A listener's counters, summed over all workers. */
export interface ListenerTotals {
  /** Connections being served now. */
  readonly active: number;
  /** Connections that were served. */
  readonly accepted: number;
  readonly refused: number;
}

/** One column for each lane. */
export type ListenerMemory = readonly SharedMemory[];

/** Memory for so many workers and listeners, all zero. */
export function createListenerMemory(lanes: number, listeners: number): ListenerMemory {
  return Array.from({ length: lanes }, () => new SharedArrayBuffer(listeners * WORD.width * Float64Array.BYTES_PER_ELEMENT));
}

/** Where one worker counts. A slot that is undefined is of a listener that is gone: nothing is counted. */
export class ListenerLane {
  readonly #own: Float64Array;

  constructor(memory: ListenerMemory, lane: number) {
    const own = memory[lane];
    if (own === undefined) throw new RangeError(`there is no lane ${lane}`);
    this.#own = new Float64Array(own);
  }

  /** A connection is being served from now on; {@link countEnded}, with the same slot, says when it no longer is. */
  countAccepted(slot: number | undefined): void {
    this.#add(slot, WORD.accepted, 1);
    this.#add(slot, WORD.active, 1);
  }

  countEnded(slot: number | undefined): void {
    this.#add(slot, WORD.active, -1);
  }

  countRefused(slot: number | undefined): void {
    this.#add(slot, WORD.refused, 1);
  }

  #add(slot: number | undefined, word: number, amount: number): void {
    if (slot === undefined) return;
    const at = slot * WORD.width + word;
    this.#own[at] = (this.#own[at] ?? 0) + amount;
  }
}

/** The main thread's side. */
export class ListenerLedger {
  readonly #columns: readonly Float64Array[];
  /** What a row had counted when it was given to another listener, or to the same one anew. */
  readonly #before = new Map<number, ListenerTotals>();

  constructor(memory: ListenerMemory) {
    this.#columns = memory.map((column) => new Float64Array(column));
  }

  totals(slot: number): ListenerTotals {
    const { accepted = 0, refused = 0 } = this.#before.get(slot) ?? {};
    const sums = this.#sums(slot);
    return { active: sums.active, accepted: sums.accepted - accepted, refused: sums.refused - refused };
  }

  /** Counts nothing of the row's listener any more, but its connections. */
  renew(slot: number): void {
    this.#before.set(slot, this.#sums(slot));
  }

  /** The connections of a worker that died are gone. */
  releaseLane(lane: number): void {
    const column = this.#columns[lane];
    if (column === undefined) return;
    // Reading costs no memory; writing would have every page committed.
    for (let at = WORD.active; at < column.length; at += WORD.width) if (column[at] !== 0) column[at] = 0;
  }

  #sums(slot: number): ListenerTotals {
    const sum = (word: number) => this.#columns.reduce((total, column) => total + (column[slot * WORD.width + word] ?? 0), 0);
    return { active: sum(WORD.active), accepted: sum(WORD.accepted), refused: sum(WORD.refused) };
  }
}
