import { type LimitState, TERMS_WORDS } from '../../domain/ratelimit/limit-state.ts';
import type { SharedMemory } from './layout.ts';

const FREE = 0;
/** Holds a lock for the main thread; workers hold it as their lane plus 1. */
const MAIN = -1;
/** Held by nobody, for good: the state goes on in other memory. */
const MOVED = -2;

const MAIN_SPINS = 1_000;
/** For how long the main thread waits beyond that when it edits; a worker that was put off the processor is back by then. */
const EDIT_PATIENCE_MS = 10;

const LOCK_BYTES = 8;
const CELLS_AT = LOCK_BYTES + TERMS_WORDS * Float64Array.BYTES_PER_ELEMENT;

/**
 * A limiter's state: 64-bit cells behind a lock, so that a decision over several cells is one step for all threads. The lock
 * is held for the length of one arithmetic decision. It names its holder, so a worker that dies holding it can be cleared.
 *
 * The memory is just large enough and of a fixed size: one that can grow takes two of the memory mappings of which the system gives a
 * process 65,530. When a rule needs more, its state moves, and this memory says so to whoever still has it.
 */
export class CellLock {
  readonly #lock: Int32Array;
  readonly #state: LimitState;

  constructor(buffer: SharedMemory) {
    this.#lock = new Int32Array(buffer, 0, 1);
    this.#state = { terms: new Float64Array(buffer, LOCK_BYTES, TERMS_WORDS), cells: new Float64Array(buffer, CELLS_AT) };
  }

  /** Memory that holds this state. */
  static allocate({ terms, cells }: LimitState): SharedMemory {
    const buffer = new SharedArrayBuffer(CELLS_AT + cells.length * Float64Array.BYTES_PER_ELEMENT);
    const words = new Float64Array(buffer, LOCK_BYTES);
    words.set(terms);
    words.set(cells, TERMS_WORDS);
    return buffer;
  }

  /** Runs `decide` alone among all threads; undefined: the state has moved. `lane` says who holds the lock meanwhile. */
  withLock<T>(lane: number, decide: (state: LimitState) => T): T | undefined {
    const holder = lane + 1;
    for (let spins = 0; ; spins++) {
      const held = Atomics.compareExchange(this.#lock, 0, FREE, holder);
      if (held === FREE) break;
      if (held === MOVED) return undefined;
      // The holder may have been descheduled on a busy machine: give the processor away rather than burn it.
      if (spins > 100) Atomics.wait(this.#lock, 0, held, 1);
    }
    try {
      return decide(this.#state);
    } finally {
      this.#release(holder);
    }
  }

  /**
   * Runs `look`, which changes nothing, without ever waiting for long: the main thread must not, because the holder may be a
   * worker that died, whose lock only the main thread frees. In that case what it sees may be in the middle of a change.
   */
  glance<T>(look: (state: LimitState) => T): T {
    const isMine = this.#takeForMain(0);
    try {
      return look(this.#state);
    } finally {
      if (isMine) this.#release(MAIN);
    }
  }

  /**
   * Runs `change` for the main thread, which waits 10 ms at most: after that the holder is taken for dead, and `change` is not alone with the
   * state and must leave it as it is. When it returns another state, that goes on in the memory that is returned, and this one has moved.
   */
  edit(change: (state: LimitState, isAlone: boolean) => LimitState | undefined): SharedMemory | undefined {
    const isAlone = this.#takeForMain(EDIT_PATIENCE_MS);
    try {
      const next = change(this.#state, isAlone);
      if (next === undefined) return undefined;
      const memory = CellLock.allocate(next);
      // Over the holder's name too: whoever waits for a dead one goes on.
      Atomics.store(this.#lock, 0, MOVED);
      return memory;
    } finally {
      if (isAlone) this.#release(MAIN);
    }
  }

  /** Frees the lock if the dead worker of this lane held it. */
  releaseIfHeldBy(lane: number): void {
    this.#release(lane + 1);
  }

  /** Only what is still held is freed: what has moved meanwhile stays so. */
  #release(holder: number): void {
    Atomics.compareExchange(this.#lock, 0, holder, FREE);
  }

  #takeForMain(patienceMs: number): boolean {
    const take = () => Atomics.compareExchange(this.#lock, 0, FREE, MAIN);
    let held = take();
    for (let spins = 1; held !== FREE && spins < MAIN_SPINS; spins++) held = take();
    for (let waitedMs = 0; held !== FREE && waitedMs < patienceMs; waitedMs++) {
      Atomics.wait(this.#lock, 0, held, 1);
      held = take();
    }
    return held === FREE;
  }
}
