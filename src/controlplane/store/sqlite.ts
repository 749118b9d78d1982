import { EMPTY_SNAPSHOT, type Revision, type Snapshot } from '../../domain/model.ts';
import { DecodeError, object, whole } from './decode.ts';
import type { Recorded } from './replay.ts';
import { deleteAuditOf, insertAudit, selectAudit } from './sqlite-audit.ts';
import { isPassing, movedAway, storeErrorOf } from './sqlite-errors.ts';
import { createIfMissing, type OpenDatabase, openDatabaseSync, openStateFile, type StateFile } from './sqlite-file.ts';
import { insertAdministrators, insertUnchanged, selectAdministrators, selectRequest } from './sqlite-memos.ts';
import { type ChangeRow, changeOf, changeRowOf, readChange, readSnapshot, readSnapshotRow, replay, snapshotRowOf } from './sqlite-rows.ts';
import {
  type AuditEntry,
  type AuditQuery,
  type AuditRecord,
  DEFAULT_RETENTION,
  type KnownAdministrator,
  type Retention,
  RevisionConflictError,
  type Store,
  type StoredChange,
  type StoredRequest,
  type StoredState,
  StoreUnavailableError,
} from './store.ts';

/**
 * Keeps changes in a SQLite file that one lbd at a time holds: an append-only log with a snapshot now and then, so that a
 * change writes one small row however large the state is. A change is acknowledged once it is synced to disk. After a failure
 * that leaves the file's state unclear, the next call opens the file anew.
 */
export class SqliteStore implements Store {
  readonly #path: string;
  readonly #openDatabase: OpenDatabase;
  readonly #retention: Retention;
  #file: StateFile | undefined;
  /** A change that was refused, but of which a failing disk may have kept the commit. */
  #inDoubt: ChangeRow | undefined;

  private constructor(path: string, openDatabase: OpenDatabase, retention: Retention) {
    this.#path = path;
    this.#openDatabase = openDatabase;
    this.#retention = retention;
  }

