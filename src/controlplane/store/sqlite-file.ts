/** The state file of the sqlite store: how it comes to be, and how it is opened by exactly one lbd. */
import { chmodSync, closeSync, existsSync, fsyncSync, linkSync, openSync, rmSync, statSync } from 'node:fs';
import { dirname } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { AUDIT_INDEXES } from './sqlite-audit.ts';
import { corrupt } from './sqlite-errors.ts';

/** Opens the database file at `path` for reading and writing. */
export type OpenDatabase = (path: string) => DatabaseSync;

/** "Port", so that `file` and the daemon tell a state file from other SQLite files. */
const APPLICATION_ID = 0x506f7274;
const LAYOUT_VERSION = 3;

/** Version 1, and then what each later version adds to the one before. */
const LAYOUT = `
  CREATE TABLE changes (
    revision INTEGER PRIMARY KEY,
    command TEXT NOT NULL,
    actor TEXT NOT NULL,
    at_ms INTEGER NOT NULL,
    request_id TEXT NOT NULL,
    changed_at_run_time INTEGER NOT NULL,
    crc32 INTEGER NOT NULL
  ) STRICT;
  CREATE UNIQUE INDEX changes_by_request ON changes (request_id) WHERE request_id <> '';
  CREATE TABLE snapshots (
    revision INTEGER PRIMARY KEY,
    json TEXT NOT NULL,
    crc32 INTEGER NOT NULL
  ) STRICT;
`;

const SINCE_VERSION_1 = `
  ALTER TABLE changes ADD COLUMN request_digest TEXT NOT NULL DEFAULT '';
  CREATE TABLE audit (
    id INTEGER PRIMARY KEY,
    at_ms INTEGER NOT NULL,
    actor TEXT NOT NULL,
    fingerprint TEXT NOT NULL,
    origin TEXT NOT NULL,
    method TEXT NOT NULL,
    request TEXT NOT NULL,
    result TEXT NOT NULL,
    message TEXT NOT NULL,
    revision_before INTEGER NOT NULL,
    revision_after INTEGER NOT NULL
  ) STRICT;
`;

const SINCE_VERSION_2 = `
  CREATE TABLE unchanged (
    id INTEGER PRIMARY KEY,
    request_id TEXT NOT NULL UNIQUE,
    revision INTEGER NOT NULL,
    request_digest TEXT NOT NULL
  ) STRICT;
  CREATE TABLE administrators (
    fingerprint TEXT PRIMARY KEY,
    certificate TEXT NOT NULL,
    seen_at_ms INTEGER NOT NULL
  ) STRICT;
`;

/** What takes a file of this version to the present one. */
const MIGRATIONS: Readonly<Record<number, string>> = { 1: SINCE_VERSION_1 + SINCE_VERSION_2, 2: SINCE_VERSION_2 };

export const openDatabaseSync: OpenDatabase = (path) => new DatabaseSync(path, { timeout: 0 });

/** A state file in use. */
export interface StateFile {
  readonly database: DatabaseSync;
  /** False once another file, or none, is at the path. */
  isInPlace(): boolean;
}

/**
 * Makes the state file if there is none: complete from the moment that it has its name, so that an empty file at the path is
 * never a new one.
 * @throws Error of the file system or of SQLite.
 */
export function createIfMissing(path: string): void {
  if (existsSync(path)) return;
  const unfinished = `${path}.${process.pid}.new`;
  rmSync(unfinished, { force: true });
  try {
    closeSync(openSync(unfinished, 'wx', 0o600));
    const database = new DatabaseSync(unfinished);
    try {
      database.exec(
        `BEGIN; ${LAYOUT} ${MIGRATIONS[1]} ${AUDIT_INDEXES} PRAGMA application_id = ${APPLICATION_ID}; PRAGMA user_version = ${LAYOUT_VERSION}; COMMIT`,
      );
    } finally {
      database.close();
    }
    linkSync(unfinished, path);
  } catch (error) {
    // Another lbd was quicker. Which of the two may use the file is decided by its lock.
    if (!existsSync(path)) throw error;
  } finally {
    rmSync(unfinished, { force: true });
  }
  syncFolder(dirname(path));
}

/**
 * Opens the state file, locked until its database is closed.
 * @throws StoreCorruptError when it is not a state file or is damaged, else an Error of the file system or of SQLite.
 */
export function openStateFile(path: string, openDatabase: OpenDatabase): StateFile {
  const { size, dev, ino } = statSync(path);
  if (size === 0) throw corrupt(path, 'it is empty');
  for (const file of [path, `${path}-wal`]) makePrivate(file);
  // With a write-ahead log beside it the file may end anywhere: the log has the rest.
  const hasLog = (statSync(`${path}-wal`, { throwIfNoEntry: false })?.size ?? 0) > 0;
  const database = openDatabase(path);
  try {
    // With exclusive locking set before the first access, WAL needs no shared memory, and the lock is kept between transactions.
    database.exec('PRAGMA locking_mode = EXCLUSIVE; PRAGMA synchronous = FULL');
    checkKind(path, database);
    if (!hasLog) checkLength(path, database, size);
    database.exec('PRAGMA journal_mode = WAL; BEGIN IMMEDIATE; COMMIT');
    const findings = database
      .prepare('PRAGMA quick_check')
      .all()
      .flatMap((row) => Object.values(row));
    if (findings.length !== 1 || findings[0] !== 'ok') throw corrupt(path, `damaged: ${String(findings[0]).slice(0, 200)}`);
    const migration = MIGRATIONS[Number(pragma(database, 'user_version'))];
    if (migration !== undefined) database.exec(`BEGIN IMMEDIATE; ${migration} PRAGMA user_version = ${LAYOUT_VERSION}; COMMIT`);
    database.exec(AUDIT_INDEXES);
  } catch (error) {
    database.close();
    throw error;
  }
  return {
    database,
    isInPlace: () => {
      const found = statSync(path, { throwIfNoEntry: false });
      return found?.ino === ino && found.dev === dev;
    },
  };
}

function checkKind(path: string, database: DatabaseSync): void {
  const applicationId = pragma(database, 'application_id');
  if (applicationId !== APPLICATION_ID) throw corrupt(path, 'it is a SQLite database, but not one of lbd');
  const version = pragma(database, 'user_version');
  if (version !== LAYOUT_VERSION && MIGRATIONS[Number(version)] === undefined)
    throw corrupt(path, `its layout is version ${version}; this lbd reads versions up to ${LAYOUT_VERSION}`);
}

/** A last page that nothing is stored in may be missing without the check of the contents noticing it. */
function checkLength(path: string, database: DatabaseSync, size: number): void {
  const whole = Number(pragma(database, 'page_count')) * Number(pragma(database, 'page_size'));
  if (size < whole) throw corrupt(path, `it is cut short: ${size} of ${whole} bytes`);
}

function pragma(database: DatabaseSync, name: 'application_id' | 'user_version' | 'page_count' | 'page_size'): unknown {
  return database.prepare(`PRAGMA ${name}`).get()?.[name];
}

/** Nobody but the owner reads client names and addresses. Never opens the file: closing it again would drop SQLite's lock. */
function makePrivate(path: string): void {
  const found = statSync(path, { throwIfNoEntry: false });
  if (found?.isFile() === true && (found.mode & 0o077) !== 0) chmodSync(path, 0o600);
}

/** Makes the new name itself survive a power cut. */
function syncFolder(folder: string): void {
  const descriptor = openSync(folder, 'r');
  try {
    fsyncSync(descriptor);
  } finally {
    closeSync(descriptor);
  }
}
