import { crc32 } from 'node:zlib';
import { EMPTY_SNAPSHOT, type Revision, type Snapshot } from '../../domain/model.ts';
import { apply } from '../../domain/state.ts';
import { decodeCommand, decodeSnapshot, encodeCommand, encodeSnapshot } from './codec.ts';
import { DecodeError, object, text, whole } from './decode.ts';
import { isPassing, storeErrorOf } from './sqlite-errors.ts';
import { createIfMissing, type OpenDatabase, openDatabaseSync, openStateFile, type StateFile } from './sqlite-file.ts';
import {
  changedAtRunTimeAfter,
  DEFAULT_RETENTION,
  type Retention,
  RevisionConflictError,
  type Store,
  type StoredChange,
  type StoredState,
  StoreUnavailableError,
} from './store.ts';

/** A row of the log of changes; the flag says whether the state counted as changed at run time once this change was made. */
interface ChangeRow {
  readonly revision: number;
  readonly command: string;
  readonly actor: string;
  readonly at_ms: number;
  readonly request_id: string;
  readonly changed_at_run_time: number;
  readonly crc32: number;
}

interface SnapshotRow {
  readonly revision: number;
  readonly json: string;
  readonly crc32: number;
}

const changeRow = object<ChangeRow>({
  revision: whole,
  command: text,
  actor: text,
  at_ms: whole,
  request_id: text,
  changed_at_run_time: whole,
  crc32: whole,
});
const snapshotRow = object<SnapshotRow>({ revision: whole, json: text, crc32: whole });

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

  async compareAndSet(expected: Revision, change: StoredChange, next: Snapshot): Promise<void> {
    this.#using((file) => {
      if (!file.isInPlace()) {
        throw new StoreUnavailableError(`the state file ${this.#path} was moved or deleted while in use: put it back, or start lbd anew`);
      }
      const { database } = file;
      database.exec('BEGIN IMMEDIATE');
      const newest = newestChange(file);
      if ((newest?.revision ?? 0) !== expected) throw new RevisionConflictError(expected, newest?.revision ?? 0);
      const row = rowOf(change, newest?.changed_at_run_time === 1);
      insertChange(file, row);
      this.#compactIfDue(file, next);
      this.#inDoubt = row;
      database.exec('COMMIT');
      this.#inDoubt = undefined;
    });
  }

  async findRequest(requestId: string): Promise<Revision | undefined> {
    if (requestId === '') return undefined;
    return this.#using(({ database }) => {
      const found = database.prepare('SELECT revision FROM changes WHERE request_id = ?').get(requestId);
      return found === undefined ? undefined : whole(found['revision'], 'changes.revision');
    });
  }

  async history(limit: number): Promise<readonly StoredChange[]> {
    return this.#using(({ database }) =>
      database
        .prepare('SELECT * FROM changes ORDER BY revision DESC LIMIT ?')
        .all(limit)
        .map((row) => changeOf(readChange(row))),
    );
  }

  watch(): () => void {
    return () => undefined;
  }

  async close(): Promise<void> {
    this.#file?.database.close();
    this.#file = undefined;
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

  #compactIfDue({ database }: StateFile, next: Snapshot): void {
    const { snapshotEvery, changesKept } = this.#retention;
    const newest = database.prepare('SELECT max(revision) AS revision FROM snapshots').get()?.['revision'] ?? 0;
    if (next.revision - whole(newest, 'snapshots.revision') < snapshotEvery) return;
    const json = encodeSnapshot(next);
    database
      .prepare('INSERT INTO snapshots (revision, json, crc32) VALUES (?, ?, ?)')
      .run(next.revision, json, snapshotCrc(next.revision, json));
    // The one before the newest stays: it is what remains if this very change has to be taken back.
    database.prepare('DELETE FROM snapshots WHERE revision < ?').run(newest);
    database.prepare('DELETE FROM changes WHERE revision <= ?').run(next.revision - changesKept);
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

function replay(snapshot: Snapshot, row: ChangeRow): Snapshot {
  const { command } = changeOf(row);
  try {
    return apply(snapshot, command);
  } catch (error) {
    throw new DecodeError(`revision ${row.revision}`, 'a change that fits the state before it', { cause: error });
  }
}

function newestChange({ database }: StateFile): ChangeRow | undefined {
  const row = database.prepare('SELECT * FROM changes ORDER BY revision DESC LIMIT 1').get();
  return row === undefined ? undefined : readChange(row);
}

/** Removes the change that was refused, should it be in the file after all, with the snapshot that was written beside it. */
function takeBack({ database }: StateFile, { revision, crc32 }: ChangeRow): void {
  database.exec('BEGIN IMMEDIATE');
  if (database.prepare('DELETE FROM changes WHERE revision = ? AND crc32 = ?').run(revision, crc32).changes === 1) {
    database.prepare('DELETE FROM snapshots WHERE revision = ?').run(revision);
  }
  database.exec('COMMIT');
}

function insertChange({ database }: StateFile, row: ChangeRow): void {
  const { revision, command, actor, at_ms, request_id, changed_at_run_time, crc32 } = row;
  const columns = 'revision, command, actor, at_ms, request_id, changed_at_run_time, crc32';
  database
    .prepare(`INSERT INTO changes (${columns}) VALUES (?, ?, ?, ?, ?, ?, ?)`)
    .run(revision, command, actor, at_ms, request_id, changed_at_run_time, crc32);
}

function rowOf({ revision, command, actor, atMs, requestId }: StoredChange, changedBefore: boolean): ChangeRow {
  // SQLite keeps UTF-8: a lone surrogate would come back as another character, and the checksum would not match.
  const row = {
    revision,
    command: encodeCommand(command),
    actor: actor.toWellFormed(),
    at_ms: atMs,
    request_id: requestId.toWellFormed(),
    changed_at_run_time: changedAtRunTimeAfter(changedBefore, { actor, command }) ? 1 : 0,
  };
  return { ...row, crc32: changeCrc(row) };
}

function changeOf({ revision, command, actor, at_ms, request_id }: ChangeRow): StoredChange {
  return { revision, command: decodeCommand(command), actor, atMs: at_ms, requestId: request_id };
}

function readChange(row: unknown): ChangeRow {
  const change = changeRow(row, 'changes');
  if (changeCrc(change) !== change.crc32) throw new DecodeError(`revision ${change.revision}`, 'its checksum to match');
  return change;
}

function readSnapshot(row: unknown): Snapshot {
  const { revision, json, crc32 } = snapshotRow(row, 'snapshots');
  if (snapshotCrc(revision, json) !== crc32) throw new DecodeError(`snapshot ${revision}`, 'its checksum to match');
  return decodeSnapshot(json);
}

function changeCrc({ revision, command, actor, at_ms, request_id, changed_at_run_time }: Omit<ChangeRow, 'crc32'>): number {
  return crc32(JSON.stringify([revision, command, actor, at_ms, request_id, changed_at_run_time]));
}

function snapshotCrc(revision: number, json: string): number {
  return crc32(`${revision} ${json}`);
}
