import type { Revision, Snapshot } from '../../domain/model.ts';
import type { Command } from '../../domain/state.ts';
import type { Recorded } from './replay.ts';

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
  /** Tells this request from another one with the same id; empty when nothing does. */
  readonly requestDigest: string;
}

/** What a request id stands for. */
export interface StoredRequest {
  /** The revision that it made. */
  readonly revision: Revision;
  readonly digest: string;
}

/** What somebody did, or tried to do, through the admin API. */
export interface AuditRecord {
  /** Milliseconds since 1970. */
  readonly atMs: number;
  /** The name in the admin certificate. */
  readonly actor: string;
  /** Of that certificate: SHA-256, hex digits. */
  readonly fingerprint: string;
  /** host:port */
  readonly from: string;
  /** Without the service: AddClient. */
  readonly method: string;
  /** As bounded JSON without secrets. */
  readonly request: string;
  /** OK, or the gRPC status code of the refusal. */
  readonly result: string;
  readonly message: string;
  readonly revisionBefore: Revision;
  /** The same as before when nothing was changed. */
  readonly revisionAfter: Revision;
}

export interface AuditEntry extends AuditRecord {
  /** Grows by one with each entry as it is written, which may be long after {@link atMs}. */
  readonly id: number;
}

/** Where an entry stands in the trail: by its time, and at the same time by its id. */
export type AuditPlace = Pick<AuditEntry, 'atMs' | 'id'>;

/** Which entries are wanted: those that fit everything that is given, the newest `limit` of them. */
export interface AuditQuery {
  /** Not before this time. */
  readonly sinceMs?: number | undefined;
  /** Before this time. */
  readonly untilMs?: number | undefined;
  readonly actor?: string | undefined;
  readonly method?: string | undefined;
  /** Older than the entry that stands there. */
  readonly before?: AuditPlace | undefined;
  readonly limit: number;
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
  readonly auditEntriesKept: number;
}

export const DEFAULT_RETENTION: Retention = { snapshotEvery: 1000, changesKept: 10_000, auditEntriesKept: 100_000 };

/** Somebody who has called the admin API with a role. */
export interface KnownAdministrator {
  /** Of the certificate: SHA-256, hex digits. */
  readonly fingerprint: string;
  /** DER, in base64. */
  readonly certificate: string;
  /** Milliseconds since 1970. */
  readonly seenAtMs: number;
}

/** So many administrators are remembered, those who called last. */
export const ADMINISTRATORS_KEPT = 256;

/** What the store remembers besides the state: how it came to be, and who tried what. */
export interface Archive {
  /** The newest `limit` changes, newest first; with `before`, of those below that revision. */
  history(limit: number, before?: Revision): Promise<readonly StoredChange[]>;
  /** How the state of a revision came about, for `replayed` to make it again; undefined when the kept history does not reach it. */
  recorded(revision: Revision): Promise<Recorded | undefined>;
  /** Appends what changed nothing: refused attempts, and actions outside the state. Older entries make room. */
  recordAudit(records: readonly AuditRecord[]): Promise<void>;
  /** Newest first by their {@link AuditPlace}: some are written late. */
  auditEntries(query: AuditQuery): Promise<readonly AuditEntry[]>;
  /** Remembers whose certificates have been seen, in the place of what was known of them; {@link ADMINISTRATORS_KEPT} of all stay. */
  recordAdministrators(seen: readonly KnownAdministrator[]): Promise<void>;
  /** Those who called last come first. */
  administrators(): Promise<readonly KnownAdministrator[]>;
}

/**
 * Where accepted changes are kept. The contract, which one test suite holds every driver to:
 * - `load` gives the newest state whose change was acknowledged, or undefined for a store that was never written. It rejects
 *   with a StoreCorruptError rather than give a part of what was written.
 * - `compareAndSet` appends a change made on top of `expected`; it resolves only when the change would survive a crash of
 *   this process, and rejects with a RevisionConflictError, having written nothing, when the newest revision is another.
 *   `next` is the state that the change makes. A request id that has made a revision already is a defect of the caller: it
 *   rejects with a plain Error, having written nothing. What the audit trail is to say of the change is kept with it, or
 *   neither is.
 * - `findRequest` gives what a request id made, if it did within the kept history; or what `keepRequest` was given for one that had
 *   nothing to change, of the newest `changesKept` of these.
 * - `recorded` gives every revision of the kept history back.
 * - `watch` calls back for changes that OTHERS made to the same store; a driver with one writer never calls.
 * - Each of them rejects with a StoreUnavailableError while the store cannot do its work; nothing has changed then, and the
 *   next call tries anew.
 */
export interface Store extends Archive {
  load(): Promise<StoredState | undefined>;
  compareAndSet(expected: Revision, change: StoredChange, next: Snapshot, audit?: AuditRecord): Promise<void>;
  findRequest(requestId: string): Promise<StoredRequest | undefined>;
  keepRequest(requestId: string, request: StoredRequest): Promise<void>;
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

/** A request id has made a revision already, and it was for another request. */
export class RequestIdReusedError extends Error {
  constructor(requestId: string, revision: Revision) {
    super(`request id "${requestId.slice(0, 128)}" was used for another request, which made revision ${revision}; take a new id`);
    this.name = 'RequestIdReusedError';
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
