import assert from 'node:assert/strict';
import { chmodSync, copyFileSync, readdirSync, readFileSync, statSync, truncateSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { SqliteStore } from '../../src/controlplane/store/sqlite.ts';
import {
  DEFAULT_RETENTION,
  StoreCorruptError,
  type StoredChange,
  type StoredState,
  type StoreUnavailableError,
} from '../../src/controlplane/store/store.ts';
import { temporaryFolder } from '../support/temp-dir.ts';
import { addGroups } from './adding-groups.ts';

describe('a state file', () => {
  it('is readable by its owner alone, whatever the umask and whatever it was before', async (t) => {
    const folder = await temporaryFolder(t);
    const file = path.join(folder, 'lbd.state.db');
    const modes = () => readdirSync(folder).map((name) => [name, (statSync(path.join(folder, name)).mode & 0o777).toString(8)]);
    const umask = process.umask(0);
    t.after(() => process.umask(umask));
    const store = await SqliteStore.open(file);
    await addGroups(store, 3);
    assert.deepEqual(modes(), [
      ['lbd.state.db', '600'],
      ['lbd.state.db-wal', '600'],
    ]);
    await store.close();
    chmodSync(file, 0o644);
    const again = await SqliteStore.open(file);
    t.after(() => again.close());
    assert.deepEqual(modes()[0], ['lbd.state.db', '600']);
  });

  it('that is not one of lbd is refused, and left as it was', async (t) => {
    const folder = await temporaryFolder(t);
    const write: Record<string, (file: string) => void> = {
      empty: (file) => writeFileSync(file, ''),
      text: (file) => writeFileSync(file, 'targetGroups: []\n'.repeat(1000)),
      foreign: (file) => withDatabase(file, 'CREATE TABLE changes (revision INTEGER PRIMARY KEY)'),
    };
    for (const [name, make] of Object.entries(write)) {
      const file = path.join(folder, name);
      make(file);
      const before = readFileSync(file);
      await assert.rejects(
        SqliteStore.open(file),
        refusal(StoreCorruptError, /^the state file .+ is not usable \(.+\); nothing was read from it: move it away .+config file.+backup/),
      );
      assert.deepEqual(readFileSync(file), before, name);
    }
  });

  it('of a later layout or format is refused', async (t) => {
    const later = await stateFile(t);
    withDatabase(later.file, 'PRAGMA user_version = 4');
    await assert.rejects(read(later.file), refusal(StoreCorruptError, /layout is version 4; this lbd reads versions up to 3/));
  });

  it('with a missing, altered or foreign change is refused', async (t) => {
    const damages = {
      'DELETE FROM changes WHERE revision = 7': /revision 8: expected revision 7 first/,
      'DELETE FROM changes WHERE revision = 12': /revision 13: expected revision 12 first/,
      'DELETE FROM changes': /revision 10: expected the change that made it/,
      'DELETE FROM snapshots': /revision 6: expected revision 1 first/,
      "UPDATE changes SET command = replace(command, '8081', '8082') WHERE revision = 7": /revision 7: expected its checksum to match/,
      "UPDATE changes SET actor = 'bootstrap' WHERE revision = 13": /revision 13: expected its checksum to match/,
      'UPDATE changes SET changed_at_run_time = 0 WHERE revision = 13': /revision 13: expected its checksum to match/,
      "UPDATE snapshots SET json = replace(json, '8081', '8082')": /snapshot 10: expected its checksum to match/,
      'UPDATE changes SET at_ms = 9223372036854775807 WHERE revision = 13': /too large/,
      'DROP TABLE snapshots': /no such table/,
    };
    for (const [sql, why] of Object.entries(damages)) {
      const { file } = await stateFile(t);
      withDatabase(file, sql);
      await assert.rejects(read(file), refusal(StoreCorruptError, why), sql);
    }
  });

  it('with any byte altered is read as it was, or refused', async (t) => {
    const { file, state, history } = await stateFile(t);
    const bytes = readFileSync(file);
    let refused = 0;
    await fc.assert(
      fc.asyncProperty(fc.nat(bytes.length - 1), fc.integer({ min: 1, max: 255 }), async (position, mask) => {
        const damaged = Buffer.from(bytes);
        damaged[position] = (damaged[position] ?? 0) ^ mask;
        const copy = `${file}.damaged`;
        writeFileSync(copy, damaged);
        const found = await read(copy).catch((error: unknown) => {
          assert.ok(error instanceof StoreCorruptError, `byte ${position}: ${error}`);
          refused++;
        });
        if (found !== undefined) assert.deepEqual(found, { state, history }, `byte ${position}`);
      }),
      { numRuns: 300 },
    );
    assert.ok(refused > 0);
  });

  it('cut short anywhere is refused', async (t) => {
    const { file } = await stateFile(t);
    const { size } = statSync(file);
    await fc.assert(
      fc.asyncProperty(fc.nat(size - 1), async (length) => {
        const copy = `${file}.cut`;
        copyFileSync(file, copy);
        truncateSync(copy, length);
        await assert.rejects(read(copy), StoreCorruptError, `${length} of ${size} bytes`);
      }),
      { numRuns: 60 },
    );
  });
});

/** A closed state file with a snapshot at revision 10 and three changes after it, and what is in it. */
async function stateFile(t: Parameters<typeof temporaryFolder>[0]) {
  const file = path.join(await temporaryFolder(t), 'lbd.state.db');
  const store = await SqliteStore.open(file, undefined, { ...DEFAULT_RETENTION, snapshotEvery: 5, changesKept: 5 });
  await addGroups(store, 13);
  await store.close();
  return { file, ...(await read(file)) };
}

async function read(file: string): Promise<{ state: StoredState | undefined; history: readonly StoredChange[] }> {
  const store = await SqliteStore.open(file);
  try {
    return { state: await store.load(), history: await store.history(1000) };
  } finally {
    await store.close();
  }
}

function withDatabase(file: string, sql: string): void {
  const database = new DatabaseSync(file);
  database.exec(sql);
  database.close();
}

function refusal(type: typeof StoreUnavailableError, message: RegExp) {
  return (error: unknown) => {
    assert.ok(error instanceof type, String(error));
    assert.match(error.message, message);
    return true;
  };
}
