/** A process to be killed: takes up a state file, says so, makes the changes of the stream, and prints each revision once it is acknowledged. */
import { writeSync } from 'node:fs';
import { flushCompileCache } from 'node:module';
import { Authority } from '../../src/controlplane/authority.ts';
import { SqliteStore } from '../../src/controlplane/store/sqlite.ts';
import { DEFAULT_RETENTION } from '../../src/controlplane/store/store.ts';
import { changeThatMakes } from './change-stream.ts';

/** Small, so that snapshots are written and old changes dropped all the time. */
const RETENTION = { ...DEFAULT_RETENTION, snapshotEvery: 11, changesKept: 60, auditEntriesKept: 40 };
const MOST = 100_000;

const store = await SqliteStore.open(process.argv[2] ?? '', undefined, RETENTION);
const authority = await Authority.open(store);
// Left to itself Node writes it at the end, and there will be none.
flushCompileCache();
writeSync(1, `0\n`);
for (let count = 0; count < MOST; count++) {
  const revision = authority.snapshot.revision + 1;
  await authority.execute(changeThatMakes(revision), {
    actor: 'operator',
    requestId: `request-${revision}`,
    audit: { actor: 'operator', fingerprint: '', from: '127.0.0.1:1', method: 'Change', request: `${revision}` },
  });
  writeSync(1, `${revision}\n`);
}
