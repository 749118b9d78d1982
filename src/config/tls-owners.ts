/** Whose TLS files they are: what errors and warnings about the files begin with, in the same words everywhere. */
import type { Listener } from '../domain/model.ts';
import type { TlsParams } from '../domain/tls-material.ts';
import { listenerFilesKey } from './named-files.ts';
import { TlsFileError } from './pem-files.ts';

/** Listeners told by name. */
const MOST_NAMED = 3;

/** What is worth a line about files of these listeners; of none of them, it is the admin API's. */
export interface OwnedWarning {
  readonly listeners: readonly string[];
  readonly warning: string;
}

/** Whose the files of a target group's `upstreamTls` are. */
export function groupOwner(name: string): string {
  return `target group "${name}"`;
}

/** Whose the files are that these listeners use; the admin API's, if none of them does. */
export function tlsOwner(listeners: readonly string[]): string {
  if (listeners.length === 0) return 'admin API';
  const named = listeners.slice(0, MOST_NAMED).map((name) => `"${name}"`);
  const more = listeners.length > MOST_NAMED ? ` and ${listeners.length - MOST_NAMED} more` : '';
  return `listener${listeners.length === 1 ? '' : 's'} ${named.join(', ')}${more}`;
}

/** Says of TLS settings which listeners name the same files. */
export function tlsUsers(listeners: readonly Pick<Listener, 'name' | 'tls'>[]): (tls: TlsParams) => readonly string[] {
  const users = new Map<string, string[]>();
  for (const { name, tls } of listeners) {
    if (tls === undefined) continue;
    const key = listenerFilesKey(tls);
    const sharing = users.get(key);
    if (sharing === undefined) users.set(key, [name]);
    else sharing.push(name);
  }
  return (tls) => users.get(listenerFilesKey(tls)) ?? [];
}

/** One line for each, however many have the file. */
export function warningLines(warnings: Iterable<OwnedWarning>): readonly string[] {
  const owners = new Map<string, Set<string>>();
  for (const { listeners, warning } of warnings) {
    const known = owners.get(warning) ?? new Set();
    for (const name of listeners) known.add(name);
    owners.set(warning, known);
  }
  return [...owners].map(([warning, names]) => `${tlsOwner([...names])}: ${warning}`);
}

/** What `read` makes of files; `settings` are those that name them, such as `listener "main": `. @throws TlsFileError that says so */
export function readingFor<T>(settings: string, read: () => T): T {
  try {
    return read();
  } catch (error) {
    if (!(error instanceof TlsFileError)) throw error;
    throw new TlsFileError(error.key, error.file, error.reason, settings);
  }
}
