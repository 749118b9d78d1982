import type { SharedMemory } from './layout.ts';

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
