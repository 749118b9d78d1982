/** A lock in one shared cell that names its holder, so that a worker that died holding it can be cleared. 0: nobody holds it. */

/** Holds a lock for the main thread; workers hold it as their lane plus 1. */
const MAIN = -1;
const MAIN_SPINS = 1_000;

/** Runs `decide`, which is a little arithmetic, alone among all threads that take this lock. `lane` says who holds it meanwhile. */
export function withSpinLock<T>(cells: Int32Array, lock: number, lane: number, decide: () => T): T {
  for (let spins = 0; Atomics.compareExchange(cells, lock, 0, lane + 1) !== 0; spins++) {
    // The holder may have been descheduled on a busy machine: give the processor away rather than burn it.
    if (spins > 100) Atomics.wait(cells, lock, Atomics.load(cells, lock), 1);
  }
  try {
    return decide();
  } finally {
    Atomics.store(cells, lock, 0);
  }
}

/**
 * Takes the lock for the main thread, which must not wait for long, because the holder may be a worker that died, whose lock only the
 * main thread frees. False: somebody holds it.
 */
export function tryLockForMain(cells: Int32Array, lock: number): boolean {
  for (let spins = 0; spins < MAIN_SPINS; spins++) if (Atomics.compareExchange(cells, lock, 0, MAIN) === 0) return true;
  return false;
}

export function unlock(cells: Int32Array, lock: number): void {
  Atomics.store(cells, lock, 0);
}

/** Frees the lock if the dead worker of this lane held it. */
export function releaseIfHeldBy(cells: Int32Array, lock: number, lane: number): void {
  Atomics.compareExchange(cells, lock, lane + 1, 0);
}
