import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { chmodSync, chownSync, readdirSync, renameSync, statSync } from 'node:fs';
import path from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { describe, it } from 'node:test';
import { SqliteStore } from '../../src/controlplane/store/sqlite.ts';
import { DEFAULT_RETENTION, StoreUnavailableError } from '../../src/controlplane/store/store.ts';
import { EMPTY_SNAPSHOT } from '../../src/domain/model.ts';
import { apply, type Command } from '../../src/domain/state.ts';
import { sampleClient, sampleGroup, sampleServer } from '../support/sample-state.ts';
import { temporaryFolder } from '../support/temp-dir.ts';
import { addGroups } from './adding-groups.ts';

const freshFile = async (t: Parameters<typeof temporaryFolder>[0]) => path.join(await temporaryFolder(t), 'lbd.state.db');

describe('a state file that cannot be written', () => {
  it('refuses changes while the disk is full, and takes them again when there is room', async (t) => {
    const opened: DatabaseSync[] = [];
    const store = await SqliteStore.open(await freshFile(t), (file) => remember(opened, new DatabaseSync(file)));
    t.after(() => store.close());
    const before = await addGroups(store, 3);
    const [database] = opened;
    assert.ok(database);
    database.exec('PRAGMA max_page_count = 1');
    await assert.rejects(
      addGroups(store, 1000),
      unavailable(/^there is no room left on the disk for the state file .+: free some and try again$/),
    );
    const reached = await store.load();
    assert.equal(reached?.snapshot.revision, (await store.history(1))[0]?.revision);
    await assert.rejects(addGroups(store, 1000), unavailable(/no room left/), 'it stays refused while nothing changes');
    database.exec('PRAGMA max_page_count = 100000');
    const after = await addGroups(store, 2);
    assert.ok(after.revision >= before.revision + 2);
    assert.deepEqual((await store.load())?.snapshot, after);
    assert.equal(opened.length, 1, 'one full disk is no reason to give up the lock on the file');
  });

  it('opens the file anew after an error that leaves its state unclear', async (t) => {
    const opened: DatabaseSync[] = [];
    const store = await SqliteStore.open(await freshFile(t), (file) => remember(opened, new DatabaseSync(file)));
    t.after(() => store.close());
    const before = await addGroups(store, 3);
    opened[0]?.exec('PRAGMA query_only = ON');
    await assert.rejects(addGroups(store, 1), unavailable(/cannot be written: it, its folder or its file system is read-only$/));
    assert.deepEqual((await store.load())?.snapshot, before);
    assert.deepEqual((await store.load())?.snapshot, before);
    assert.equal((await addGroups(store, 1)).revision, 4);
    assert.equal(opened.length, 2);
  });

  for (const [kind, revision] of [
    ['a change', 8],
    ['a change that a snapshot follows', 10],
  ] as const) {
    it(`takes back ${kind} that was refused by a failing disk but written after all`, async (t) => {
      let failing = false;
      const store = await SqliteStore.open(await freshFile(t), (file) => new CommitThenFail(file, () => failing), {
        ...DEFAULT_RETENTION,
        snapshotEvery: 5,
        changesKept: 5,
      });
      t.after(() => store.close());
      const before = await addGroups(store, revision - 1);
      failing = true;
      await assert.rejects(addGroups(store, 1), unavailable(/failed \(disk I\/O error\): look at the disk/));
      failing = false;
      assert.deepEqual((await store.load())?.snapshot, before);
      assert.deepEqual((await store.auditEntries({ limit: 1 }))[0]?.revisionAfter, revision - 1);
      assert.equal((await addGroups(store, 1)).revision, revision);
      assert.equal((await addGroups(store, 20)).revision, revision + 20);
    });
  }

  it('refuses changes while the file is somewhere else', async (t) => {
    const file = await freshFile(t);
    const store = await SqliteStore.open(file);
    t.after(() => store.close());
    const before = await addGroups(store, 3);
    renameSync(file, `${file}.away`);
    for (const _ of ['first', 'again'])
      await assert.rejects(addGroups(store, 1), unavailable(/was moved or deleted while in use: put it back, or start lbd anew$/));
    renameSync(`${file}.away`, file);
    assert.deepEqual((await store.load())?.snapshot, before);
    assert.equal((await addGroups(store, 1)).revision, 4);
  });

  it('is refused at start when it is read-only or its folder is missing', async (t) => {
    const folder = await temporaryFolder(t);
    const file = path.join(folder, 'lbd.state.db');
    await (await SqliteStore.open(file)).close();
    await assert.rejects(
      SqliteStore.open(path.join(folder, 'missing', 'lbd.state.db')),
      unavailable(/its folder must exist and lbd must be allowed to write both$/),
    );
    chmodSync(folder, 0o755);
    await assert.rejects(SqliteStore.open(folder), unavailable(/cannot be opened/));
    assert.equal(statSync(folder).mode & 0o777, 0o755, 'a folder named by mistake is left as it was');
    chmodSync(file, 0o400);
    await asOrdinaryUser(folder, file, () => assert.rejects(SqliteStore.open(file), unavailable(/cannot be locked: it is read-only/)));
  });
});

