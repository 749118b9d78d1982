/** A process to be killed: adds target groups to the state file as fast as it can, and prints each revision once it is acknowledged. */
import { writeSync } from 'node:fs';
import { SqliteStore } from '../../src/controlplane/store/sqlite.ts';
import { DEFAULT_RETENTION } from '../../src/controlplane/store/store.ts';
import { EMPTY_SNAPSHOT } from '../../src/domain/model.ts';
import { apply, type Command } from '../../src/domain/state.ts';
import { sampleGroup } from '../support/sample-state.ts';

const store = await SqliteStore.open(process.argv[2] ?? '', undefined, { ...DEFAULT_RETENTION, snapshotEvery: 7 });
let snapshot = (await store.load())?.snapshot ?? EMPTY_SNAPSHOT;
for (let count = 0; count < 20_000; count++) {
  const revision = snapshot.revision + 1;
  const command: Command = { kind: 'addTargetGroup', group: sampleGroup(`group-${revision}`) };
  const next = apply(snapshot, command);
  const change = { revision, command, actor: 'operator', requestId: `request-${revision}`, requestDigest: '', atMs: 0 };
  await store.compareAndSet(snapshot.revision, change, next);
  writeSync(1, `${revision}\n`);
  snapshot = next;
}
