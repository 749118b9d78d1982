import type { Revision, Snapshot } from '../../domain/model.ts';
import type { Command } from '../../domain/state.ts';

/** The actor of changes that come from the config file rather than from an administrator. */
export const BOOTSTRAP_ACTOR = 'bootstrap';

/** One accepted change, as the store keeps it. */
export interface StoredChange {
  /** The revision that this change made. */
  readonly revision: Revision;
  readonly command: Command;
  /** Who asked: an admin certificate's name, or {@link BOOTSTRAP_ACTOR}. */
  readonly actor: string;
  /** Milliseconds since 1970. */
  readonly atMs: number;
  /** The caller's idempotency key; empty when it gave none. */
  readonly requestId: string;
}

/** What a store that has been written gives back. */
export interface StoredState {
  readonly snapshot: Snapshot;
  /** True when somebody other than the config file has changed the state since the file was last taken in. */
  readonly changedAtRunTime: boolean;
}

/** How much history a store keeps. */
export interface Retention {
  /** A whole snapshot is written once in so many changes, so that loading replays at most as many. */
  readonly snapshotEvery: number;
  /** At least so many of the newest changes stay readable; older ones are dropped when a snapshot is written. Not below snapshotEvery. */
  readonly changesKept: number;
}

export const DEFAULT_RETENTION: Retention = { snapshotEvery: 1000, changesKept: 10_000 };

/**
 * Where accepted changes are kept. The contract, which one test suite holds every driver to:
 * - `load` gives the newest state whose change was acknowledged, or undefined for a store that was never written. It rejects
 *   with a StoreCorruptError rather than give a part of what was written.
 * - `compareAndSet` appends a change made on top of `expected`; it resolves only when the change would survive a crash of
 *   this process, and rejects with a RevisionConflictError, having written nothing, when the newest revision is another.
 *   `next` is the state that the change makes. A request id that has made a revision already is a defect of the caller: it
 *   rejects with a plain Error, having written nothing.
 * - `findRequest` gives the revision that a request id made, if it did within the kept history.
 * - `watch` calls back for changes that OTHERS made to the same store; a driver with one writer never calls.
 * - Each of them rejects with a StoreUnavailableError while the store cannot do its work; nothing has changed then, and the
 *   next call tries anew.
 */
export interface Store {
  load(): Promise<StoredState | undefined>;
  compareAndSet(expected: Revision, change: StoredChange, next: Snapshot): Promise<void>;
  findRequest(requestId: string): Promise<Revision | undefined>;
  /** The newest `limit` changes, newest first. */
  history(limit: number): Promise<readonly StoredChange[]>;
  watch(listener: (change: StoredChange) => void): () => void;
  close(): Promise<void>;
}

/** Whether the state counts as changed at run time after `change`, given whether it did before. */
export function changedAtRunTimeAfter(before: boolean, change: Pick<StoredChange, 'actor' | 'command'>): boolean {
  if (change.actor !== BOOTSTRAP_ACTOR) return true;
  return before && change.command.kind !== 'replaceAll';
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

/** What the store holds cannot be read as it was written. Nothing of it is used; the message says what to do. */
export class StoreCorruptError extends StoreUnavailableError {
  constructor(message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = 'StoreCorruptError';
  }
}