  /**
   * Opens the state file, or makes it (mode 0600).
   * @throws StoreCorruptError when it is damaged or something else, StoreUnavailableError when it cannot be used or another lbd
   * is using it.
   */
  static async open(
    path: string,
    openDatabase: OpenDatabase = openDatabaseSync,
    retention: Retention = DEFAULT_RETENTION,
  ): Promise<SqliteStore> {
    const store = new SqliteStore(path, openDatabase, retention);
    store.#using(
      (file) => file,
      () => createIfMissing(path),
    );
    return store;
  }

  async load(): Promise<StoredState | undefined> {
    return this.#using(readState);
  }

  async compareAndSet(expected: Revision, change: StoredChange, next: Snapshot, audit?: AuditRecord): Promise<void> {
    const isDue = this.#using((file) => {
      this.#refuseIfMoved(file);
      const { database } = file;
      database.exec('BEGIN IMMEDIATE');
      const newest = newestChange(file);
      if ((newest?.revision ?? 0) !== expected) throw new RevisionConflictError(expected, newest?.revision ?? 0);
      const row = changeRowOf(change, newest?.changed_at_run_time === 1);
      insertChange(file, row);
      if (audit !== undefined) insertAudit(database, [audit], this.#retention.auditEntriesKept);
      this.#inDoubt = row;
      database.exec('COMMIT');
      this.#inDoubt = undefined;
      return this.#isSnapshotDue(file, next.revision);
    });
    if (isDue) await this.#compact(next);
  }

  async findRequest(requestId: string): Promise<StoredRequest | undefined> {
    if (requestId === '') return undefined;
    return this.#using(({ database }) => selectRequest(database, requestId));
  }

  async keepRequest(requestId: string, request: StoredRequest): Promise<void> {
    this.#write((database) => insertUnchanged(database, requestId, request, this.#retention.changesKept));
  }

  async history(limit: number, before: Revision = Number.MAX_SAFE_INTEGER): Promise<readonly StoredChange[]> {
    return this.#using(({ database }) =>
      database
        .prepare('SELECT * FROM changes WHERE revision < ? ORDER BY revision DESC LIMIT ?')
        .all(before, limit)
        .map((row) => changeOf(readChange(row))),
    );
  }

  async recorded(revision: Revision): Promise<Recorded | undefined> {
    return this.#using((file) => readRecorded(file, revision));
  }

  async recordAudit(records: readonly AuditRecord[]): Promise<void> {
    this.#write((database) => insertAudit(database, records, this.#retention.auditEntriesKept));
  }

  async auditEntries(query: AuditQuery): Promise<readonly AuditEntry[]> {
    return this.#using(({ database }) => selectAudit(database, query));
  }

  async recordAdministrators(seen: readonly KnownAdministrator[]): Promise<void> {
    this.#write((database) => insertAdministrators(database, seen));
  }

  async administrators(): Promise<readonly KnownAdministrator[]> {
    return this.#using(({ database }) => selectAdministrators(database));
  }

  watch(): () => void {
    return () => undefined;
  }

  async close(): Promise<void> {
    this.#file?.database.close();
    this.#file = undefined;
  }

  /** One transaction beside the log of changes. */
  #write(work: (database: StateFile['database']) => void): void {
    this.#using((file) => {
      this.#refuseIfMoved(file);
      file.database.exec('BEGIN IMMEDIATE');
      work(file.database);
      file.database.exec('COMMIT');
    });
  }

  /** Runs `work` on the open file, opening it first where need be. What fails is rolled back and thrown as the store's error. */
  #using<T>(work: (file: StateFile) => T, prepare?: () => void): T {
    try {
      prepare?.();
      this.#file ??= this.#open();
      return work(this.#file);
    } catch (error) {
      this.#recover(error);
      throw storeErrorOf(this.#path, error);
    }
  }

  #open(): StateFile {
    const file = openStateFile(this.#path, this.#openDatabase);
    try {
      if (this.#inDoubt !== undefined) takeBack(file, this.#inDoubt);
      this.#inDoubt = undefined;
      return file;
    } catch (error) {
      file.database.close();
      throw error;
    }
  }

  #refuseIfMoved(file: StateFile): void {
    if (file.isInPlace()) return;
    throw movedAway(this.#path);
  }

  #recover(error: unknown): void {
    const database = this.#file?.database;
    if (database === undefined) return;
    try {
      if (database.isTransaction) database.exec('ROLLBACK');
      if (isPassing(error)) {
        this.#inDoubt = undefined;
        return;
      }
    } catch {
      // A rollback that fails leaves nothing to rely on but the file itself: it is opened anew.
    }
    this.#file = undefined;
    try {
      database.close();
    } catch {
      // The error that brought us here is the one to tell.
    }
  }

  #isSnapshotDue({ database }: StateFile, revision: Revision): boolean {
    const newest = database.prepare('SELECT max(revision) AS revision FROM snapshots').get()?.['revision'] ?? 0;
    return revision - whole(newest, 'snapshots.revision') >= this.#retention.snapshotEvery;
  }

  /** Writes a snapshot and drops what nobody needs any more. The change is kept by now: if this fails, the next one tries again. */
  async #compact(snapshot: Snapshot): Promise<void> {
    const { revision, json, crc32 } = await snapshotRowOf(snapshot);
    try {
      this.#using(({ database }) => {
        database.exec('BEGIN IMMEDIATE');
        database.prepare('INSERT INTO snapshots (revision, json, crc32) VALUES (?, ?, ?)').run(revision, json, crc32);
        // Changes go up to a snapshot, which stays: every revision that is still kept can be had back.
        const oldest = database.prepare('SELECT max(revision) AS revision FROM snapshots WHERE revision <= ?');
        const base = oldest.get(revision - this.#retention.changesKept)?.['revision'];
        if (typeof base === 'number') {
          database.prepare('DELETE FROM snapshots WHERE revision < ?').run(base);
          database.prepare('DELETE FROM changes WHERE revision <= ?').run(base);
        }
        database.exec('COMMIT');
      });
    } catch (error) {
      if (!(error instanceof StoreUnavailableError)) throw error;
    }
  }
}

