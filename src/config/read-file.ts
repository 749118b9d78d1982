import { closeSync, constants, fstatSync, openSync, readSync, type Stats } from 'node:fs';
import { ConfigError } from './problems.ts';

const MAX_BYTES = 16 * 1024 * 1024;

/** A file that cannot be read; the message is the reason and what to do, without the file's name. */
export class UnreadableFileError extends Error {
  constructor(message: string) {
    super(message);
    this.name = 'UnreadableFileError';
  }
}

/** Reads a regular file of at most 16 MiB, and waits for nobody: a pipe or a device, which may never say anything, is refused. @throws UnreadableFileError */
export function readBoundedFile(file: string): Buffer {
  return readOpened(file, constants.O_RDONLY | constants.O_NONBLOCK, (descriptor) => refuseUnlessRegular(fstatSync(descriptor)));
}

/** The text of a config file, which may be a pipe: it is read before anything runs. @throws ConfigError with one problem, of the file as a whole. */
export function readConfigFile(file: string): string {
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(readOpened(file, constants.O_RDONLY));
  } catch (error) {
    if (error instanceof UnreadableFileError) throw new ConfigError([{ file, path: '', expected: error.message }]);
    if (error instanceof TypeError) throw new ConfigError([{ file, path: '', expected: 'the file is not UTF-8 text; save it as UTF-8' }]);
    throw error;
  }
}

function readOpened(file: string, flags: number, check: (descriptor: number) => void = () => undefined): Buffer {
  let descriptor: number | undefined;
  try {
    descriptor = openSync(file, flags);
    check(descriptor);
    const chunks: Buffer[] = [];
    let size = 0;
    for (;;) {
      const chunk = Buffer.allocUnsafe(64 * 1024);
      const length = readSync(descriptor, chunk);
      if (length === 0) return Buffer.concat(chunks, size);
      size += length;
      if (size > MAX_BYTES) throw new UnreadableFileError('the file is larger than 16 MiB; is it the right one?');
      chunks.push(chunk.subarray(0, length));
    }
  } catch (error) {
    throw error instanceof UnreadableFileError ? error : new UnreadableFileError(reasonOf(error));
  } finally {
    if (descriptor !== undefined) closeSync(descriptor);
  }
}

function refuseUnlessRegular(stats: Stats): void {
  if (stats.isFile()) return;
  if (stats.isDirectory()) throw new UnreadableFileError('this is a folder; expected a file');
  const kind = stats.isFIFO() ? 'a pipe' : 'a device';
  throw new UnreadableFileError(`this is ${kind}; expected a regular file: write what it gives into one and name that`);
}

function reasonOf(error: unknown): string {
  const code = error instanceof Error && 'code' in error ? String(error.code) : '';
  if (code === 'ENOENT' || code === 'ENOTDIR') return 'there is no such file';
  if (code === 'EACCES' || code === 'EPERM') return 'permission denied; let the user that runs this read the file';
  if (code === 'EISDIR') return 'this is a folder; expected a file';
  if (code === 'ENXIO') return 'this is a socket; expected a regular file';
  return `the file cannot be read (${code === '' ? String(error) : code})`;
}
