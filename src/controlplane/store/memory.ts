import type { Revision, Snapshot } from '../../domain/model.ts';
import {
  changedAtRunTimeAfter,
  DEFAULT_RETENTION,
  type Retention,
  RevisionConflictError,
  type Store,
  type StoredChange,
  type StoredState,
} from './store.ts';

/** Keeps changes for the life of the process: the config file alone says what the next one starts with. */
export class MemoryStore implements Store {
  readonly #changesKept: number;
  #state: StoredState | undefined;
  /** Oldest first. */
  #changes: StoredChange[] = [];
  readonly #requests = new Map<string, Revision>();

  constructor(retention: Retention = DEFAULT_RETENTION) {
    this.#changesKept = retention.changesKept;
  }

  async load(): Promise<StoredState | undefined> {
    return this.#state;
  }

  async compareAndSet(expected: Revision, change: StoredChange, next: Snapshot): Promise<void> {
    const newest = this.#state?.snapshot.revision ?? 0;
    if (newest !== expected) throw new RevisionConflictError(expected, newest);
    if (this.#requests.has(change.requestId)) throw new Error(`request id ${JSON.stringify(change.requestId)} has made a revision already`);
    this.#state = { snapshot: next, changedAtRunTime: changedAtRunTimeAfter(this.#state?.changedAtRunTime ?? false, change) };
    this.#changes.push(change);
    if (change.requestId !== '') this.#requests.set(change.requestId, change.revision);
    const dropped = this.#changes.length > this.#changesKept ? this.#changes.shift() : undefined;
    if (dropped !== undefined) this.#requests.delete(dropped.requestId);
  }

  async findRequest(requestId: string): Promise<Revision | undefined> {
    return this.#requests.get(requestId);
  }

  async history(limit: number): Promise<readonly StoredChange[]> {
    return this.#changes.slice(-limit).reverse();
  }

  watch(): () => void {
    return () => undefined;
  }

  async close(): Promise<void> {}
}
