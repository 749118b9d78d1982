import { closeSync, openSync, readSync } from 'node:fs';
import { ConfigError } from './problems.ts';

const MAX_BYTES = 16 * 1024 * 1024;

/** A file that cannot be read; the message is the reason and what to do, without the file's name. */
export class UnreadableFileError extends Error {
  constructor(message: string) {
    super(message);
    this.name = 'UnreadableFileError';
  }
}

/** Reads a file of at most 16 MiB. @throws UnreadableFileError */
export function readBoundedFile(file: string): Buffer {
  let descriptor: number | undefined;
  try {
    descriptor = openSync(file, 'r');
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

/** The text of a config file. @throws ConfigError with one problem, of the file as a whole. */
export function readConfigFile(file: string): string {
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(readBoundedFile(file));
  } catch (error) {
    if (error instanceof UnreadableFileError) throw new ConfigError([{ file, path: '', expected: error.message }]);
    if (error instanceof TypeError) throw new ConfigError([{ file, path: '', expected: 'the file is not UTF-8 text; save it as UTF-8' }]);
    throw error;
  }
}

function reasonOf(error: unknown): string {
  const code = error instanceof Error && 'code' in error ? String(error.code) : '';
  if (code === 'ENOENT' || code === 'ENOTDIR') return 'there is no such file';
  if (code === 'EACCES' || code === 'EPERM') return 'permission denied; let the user that runs this read the file';
  if (code === 'EISDIR') return 'this is a folder; expected a file';
  return `the file cannot be read (${code === '' ? String(error) : code})`;
}
