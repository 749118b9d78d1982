import { CHANGE_LOG_ENTRIES, type SharedBuffers, TOTAL } from './layout.ts';

/**
 * `taken`: the server got a connection. `changed`: it lost one, or its latency is another. `standing`: whether it can be proposed at
 * all may be another: its health, or what its agent says.
 */
export const CHANGES = ['taken', 'changed', 'standing'] as const;
export type Change = (typeof CHANGES)[number];

/** An entry, from its lowest bit: the change (2 bits), the server's slot (14), and which lap of the ring it is of (16). */
const CHANGE_BITS = 2;
const SLOT_BITS = 14;
const LAP_SHIFT = CHANGE_BITS + SLOT_BITS;
const LAPS = 1 << (32 - LAP_SHIFT);

/**
 * What happened to servers lately, in one order for all threads, as a ring: each worker follows it to know how loaded servers are without
 * looking at all of them. It says only that something has changed; what it is now, the cells themselves say. A reader that fell behind
 * by more than the ring holds is told so.
 */
export class ChangeLog {
  readonly #cells: Int32Array;
  /** Where this reader goes on. */
  #next: number;

  constructor(buffers: SharedBuffers) {
    this.#cells = new Int32Array(buffers.totals, TOTAL.changeLog * Int32Array.BYTES_PER_ELEMENT, 1 + CHANGE_LOG_ENTRIES);
    this.#next = this.#head;
  }

  /** Call it after the change. */
  append(slot: number, change: Change): void {
    const index = Atomics.add(this.#cells, 0, 1) >>> 0;
    const entry = (lapOf(index) << LAP_SHIFT) | (slot << CHANGE_BITS) | CHANGES.indexOf(change);
    Atomics.store(this.#cells, 1 + (index % CHANGE_LOG_ENTRIES), entry);
  }

  /** Gives `take` what came since the last call. False: some of it is lost, and everything may be another than before. */
  read(take: (slot: number, change: Change) => void): boolean {
    const head = this.#head;
    if ((head - this.#next) >>> 0 > CHANGE_LOG_ENTRIES / 2) {
      this.#next = head;
      return false;
    }
    while (this.#next !== head) {
      const entry = Atomics.load(this.#cells, 1 + (this.#next % CHANGE_LOG_ENTRIES)) >>> 0;
      // Its writer has not got so far yet: it is there the next time.
      if (entry >>> LAP_SHIFT !== lapOf(this.#next)) return true;
      this.#next = (this.#next + 1) >>> 0;
      take((entry >>> CHANGE_BITS) & ((1 << SLOT_BITS) - 1), CHANGES[entry & ((1 << CHANGE_BITS) - 1)] ?? 'standing');
    }
    return true;
  }

  /** Something has happened since the last {@link read}. */
  get hasNews(): boolean {
    return this.#head !== this.#next;
  }

  get #head(): number {
    return Atomics.load(this.#cells, 0) >>> 0;
  }
}

/** From 1: an entry that was never written is of no lap. */
function lapOf(index: number): number {
  return (Math.floor(index / CHANGE_LOG_ENTRIES) + 1) % LAPS;
}
