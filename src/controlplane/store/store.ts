import type { Revision, Snapshot } from '../../domain/model.ts';
import type { Command } from '../../domain/state.ts';

/** One accepted change, as the store keeps it. */
export interface StoredChange {
  /** The revision that this change made. */
  readonly revision: Revision;
  readonly command: Command;
  /** Who asked: an admin certificate's name, or `bootstrap`. */
  readonly actor: string;
  /** Milliseconds since 1970. */
  readonly atMs: number;
  /** The caller's idempotency key; empty when it gave none. */
  readonly requestId: string;
}

/**
 * Where accepted changes are kept. The contract, which one test suite holds every driver to:
 * - `load` gives the newest state whose change was acknowledged, or undefined for a store that was never written.
 * - `compareAndSet` appends a change made on top of `expected`; it resolves only when the change would survive a crash of
 *   this process, and rejects with a RevisionConflictError, having written nothing, when the newest revision is another.
 * - `findRequest` gives the revision that a request id made, if it did within the kept history.
 * - `watch` calls back for changes that OTHERS made to the same store; a driver with one writer never calls.
 */
export interface Store {
  load(): Promise<Snapshot | undefined>;
  compareAndSet(expected: Revision, change: StoredChange, next: Snapshot): Promise<void>;
  findRequest(requestId: string): Promise<Revision | undefined>;
  /** The newest `limit` changes, newest first. */
  history(limit: number): Promise<readonly StoredChange[]>;
  watch(listener: (change: StoredChange) => void): () => void;
  close(): Promise<void>;
}

export class RevisionConflictError extends Error {
  readonly expected: Revision;
  readonly actual: Revision;

  constructor(expected: Revision, actual: Revision) {
    super(`the state is at revision ${actual}, not ${expected}; read it again and decide anew`);
    this.name = 'RevisionConflictError';
    this.expected = expected;
    this.actual = actual;
  }
}

/** The store cannot keep a change now (disk full, read-only, locked). Traffic is not affected. */
export class StoreUnavailableError extends Error {
  constructor(message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = 'StoreUnavailableError';
  }
}
