import type { SharedMemory } from './layout.ts';

/** What all threads know of failing servers: workers count, the main thread decides. */
export interface OutlierMemory {
  /** Int32: connect failures in a row by server, whether each is ejected, then whether each group is in panic. */
  readonly cells: SharedMemory;
  /** 64-bit: until when each server is ejected, on the monotonic clock. */
  readonly words: SharedMemory;
}

/** For so many servers and groups; nobody has failed, and nobody is ejected. */
export function createOutlierMemory(servers: number, groups: number): OutlierMemory {
  return {
    cells: new SharedArrayBuffer((2 * servers + groups) * Int32Array.BYTES_PER_ELEMENT),
    words: new SharedArrayBuffer(servers * Float64Array.BYTES_PER_ELEMENT),
  };
}

/** One thread's side of it. */
export class OutlierCells {
  readonly #cells: Int32Array;
  readonly #words: Float64Array;

  constructor({ cells, words }: OutlierMemory) {
    this.#cells = new Int32Array(cells);
    this.#words = new Float64Array(words);
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
    return Atomics.load(this.#cells, this.#words.length + serverSlot) === 1;
  }

  /** On the monotonic clock; of a server that is ejected. */
  ejectedUntilMs(serverSlot: number): number {
    return this.#words[serverSlot] ?? 0;
  }

  /** Ejects the server, or ends its ejection; the row of failures begins anew. */
  setEjected(serverSlot: number, untilMs: number | undefined): void {
    this.#words[serverSlot] = untilMs ?? 0;
    Atomics.store(this.#cells, serverSlot, 0);
    Atomics.store(this.#cells, this.#words.length + serverSlot, untilMs === undefined ? 0 : 1);
  }

  isInPanic(groupSlot: number): boolean {
    return Atomics.load(this.#cells, 2 * this.#words.length + groupSlot) === 1;
  }

  setPanic(groupSlot: number, isInPanic: boolean): void {
    Atomics.store(this.#cells, 2 * this.#words.length + groupSlot, isInPanic ? 1 : 0);
  }
}
