/** A lock in one shared cell that names its holder, so that a worker that died holding it can be cleared. 0: nobody holds it. */

const FREE = 0;
/** Holds a lock for the main thread; workers hold it as their lane plus 1. */
const MAIN = -1;
const MAIN_SPINS = 1_000;

/** Runs `decide`, which is a little arithmetic, alone among all threads that take this lock. `lane` says who holds it meanwhile. */
export function withSpinLock<T>(cells: Int32Array, lock: number, lane: number, decide: () => T): T {
  takeLock(cells, lock, lane);
  try {
    return decide();
  } finally {
    unlock(cells, lock);
  }
}

/** Waits until the lock is this lane's. False: the cell holds `closed`, which is nobody's name, and no one gets the lock any more. */
export function takeLock(cells: Int32Array, lock: number, lane: number, closed?: number): boolean {
  for (let spins = 0; ; spins++) {
    const held = Atomics.compareExchange(cells, lock, FREE, lane + 1);
    if (held === FREE) return true;
    if (held === closed) return false;
    // The holder may have been descheduled on a busy machine: give the processor away rather than burn it.
    if (spins > 100) Atomics.wait(cells, lock, held, 1);
  }
}

/**
 * Takes the lock for the main thread, which must not wait for long, because the holder may be a worker that died, whose lock only the
 * main thread frees. False: somebody holds it, even after `patienceMs`.
 */
export function tryLockForMain(cells: Int32Array, lock: number, patienceMs = 0): boolean {
  const take = () => Atomics.compareExchange(cells, lock, FREE, MAIN);
  let held = take();
  for (let spins = 1; held !== FREE && spins < MAIN_SPINS; spins++) held = take();
  for (let waitedMs = 0; held !== FREE && waitedMs < patienceMs; waitedMs++) {
    Atomics.wait(cells, lock, held, 1);
    held = take();
  }
  return held === FREE;
}

export function unlock(cells: Int32Array, lock: number): void {
  Atomics.store(cells, lock, FREE);
}

/** Frees the lock if the worker of this lane, which may be dead, or the main thread holds it. */
export function releaseIfHeldBy(cells: Int32Array, lock: number, holder: number | 'main'): void {
  Atomics.compareExchange(cells, lock, holder === 'main' ? MAIN : holder + 1, FREE);
}
