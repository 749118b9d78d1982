import type { AuditRecord, Store } from '../../src/controlplane/store/store.ts';
import { EMPTY_SNAPSHOT, type Snapshot } from '../../src/domain/model.ts';
import { apply, type Command } from '../../src/domain/state.ts';
import { sampleGroup } from '../support/sample-state.ts';

/** Adds target groups named after their revision, on top of what the store has. Gives the state that this leads to. */
export async function addGroups(store: Store, count: number): Promise<Snapshot> {
  let snapshot = (await store.load())?.snapshot ?? EMPTY_SNAPSHOT;
  for (let added = 0; added < count; added++) {
    const revision = snapshot.revision + 1;
    const command: Command = { kind: 'addTargetGroup', group: sampleGroup(`group-${revision}`, ['127.0.0.1:8081']) };
    const next = apply(snapshot, command);
    const change = { revision, command, actor: 'operator', requestId: `request-${revision}`, requestDigest: '', atMs: 0 };
    await store.compareAndSet(snapshot.revision, change, next, auditOf(revision));
    snapshot = next;
  }
  return snapshot;
}

/** What the audit trail says of the change that made `revision`. */
export function auditOf(revision: number, changes: Partial<AuditRecord> = {}): AuditRecord {
  return {
    atMs: 1000 * revision,
    actor: 'alice',
    fingerprint: 'ab'.repeat(32),
    from: '127.0.0.1:5000',
    method: 'AddTargetGroup',
    request: `{"name":"group-${revision}"}`,
    result: 'OK',
    message: '',
    revisionBefore: revision - 1,
    revisionAfter: revision,
    ...changes,
  };
}