describe('a state file in use', () => {
  it('is refused to a second store of the same process', async (t) => {
    const file = await freshFile(t);
    const first = await SqliteStore.open(file);
    await assert.rejects(
      SqliteStore.open(file),
      unavailable(/in use by another balancer of this process: stop that one, or give this one a store path of its own$/),
    );
    assert.equal((await addGroups(first, 1)).revision, 1, 'the first one is not disturbed');
    await assert.rejects(SqliteStore.open(file), unavailable(/in use by another balancer of this process/));
    await first.close();
    const second = await SqliteStore.open(file);
    assert.equal((await second.load())?.snapshot.revision, 1);
    await second.close();
  });

  it('is refused to another process until the first one has ended, however it ended', async (t) => {
    const file = await freshFile(t);
    const writer = spawn(process.execPath, [path.join(import.meta.dirname, 'sqlite-writer.ts'), file], {
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    const ended = once(writer, 'exit');
    await once(writer.stdout, 'data');
    await assert.rejects(
      SqliteStore.open(file),
      unavailable(new RegExp(`in use by another lbd \\(process ${writer.pid}\\): stop that one`)),
    );
    writer.kill('SIGKILL');
    await ended;
    const store = await SqliteStore.open(file);
    t.after(() => store.close());
    assert.ok(((await store.load())?.snapshot.revision ?? 0) > 0);
  });
});

describe('a state file made for the first time', () => {
  it('leaves nothing but itself in its folder', async (t) => {
    const folder = await temporaryFolder(t);
    const store = await SqliteStore.open(path.join(folder, 'lbd.state.db'));
    await addGroups(store, 2);
    await store.close();
    assert.deepEqual(readdirSync(folder), ['lbd.state.db']);
  });
});

describe('a change to a large state', () => {
  it('writes as little as one to a small state', async (t) => {
    const file = await freshFile(t);
    const store = await SqliteStore.open(file);
    t.after(() => store.close());
    const many = Array.from({ length: 3000 }, (_, index) => index);
    const targetGroups = [
      sampleGroup(
        'web',
        many.map((index) => `10.0.${index >> 8}.${index & 255}:80`),
      ),
    ];
    const takeIn: Command = {
      kind: 'replaceAll',
      listeners: [],
      targetGroups,
      clients: many.map((index) => sampleClient(`client-${index}`, ['web'])),
      revocations: [],
    };
    const large = apply(EMPTY_SNAPSHOT, takeIn);
    await store.compareAndSet(0, { revision: 1, command: takeIn, actor: 'bootstrap', requestId: '', requestDigest: '', atMs: 0 }, large);
    const written = () => statSync(`${file}-wal`).size;
    // Once the log has been moved into the file it is written from its beginning again: grow it anew before measuring.
    await store.close();
    await store.load();
    const command: Command = { kind: 'addUpstreamServer', group: 'web', server: sampleServer('10.1.0.1:80') };
    await store.compareAndSet(
      1,
      { revision: 2, command, actor: 'operator', requestId: 'x', requestDigest: '', atMs: 0 },
      apply(large, command),
    );
    assert.ok(written() > 0 && written() < 32_768, `${written()} bytes`);
  });
});

/** Writes the commit, and then says that it could not. */
class CommitThenFail extends DatabaseSync {
  readonly #failing: () => boolean;

  constructor(file: string, failing: () => boolean) {
    super(file);
    this.#failing = failing;
  }

  override exec(sql: string): void {
    super.exec(sql);
    if (sql === 'COMMIT' && this.#failing()) throw Object.assign(new Error('disk I/O error'), { code: 'ERR_SQLITE_ERROR', errcode: 1034 });
  }
}

function remember(opened: DatabaseSync[], database: DatabaseSync): DatabaseSync {
  opened.push(database);
  return database;
}

/** File modes do not bind root: as root, `work` runs as a user who owns the file and its folder and has no other right. */
async function asOrdinaryUser(folder: string, file: string, work: () => Promise<void>): Promise<void> {
  if (process.geteuid?.() !== 0) return work();
  const user = 65_534;
  for (const owned of [folder, file]) chownSync(owned, user, user);
  process.seteuid?.(user);
  try {
    await work();
  } finally {
    process.seteuid?.(0);
  }
}

function unavailable(message: RegExp) {
  return (error: unknown) => {
    assert.ok(error instanceof StoreUnavailableError, String(error));
    assert.match(error.message, message);
    return true;
  };
}
