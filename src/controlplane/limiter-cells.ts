import type { Client, Revision } from '../domain/model.ts';
import { edit, editUnseen, isUnused, limitAt, type RevisedLimit, setAgain, unusedState } from '../domain/ratelimit/limit-state.ts';
import { ruleOf } from '../domain/ratelimit/rate-rule.ts';
import { CellLock } from '../shared/memory/cell-lock.ts';
import { MAX_CLIENTS, type SharedMemory } from '../shared/memory/layout.ts';

interface Limiter {
  readonly cells: SharedMemory;
  readonly lock: CellLock;
}

interface RemovedLimiter extends Limiter {
  readonly removedMs: number;
}

/** So many limits may be removed before it is looked through them which ones have nothing to keep. */
const FEW_REMOVED = 64;

/**
 * Which limiter cells belong to which client. A limit that is removed, alone or with its client, keeps its cells until they would be as
 * good as new, so that removing it and setting it again is no refill. Kept and used ones together are at most {@link MAX_CLIENTS}:
 * beyond that, those that were removed first are forgotten.
 */
export class LimiterCells {
  readonly #used = new Map<string, Limiter>();
  /** In the order in which they were removed. */
  readonly #removed = new Map<string, RemovedLimiter>();
  readonly #nowMs: () => number;
  #lookThroughAt = FEW_REMOVED;

  /** `nowMs` must be the clock by which the workers decide. */
  constructor(nowMs: () => number) {
    this.#nowMs = nowMs;
  }

  lockOf(clientId: string): CellLock | undefined {
    return this.#used.get(clientId)?.lock;
  }

  all(): ReadonlyMap<string, SharedMemory> {
    return new Map([...this.#used].map(([clientId, { cells }]) => [clientId, cells]));
  }

  /**
   * Makes the client's cells fit its limit as it is at `revision`: what was used up by an earlier rule is carried over now, into new cells
   * when it needs more of them. Returns the cells if the workers have not been told of them.
   */
  follow({ clientId, limits }: Client, revision: Revision): SharedMemory | undefined {
    if (limits.connectionRate === undefined) {
      this.release(clientId);
      return undefined;
    }
    const limit = limitAt(revision, ruleOf(limits.connectionRate), limits.shadow);
    const used = this.#used.get(clientId);
    const removed = this.#removed.get(clientId);
    let limiter: Limiter;
    if (used !== undefined) limiter = this.#edited(used, limit);
    else if (removed !== undefined) limiter = this.#edited(removed, limit, removed.removedMs);
    else limiter = limiterIn(CellLock.allocate(unusedState(limit)));
    if (limiter === used) return undefined;
    this.#removed.delete(clientId);
    this.#used.set(clientId, limiter);
    this.#forgetSome();
    return limiter.cells;
  }

  /** The client has no limit any more. */
  release(clientId: string): void {
    const limiter = this.#used.get(clientId);
    if (limiter === undefined) return;
    this.#used.delete(clientId);
    this.#removed.set(clientId, { ...limiter, removedMs: this.#nowMs() });
    this.#forgetSome();
  }

  /** Frees the locks that a dead worker held. */
  releaseLane(lane: number): void {
    for (const limiters of [this.#used, this.#removed]) for (const { lock } of limiters.values()) lock.releaseIfHeldBy(lane);
  }

  /** `removedMs`: since when the client has not had it. */
  #edited(limiter: Limiter, limit: RevisedLimit, removedMs?: number): Limiter {
    const moved = limiter.lock.edit((state, isAlone) => {
      if (!isAlone) return editUnseen(state, limit, this.#nowMs());
      return removedMs === undefined ? edit(state, limit, this.#nowMs()) : setAgain(state, limit, removedMs);
    });
    return moved === undefined ? limiter : limiterIn(moved);
  }

  #forgetSome(): void {
    if (this.#removed.size > this.#lookThroughAt) {
      const nowMs = this.#nowMs();
      for (const [clientId, { lock }] of this.#removed) {
        if (lock.glance((state) => isUnused(state, nowMs))) this.#removed.delete(clientId);
      }
      // At twice of what is left: however many are kept, removing one costs the same on average.
      this.#lookThroughAt = Math.max(FEW_REMOVED, 2 * this.#removed.size);
    }
    for (const clientId of this.#removed.keys()) {
      if (this.#used.size + this.#removed.size <= MAX_CLIENTS) break;
      this.#removed.delete(clientId);
    }
  }
}

function limiterIn(cells: SharedMemory): Limiter {
  return { cells, lock: new CellLock(cells) };
}
