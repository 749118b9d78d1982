/** What it takes to make the state what somebody wants. */
import {
  clientDifferences,
  type Difference,
  type EntryDifferences,
  groupDifferences,
  listenerDifferences,
  revocationDifferences,
} from './diff.ts';
import type { Client, Listener, Revision, Revocation, Snapshot, TargetGroup } from './model.ts';
import type { Command, Replacement } from './state.ts';

/** The listeners, groups and clients that there are to be, and certificates that are to be revoked besides those that are. */
export interface Wanted {
  /** undefined: those that there are. */
  readonly listeners?: readonly Listener[] | undefined;
  readonly targetGroups: readonly TargetGroup[];
  readonly clients: readonly Client[];
  readonly revocations: readonly Revocation[];
}

export interface Plan {
  /** Holds what differs and nothing else: it costs what it changes, however large the state is. */
  readonly command: Extract<Command, { readonly kind: 'replaceSome' }>;
  /** In the order of the state, then of what is new. */
  readonly differences: readonly Difference[];
}

/** The plan that makes what is wanted, which may be that of an earlier revision, of `state`. Where only the order of entries differs, it stays. */
export function planOf(
  state: Snapshot,
  { listeners = state.listeners, targetGroups, clients, revocations }: Wanted,
  backTo?: Revision,
): Plan {
  const opened = compared(named(state.listeners), named(listeners), listenerDifferences);
  const groups = compared(state.targetGroups, named(targetGroups), groupDifferences);
  const known = compared(state.clients, new Map(clients.map((each) => [each.clientId, each])), clientDifferences);
  const revoked = revocations.filter(({ fingerprint }) => !state.revocations.has(fingerprint));
  const makes = {
    targetGroups: targetGroups.length,
    servers: targetGroups.reduce((sum, group) => sum + group.servers.length, 0),
    clients: clients.length,
  };
  return {
    command: {
      kind: 'replaceSome',
      listeners: opened.differences.length === 0 ? undefined : listeners,
      targetGroups: groups.replacement,
      clients: known.replacement,
      revocations: revoked,
      makes,
      backTo,
    },
    differences: [
      ...opened.differences,
      ...groups.differences,
      ...known.differences,
      ...revoked.flatMap((each) => revocationDifferences(each.fingerprint, undefined, each)),
    ],
  };
}

function named<T extends { readonly name: string }>(entries: readonly T[]): ReadonlyMap<string, T> {
  return new Map(entries.map((each) => [each.name, each]));
}

function compared<T>(
  before: ReadonlyMap<string, T>,
  after: ReadonlyMap<string, T>,
  differ: EntryDifferences<T>,
): { readonly replacement: Replacement<T>; readonly differences: readonly Difference[] } {
  const put: T[] = [];
  const removed: string[] = [];
  const differences: Difference[] = [];
  for (const [name, entry] of before) {
    const other = after.get(name);
    const found = differ(name, entry, other);
    differences.push(...found);
    if (other === undefined) removed.push(name);
    else if (found.length > 0) put.push(other);
  }
  for (const [name, entry] of after) {
    if (before.has(name)) continue;
    differences.push(...differ(name, undefined, entry));
    put.push(entry);
  }
  return { replacement: { put, removed }, differences };
}
