/** What changes of the past made different. */
import { clientDifferences, type Difference, groupDifferences } from '../../domain/diff.ts';
import type { Revision, Snapshot } from '../../domain/model.ts';
import { apply, type Command } from '../../domain/state.ts';
import type { StoredChange } from './store.ts';

/** A change that was made. */
export type MadeChange = Pick<StoredChange, 'revision' | 'command'>;

/** What changes made different, by their revisions. */
export type Made = ReadonlyMap<Revision, readonly Difference[]>;

/** True of a command that says what an entry is to be: what it was is in the state before. */
export function isUpdate({ kind }: Command): boolean {
  return kind === 'updateTargetGroup' || kind === 'setUpstreamServer' || kind === 'updateClient';
}

/** What the updates among these changes made different: they are oldest first and without gaps, the first one made to `before`. */
export function madeDifferent(before: Snapshot, changes: readonly MadeChange[]): Made {
  const made = new Map<Revision, readonly Difference[]>();
  let state = before;
  for (const { revision, command } of changes) {
    const next = apply(state, command);
    const differences = updateDifferences(command, state, next);
    if (differences !== undefined) made.set(revision, differences);
    state = next;
  }
  return made;
}

function updateDifferences(command: Command, before: Snapshot, after: Snapshot): readonly Difference[] | undefined {
  const ofGroup = (name: string) => groupDifferences(name, before.targetGroups.get(name), after.targetGroups.get(name));
  switch (command.kind) {
    case 'updateTargetGroup':
      return ofGroup(command.group.name);
    case 'setUpstreamServer':
      return ofGroup(command.group);
    case 'updateClient': {
      const { clientId } = command.client;
      return clientDifferences(clientId, before.clients.get(clientId), after.clients.get(clientId));
    }
    default:
      return undefined;
  }
}