/** The newest snapshot and the changes after it. Every change is checked, those before the snapshot too: history is as sound as state. */
function readState({ database }: StateFile): StoredState | undefined {
  const stored = database.prepare('SELECT * FROM snapshots ORDER BY revision DESC LIMIT 1').get();
  let snapshot = stored === undefined ? EMPTY_SNAPSHOT : readSnapshot(stored);
  let newest: ChangeRow | undefined;
  for (const kept of database.prepare('SELECT * FROM changes ORDER BY revision').iterate()) {
    const row = readChange(kept);
    const expected = newest === undefined ? Math.min(row.revision, snapshot.revision + 1) : newest.revision + 1;
    if (row.revision !== expected) throw new DecodeError(`revision ${row.revision}`, `revision ${expected} first`);
    if (row.revision > snapshot.revision) snapshot = replay(snapshot, row);
    newest = row;
  }
  if (newest === undefined && stored === undefined) return undefined;
  if (newest?.revision !== snapshot.revision) throw new DecodeError(`revision ${snapshot.revision}`, 'the change that made it');
  return { snapshot, changedAtRunTime: newest.changed_at_run_time === 1 };
}

/** The nearest snapshot before the revision and the changes after it; undefined when either is no longer kept. */
function readRecorded({ database }: StateFile, revision: Revision): Recorded | undefined {
  const stored = database.prepare('SELECT * FROM snapshots WHERE revision <= ? ORDER BY revision DESC LIMIT 1').get(revision);
  const snapshot = stored && readSnapshotRow(stored);
  const base = snapshot?.revision ?? EMPTY_SNAPSHOT.revision;
  const changes = database.prepare('SELECT * FROM changes WHERE revision > ? AND revision <= ? ORDER BY revision');
  const commands: string[] = [];
  for (const kept of changes.iterate(base, revision)) {
    const row = readChange(kept);
    if (row.revision !== base + commands.length + 1) return undefined;
    commands.push(row.command);
  }
  return base + commands.length === revision ? { snapshot: snapshot?.json, commands } : undefined;
}

const newestRow = object<Pick<ChangeRow, 'revision' | 'changed_at_run_time'>>({ revision: whole, changed_at_run_time: whole });

/** Without the command, which may be large. */
function newestChange({ database }: StateFile): Pick<ChangeRow, 'revision' | 'changed_at_run_time'> | undefined {
  const row = database.prepare('SELECT revision, changed_at_run_time FROM changes ORDER BY revision DESC LIMIT 1').get();
  return row && newestRow(row, 'changes');
}

/** Removes the change that was refused, should it be in the file after all. */
function takeBack({ database }: StateFile, { revision, crc32 }: ChangeRow): void {
  database.exec('BEGIN IMMEDIATE');
  const { changes } = database.prepare('DELETE FROM changes WHERE revision = ? AND crc32 = ?').run(revision, crc32);
  if (changes === 1) deleteAuditOf(database, revision);
  database.exec('COMMIT');
}

function insertChange({ database }: StateFile, row: ChangeRow): void {
  const { revision, command, actor, at_ms, request_id, changed_at_run_time, crc32, request_digest } = row;
  const columns = 'revision, command, actor, at_ms, request_id, changed_at_run_time, crc32, request_digest';
  database
    .prepare(`INSERT INTO changes (${columns}) VALUES (?, ?, ?, ?, ?, ?, ?, ?)`)
    .run(revision, command, actor, at_ms, request_id, changed_at_run_time, crc32, request_digest);
}
