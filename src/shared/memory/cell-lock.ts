import { type LimitState, TERMS_WORDS } from '../../domain/ratelimit/limit-state.ts';
import { LONGEST_LOG } from '../../domain/ratelimit/sliding-window-log.ts';
import type { SharedMemory } from './layout.ts';
import { releaseIfHeldBy, tryLockForMain, unlock, withSpinLock } from './spin-lock.ts';

const LOCK_BYTES = 8;
const CELLS_AT = LOCK_BYTES + TERMS_WORDS * Float64Array.BYTES_PER_ELEMENT;
/** What a log takes besides its times. */
const MOST_WORDS = 1 + LONGEST_LOG;

/**
 * A limiter's state: 64-bit cells behind a lock, so that a decision over several cells is one step for all threads. The lock
 * is held for the length of one arithmetic decision. It names its holder, so a worker that dies holding it can be cleared.
 *
 * The memory grows where it is when another rule needs more of it: everybody who has it sees the same cells at every moment, the
 * one who has not heard of the edit too.
 */
export class CellLock {
  readonly #lock: Int32Array;
  readonly #state: LimitState;

  constructor(buffer: SharedMemory) {
    this.#lock = new Int32Array(buffer, 0, 2);
    const cells = new Float64Array(buffer, CELLS_AT);
    const fit = (words: number) => {
      if (cells.length < words) buffer.grow(bytesFor(words));
    };
    this.#state = { terms: new Float64Array(buffer, LOCK_BYTES, TERMS_WORDS), cells, fit };
  }

  /** Memory for so many cells, all zero. What it may grow by is reserved only, and costs nothing. */
  static allocate(words: number): SharedMemory {
    return new SharedArrayBuffer(bytesFor(words), { maxByteLength: bytesFor(MOST_WORDS) });
  }

  /** Runs `decide` alone among all threads. `lane` says who holds the lock meanwhile. */
  withLock<T>(lane: number, decide: (state: LimitState) => T): T {
    return withSpinLock(this.#lock, 0, lane, () => decide(this.#state));
  }

  /**
   * Runs `look`, which changes nothing, without ever waiting for long: the main thread must not, because the holder may be a
   * worker that died, whose lock only the main thread frees. In that case what it sees may be in the middle of a change.
   */
  glance<T>(look: (state: LimitState) => T): T {
    const isMine = tryLockForMain(this.#lock, 0);
    try {
      return look(this.#state);
    } finally {
      if (isMine) unlock(this.#lock, 0);
    }
  }

  /** Runs `change` for the main thread, unless somebody holds the lock for longer than it may wait: then it does nothing. */
  attempt(change: (state: LimitState) => void): void {
    if (!tryLockForMain(this.#lock, 0)) return;
    try {
      change(this.#state);
    } finally {
      unlock(this.#lock, 0);
    }
  }

  /** Frees the lock if the dead worker of this lane held it. */
  releaseIfHeldBy(lane: number): void {
    releaseIfHeldBy(this.#lock, 0, lane);
  }
}

function bytesFor(words: number): number {
  return CELLS_AT + words * Float64Array.BYTES_PER_ELEMENT;
}
