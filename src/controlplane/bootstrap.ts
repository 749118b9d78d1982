/** How the config file and what the store remembers become one state at start. */
import { isDeepStrictEqual } from 'node:util';
import { DomainError } from '../domain/errors.ts';
import type { Client, Listener, Revocation, Snapshot, TargetGroup } from '../domain/model.ts';
import { datedRevocations } from '../domain/revocations.ts';
import type { Authority } from './authority.ts';
import { BOOTSTRAP_ACTOR } from './store/store.ts';

/** The part of the config file that is state. */
export interface FileState {
  readonly listeners: readonly Listener[];
  readonly targetGroups: readonly TargetGroup[];
  readonly clients: readonly Client[];
  readonly revocations: readonly Revocation[];
}

export interface Seeding {
  /**
   * - `seeded`: the store was empty and has taken the file in
   * - `unchanged`: groups and clients of the file are those of the store
   * - `reseeded`: the file has changed and nobody had changed the state at run time, so it was taken in again
   * - `kept`: the state was changed at run time and wins over the file
   */
  readonly outcome: 'seeded' | 'unchanged' | 'reseeded' | 'kept';
  /** True when groups or clients now in force are not those of the file: worth a warning. */
  readonly differs: boolean;
}

/**
 * Takes the config file in. Listeners always come from the file, and so do its revocations, which are added to those there are;
 * groups and clients only until somebody changes them at run time.
 * @throws DomainError when the file does not fit the stored state, StoreUnavailableError when the result cannot be kept.
 */
export async function seed(authority: Authority, file: FileState): Promise<Seeding> {
  const stored = authority.snapshot;
  // By name: what else the caller's object carries (a whole config does) is no part of the command, and would be stored with it.
  const { listeners, targetGroups, clients } = file;
  const revocations = datedRevocations(file.revocations, Date.now());
  const takeIn = () => authority.execute({ kind: 'replaceAll', listeners, targetGroups, clients, revocations }, { actor: BOOTSTRAP_ACTOR });
  if (stored.revision === 0) {
    await takeIn();
    return { outcome: 'seeded', differs: false };
  }
  const differs = !holdsTheSame(stored, file);
  if (differs && !authority.changedAtRunTime) {
    await takeIn();
    return { outcome: 'reseeded', differs: false };
  }
  for (const revocation of revocations) {
    if (!stored.revocations.has(revocation.fingerprint))
      await authority.execute({ kind: 'revokeCertificate', revocation }, { actor: BOOTSTRAP_ACTOR });
  }
  if (!isDeepStrictEqual(stored.listeners, file.listeners)) await setListeners(authority, file.listeners);
  return { outcome: differs ? 'kept' : 'unchanged', differs };
}

function holdsTheSame(stored: Snapshot, file: FileState): boolean {
  return (
    isDeepStrictEqual(stored.targetGroups, new Map(file.targetGroups.map((group) => [group.name, group]))) &&
    isDeepStrictEqual(stored.clients, new Map(file.clients.map((client) => [client.clientId, client])))
  );
}

async function setListeners(authority: Authority, listeners: readonly Listener[]): Promise<void> {
  try {
    await authority.execute({ kind: 'setListeners', listeners }, { actor: BOOTSTRAP_ACTOR });
  } catch (error) {
    if (!(error instanceof DomainError)) throw error;
    const whatToDo = 'name a group that exists there, or move the state file away to start from the config file alone';
    throw new DomainError(
      error.code,
      error.field,
      `a listener of the config file does not fit the state changed at run time: ${error.message}; ${whatToDo}`,
    );
  }
}
