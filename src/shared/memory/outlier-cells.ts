import type { SharedMemory } from './layout.ts';

/** A server's words. */
const WORD = { untilMs: 0, ejections: 1, width: 2 } as const;

/** What all threads know of failing servers: workers count, the main thread decides. */
export interface OutlierMemory {
  /** Int32: connect failures in a row by server, whether each is ejected, then whether each group is in panic. */
  readonly cells: SharedMemory;
  /** 64-bit, of each server: until when it is ejected, on the monotonic clock; how often it was. The main thread writes them. */
  readonly words: SharedMemory;
}

/** For so many servers and groups; nobody has failed, and nobody is ejected. */
export function createOutlierMemory(servers: number, groups: number): OutlierMemory {
  return {
    cells: new SharedArrayBuffer((2 * servers + groups) * Int32Array.BYTES_PER_ELEMENT),
    words: new SharedArrayBuffer(servers * WORD.width * Float64Array.BYTES_PER_ELEMENT),
  };
}

/** One thread's side of it. */
export class OutlierCells {
  readonly #cells: Int32Array;
  readonly #words: Float64Array;
  readonly #servers: number;

  constructor({ cells, words }: OutlierMemory) {
    this.#cells = new Int32Array(cells);
    this.#words = new Float64Array(words);
    this.#servers = this.#words.length / WORD.width;
  }

  /** Connecting has failed once more; returns how often in a row. Each number is returned to one caller alone. */
  countFailure(serverSlot: number): number {
    return Atomics.add(this.#cells, serverSlot, 1) + 1;
  }

  /** A connect that succeeded ends the row. */
  endFailures(serverSlot: number): void {
    // Written only where there is something to end: servers that are well stay in every processor's cache.
    if (Atomics.load(this.#cells, serverSlot) !== 0) Atomics.store(this.#cells, serverSlot, 0);
  }

  failures(serverSlot: number): number {
    return Atomics.load(this.#cells, serverSlot);
  }

  isEjected(serverSlot: number): boolean {
    return Atomics.load(this.#cells, this.#servers + serverSlot) === 1;
  }

  /** On the monotonic clock; of a server that is ejected. */
  ejectedUntilMs(serverSlot: number): number {
    return this.#word(serverSlot, 'untilMs');
  }

  /** Ejections so far. */
  ejections(serverSlot: number): number {
    return this.#word(serverSlot, 'ejections');
  }

  /** Ejects the server, or ends its ejection; the row of failures begins anew. */
  setEjected(serverSlot: number, untilMs: number | undefined): void {
    const at = serverSlot * WORD.width;
    if (untilMs !== undefined) this.#words[at + WORD.ejections] = this.ejections(serverSlot) + 1;
    this.#words[at + WORD.untilMs] = untilMs ?? 0;
    Atomics.store(this.#cells, serverSlot, 0);
    Atomics.store(this.#cells, this.#servers + serverSlot, untilMs === undefined ? 0 : 1);
  }

  /** Forgets the server. */
  clear(serverSlot: number): void {
    this.setEjected(serverSlot, undefined);
    this.#words[serverSlot * WORD.width + WORD.ejections] = 0;
  }

  isInPanic(groupSlot: number): boolean {
    return Atomics.load(this.#cells, 2 * this.#servers + groupSlot) === 1;
  }

  setPanic(groupSlot: number, isInPanic: boolean): void {
    Atomics.store(this.#cells, 2 * this.#servers + groupSlot, isInPanic ? 1 : 0);
  }

  #word(serverSlot: number, word: 'untilMs' | 'ejections'): number {
    return this.#words[serverSlot * WORD.width + WORD[word]] ?? 0;
  }
}
