import { existsSync } from 'node:fs';
import { dirname } from 'node:path';
import { DecodeError } from './decode.ts';
import { lockHolder } from './lock-holder.ts';
import { RevisionConflictError, StoreCorruptError, StoreUnavailableError } from './store.ts';

// Primary result codes, and one extended one, https://www.sqlite.org/rescode.html
const SQLITE = {
  error: 1,
  perm: 3,
  busy: 5,
  locked: 6,
  readOnly: 8,
  ioError: 10,
  corrupt: 11,
  full: 13,
  cantOpen: 14,
  constraint: 19,
  auth: 23,
  notADatabase: 26,
  ioErrorLock: 3850,
} as const;

/** The one place where errors of SQLite and of the file system become the store's, with what to do about them. */
export function storeErrorOf(path: string, error: unknown): Error {
  if (error instanceof StoreUnavailableError || error instanceof RevisionConflictError) return error;
  if (error instanceof DecodeError) return corrupt(path, error.message, error);
  const { code, message } = describe(error);
  const unavailable = (why: string) => new StoreUnavailableError(why, { cause: error });
  switch (code) {
    case SQLITE.busy:
    case SQLITE.locked:
      return unavailable(`the state file ${path} is in use by ${holderOf(path)}: stop that one, or give this one a store path of its own`);
    case SQLITE.full:
    case 'ENOSPC':
    case 'EDQUOT':
      return unavailable(`there is no room left on the disk for the state file ${path}: free some and try again`);
    case SQLITE.readOnly:
    case 'EROFS':
      return unavailable(`the state file ${path} cannot be written: it, its folder or its file system is read-only`);
    case SQLITE.ioErrorLock:
      return unavailable(`the state file ${path} cannot be locked: it is read-only, or its file system has no locks`);
    case 'ENOENT':
      if (existsSync(dirname(path))) return movedAway(path);
      return cannotBeOpened(path, error);
    case SQLITE.cantOpen:
    case SQLITE.perm:
    case SQLITE.auth:
    case 'ENOTDIR':
    case 'EACCES':
    case 'EPERM':
      return cannotBeOpened(path, error);
    // Every statement is fixed: one that does not compile, or a number out of range, means that the tables are not ours any more.
    case SQLITE.error:
    case 'ERR_OUT_OF_RANGE':
    case SQLITE.corrupt:
    case SQLITE.notADatabase:
      return corrupt(path, message, error);
    case SQLITE.ioError:
      return unavailable(`reading or writing the state file ${path} failed (${message}): look at the disk, then try again`);
    case SQLITE.constraint:
      return new Error('this request id has made a revision already', { cause: error });
    default:
      return unavailable(`the state file ${path} cannot be used (${message})`);
  }
}

function holderOf(path: string): string {
  const pid = lockHolder(path);
  if (pid === process.pid) return 'another balancer of this process';
  return pid === undefined ? 'another lbd' : `another lbd (process ${pid})`;
}

/** The file was there when it was opened, and is not any more. */
export function movedAway(path: string): StoreUnavailableError {
  return new StoreUnavailableError(`the state file ${path} was moved or deleted while in use: put it back, or start lbd anew`);
}

function cannotBeOpened(path: string, cause: unknown): StoreUnavailableError {
  const why = 'its folder must exist and lbd must be allowed to write both';
  return new StoreUnavailableError(`the state file ${path} cannot be opened: ${why}`, { cause });
}

/** The file's content is not what was written. */
export function corrupt(path: string, why: string, cause?: unknown): StoreCorruptError {
  const whatToDo = `move it away (with ${path}-wal, if there is one) to start from the config file, or put a backup in its place`;
  return new StoreCorruptError(`the state file ${path} is not usable (${why}); nothing was read from it: ${whatToDo}`, { cause });
}

/** True when the open database may go on being used: what failed was one transaction, and it was rolled back. */
export function isPassing(error: unknown): boolean {
  const { code } = describe(error);
  return error instanceof RevisionConflictError || code === SQLITE.full || code === SQLITE.busy || code === SQLITE.constraint;
}

function describe(error: unknown): { readonly code: number | string | undefined; readonly message: string } {
  if (!(error instanceof Error)) return { code: undefined, message: String(error) };
  if ('errcode' in error && typeof error.errcode === 'number') {
    const code = error.errcode === SQLITE.ioErrorLock ? error.errcode : error.errcode & 0xff;
    return { code, message: error.message };
  }
  if ('code' in error && typeof error.code === 'string') return { code: error.code, message: error.message };
  return { code: undefined, message: error.message };
}
