import { DIRECTIONS, type Direction, LINE_WORDS } from '../../domain/ratelimit/byte-line.ts';
import type { Cells } from '../../domain/ratelimit/limiter.ts';
import type { SharedMemory } from './layout.ts';
import { releaseIfHeldBy, tryLockForMain, unlock, withSpinLock } from './spin-lock.ts';

/** A lock for each line, then its cells. */
export interface ByteLineMemory {
  readonly locks: SharedMemory;
  readonly words: SharedMemory;
}

/** Memory for the lines of so many clients, nobody in them. */
export function createByteLineMemory(clients: number): ByteLineMemory {
  const lines = clients * DIRECTIONS.length;
  return {
    locks: new SharedArrayBuffer(lines * Int32Array.BYTES_PER_ELEMENT),
    words: new SharedArrayBuffer(lines * LINE_WORDS * Float64Array.BYTES_PER_ELEMENT),
  };
}

/** One client's line in one direction, as one thread has it. */
export interface ByteLine {
  /** Decides alone among all workers. */
  withLock<T>(decide: (cells: Cells) => T): T;
}

/** The lines of all clients' bytes, by the clients' slots. */
export class ByteLines {
  readonly #locks: Int32Array;
  readonly #words: Float64Array;

  constructor({ locks, words }: ByteLineMemory) {
    this.#locks = new Int32Array(locks);
    this.#words = new Float64Array(words);
  }

  /** For the worker of this lane. */
  line(lane: number, clientSlot: number, direction: Direction): ByteLine {
    const index = indexOf(clientSlot, direction);
    const cells = this.#cells(index);
    return { withLock: (decide) => withSpinLock(this.#locks, index, lane, () => decide(cells)) };
  }

  /** For the main thread: runs `look`, which changes nothing. While somebody holds the lock, what it sees may be in the middle of a change. */
  glance<T>(clientSlot: number, direction: Direction, look: (cells: Cells) => T): T {
    const index = indexOf(clientSlot, direction);
    const isMine = tryLockForMain(this.#locks, index);
    try {
      return look(this.#cells(index));
    } finally {
      if (isMine) unlock(this.#locks, index);
    }
  }

  /** For the main thread: as {@link glance}, for what a dead worker can no longer give back. */
  change(clientSlot: number, direction: Direction, change: (cells: Cells) => void): void {
    this.glance(clientSlot, direction, change);
  }

  /** Makes an idle client's lines ready for another client. */
  clear(clientSlot: number): void {
    for (const direction of DIRECTIONS) this.#cells(indexOf(clientSlot, direction)).fill(0);
  }

  /** Frees the locks that a dead worker held. */
  releaseLane(lane: number): void {
    for (let line = 0; line < this.#locks.length; line++) releaseIfHeldBy(this.#locks, line, lane);
  }

  #cells(index: number): Float64Array {
    return this.#words.subarray(index * LINE_WORDS, (index + 1) * LINE_WORDS);
  }
}

function indexOf(clientSlot: number, direction: Direction): number {
  return clientSlot * DIRECTIONS.length + DIRECTIONS.indexOf(direction);
}
