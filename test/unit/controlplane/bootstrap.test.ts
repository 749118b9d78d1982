import assert from 'node:assert/strict';
import path from 'node:path';
import { describe, it } from 'node:test';
import { loadConfigFile } from '../../../src/config/check.ts';
import { Authority } from '../../../src/controlplane/authority.ts';
import { type FileState, seed } from '../../../src/controlplane/bootstrap.ts';
import { MemoryStore } from '../../../src/controlplane/store/memory.ts';
import { SqliteStore } from '../../../src/controlplane/store/sqlite.ts';
import { DomainError } from '../../../src/domain/errors.ts';
import { sampleClient, sampleGroup, sampleListener } from '../../support/sample-state.ts';
import { temporaryFolder } from '../../support/temp-dir.ts';

const file: FileState = {
  listeners: [sampleListener('main')],
  targetGroups: [sampleGroup('web', ['127.0.0.1:8081']), sampleGroup('db', ['127.0.0.1:8085'])],
  clients: [sampleClient('a', ['web'])],
  revocations: [],
};
const edited: FileState = { ...file, targetGroups: [...file.targetGroups, sampleGroup('mail', ['127.0.0.1:25'])] };
const moved: FileState = { ...file, listeners: [sampleListener('main', { address: { host: '127.0.0.1', port: 9443 } })] };

/** A store that has taken `file` in. */
async function seeded(): Promise<MemoryStore> {
  const store = new MemoryStore();
  await seed(await Authority.open(store), file);
  return store;
}

async function changeAtRunTime(store: MemoryStore): Promise<void> {
  const authority = await Authority.open(store);
  await authority.execute({ kind: 'removeTargetGroup', name: 'db' }, { actor: 'operator' });
}

describe('the config file at start', () => {
  it('seeds an empty store', async () => {
    const authority = await Authority.open(new MemoryStore());
    assert.deepEqual(await seed(authority, file), { outcome: 'seeded', differs: false });
    assert.equal(authority.snapshot.revision, 1);
    assert.deepEqual(authority.snapshot.listeners, file.listeners);
    assert.deepEqual([...authority.snapshot.targetGroups.values()], file.targetGroups);
    assert.deepEqual([...authority.snapshot.clients.values()], file.clients);
  });

  it('makes no revision when it says what the store holds, in whatever order', async () => {
    const authority = await Authority.open(await seeded());
    const reordered = { ...file, targetGroups: file.targetGroups.toReversed() };
    assert.deepEqual(await seed(authority, reordered), { outcome: 'unchanged', differs: false });
    assert.equal(authority.snapshot.revision, 1);
  });

  it('is recognised as unchanged after a round trip through a state file', async (t) => {
    const stateFile = path.join(await temporaryFolder(t), 'lbd.state.db');
    for (const outcome of ['seeded', 'unchanged']) {
      const store = await SqliteStore.open(stateFile);
      assert.equal((await seed(await Authority.open(store), file)).outcome, outcome);
      await store.close();
    }
  });

  it('leaves the rest of a config out of the state file, which can be read again', async (t) => {
    const stateFile = path.join(await temporaryFolder(t), 'lbd.state.db');
    const examples = path.join(import.meta.dirname, '../../../examples');
    const config = loadConfigFile(path.join(examples, 'sample.yaml'));
    for (const outcome of ['seeded', 'unchanged']) {
      const store = await SqliteStore.open(stateFile);
      assert.equal((await seed(await Authority.open(store), config)).outcome, outcome);
      await store.close();
    }
  });

  it('is taken in again when it was edited and nobody has changed the state at run time', async () => {
    const store = await seeded();
    await seed(await Authority.open(store), moved);
    const authority = await Authority.open(store);
    assert.deepEqual(await seed(authority, edited), { outcome: 'reseeded', differs: false });
    assert.deepEqual([...authority.snapshot.targetGroups.keys()], ['web', 'db', 'mail']);
    assert.deepEqual(authority.snapshot.listeners, edited.listeners);
  });

  it('has its revocations taken in whatever was changed at run time, and none taken back', async () => {
    const authority = await Authority.open(await seeded());
    const revoked = (digits: string) => ({ fingerprint: digits.repeat(32), comment: '', atMs: 0 });
    await authority.execute({ kind: 'revokeCertificate', revocation: revoked('cd') }, { actor: 'certificate alice' });
    assert.equal((await seed(authority, { ...file, revocations: [revoked('ab'), revoked('cd')] })).outcome, 'unchanged');
    assert.deepEqual([...authority.snapshot.revocations.keys()], ['cd'.repeat(32), 'ab'.repeat(32)]);
    await seed(authority, { ...file, revocations: [] });
    assert.equal(authority.snapshot.revocations.size, 2);
  });

  it('gives way to changes made at run time, and says so', async () => {
    const store = await seeded();
    await changeAtRunTime(store);
    for (const given of [file, edited]) {
      const authority = await Authority.open(store);
      assert.deepEqual(await seed(authority, given), { outcome: 'kept', differs: true });
      assert.deepEqual([...authority.snapshot.targetGroups.keys()], ['web']);
      assert.equal(authority.snapshot.revision, 2);
    }
  });

  it('agrees again once it was edited to what was changed at run time', async () => {
    const store = await seeded();
    await changeAtRunTime(store);
    const [web] = file.targetGroups;
    assert.ok(web);
    assert.deepEqual(await seed(await Authority.open(store), { ...file, targetGroups: [web] }), { outcome: 'unchanged', differs: false });
  });

  it('always gives the listeners', async () => {
    const store = await seeded();
    const untouched = await Authority.open(store);
    assert.deepEqual(await seed(untouched, moved), { outcome: 'unchanged', differs: false });
    assert.deepEqual(untouched.snapshot.listeners, moved.listeners);
    await changeAtRunTime(store);
    const changed = await Authority.open(store);
    assert.deepEqual(await seed(changed, file), { outcome: 'kept', differs: true });
    assert.deepEqual(changed.snapshot.listeners, file.listeners);
  });

  it('is refused when a listener of it needs a group that was removed at run time', async () => {
    const store = await seeded();
    await changeAtRunTime(store);
    const authority = await Authority.open(store);
    const before = authority.snapshot;
    await assert.rejects(seed(authority, { ...file, listeners: [sampleListener('direct', { targetGroup: 'db' })] }), (error) => {
      assert.ok(error instanceof DomainError);
      assert.match(
        error.message,
        /^a listener of the config file does not fit the state changed at run time: there is no target group "db"; there are: web; name a group that exists there, or move the state file away/,
      );
      return true;
    });
    assert.equal(authority.snapshot, before);
  });
});
