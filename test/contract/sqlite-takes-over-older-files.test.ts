import assert from 'node:assert/strict';
import path from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { describe, it } from 'node:test';
import { crc32 } from 'node:zlib';
import { SqliteStore } from '../../src/controlplane/store/sqlite.ts';
import { temporaryFolder } from '../support/temp-dir.ts';
import { addGroups } from './adding-groups.ts';

describe('a state file of an older lbd', () => {
  it('is taken over: its state, its history and its request ids, with what it did not know yet at its default', async (t) => {
    const file = path.join(await temporaryFolder(t), 'lbd.state.db');
    const written = await SqliteStore.open(file);
    await addGroups(written, 3);
    const expected = await written.load();
    await written.close();
    makeOlder(file);

    const store = await SqliteStore.open(file);
    assert.deepEqual(await store.load(), expected);
    assert.deepEqual(await store.findRequest('request-2'), { revision: 2, digest: '' });
    assert.deepEqual(await store.auditEntries({ limit: 10 }), []);
    await addGroups(store, 1);
    await store.close();

    const again = await SqliteStore.open(file);
    t.after(() => again.close());
    assert.equal((await again.load())?.snapshot.revision, 4);
    assert.equal((await again.auditEntries({ limit: 10 })).length, 1);
  });
});

/** Makes the file what version 1 of the layout was, before servers had a mode. */
function makeOlder(file: string): void {
  const database = new DatabaseSync(file);
  database.exec(
    'DROP TABLE administrators; DROP TABLE unchanged; DROP TABLE audit; ALTER TABLE changes DROP COLUMN request_digest; PRAGMA user_version = 1',
  );
  const update = database.prepare('UPDATE changes SET command = ?, crc32 = ? WHERE revision = ?');
  for (const { revision, command, actor, at_ms, request_id, changed_at_run_time } of database.prepare('SELECT * FROM changes').all()) {
    const older = String(command).replaceAll(',"mode":"ready"', '');
    assert.notEqual(older, command);
    update.run(older, crc32(JSON.stringify([revision, older, actor, at_ms, request_id, changed_at_run_time])), Number(revision));
  }
  database.close();
}
