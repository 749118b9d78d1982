import assert from 'node:assert/strict';
import path from 'node:path';
import { describe, it, type TestContext } from 'node:test';
import fc from 'fast-check';
import { MemoryStore } from '../../src/controlplane/store/memory.ts';
import { replayed } from '../../src/controlplane/store/replay.ts';
import { SqliteStore } from '../../src/controlplane/store/sqlite.ts';
import {
  ADMINISTRATORS_KEPT,
  type AuditPlace,
  type AuditQuery,
  DEFAULT_RETENTION,
  type Retention,
  RevisionConflictError,
  type Store,
  type StoredChange,
} from '../../src/controlplane/store/store.ts';
import { DEFAULT_HEALTH_CHECK, NO_LIMITS } from '../../src/domain/defaults.ts';
import { DomainError } from '../../src/domain/errors.ts';
import { ANY_NAME_MATCH, EMPTY_SNAPSHOT, type Snapshot } from '../../src/domain/model.ts';
import { apply, type Command } from '../../src/domain/state.ts';
import { anyEntries } from '../support/any-state.ts';
import { sampleClient, sampleGroup, sampleListener, sampleServer } from '../support/sample-state.ts';
import { temporaryFolder } from '../support/temp-dir.ts';
import { addGroups, auditOf } from './adding-groups.ts';

/** Every driver, and how one test gets a fresh store. */
const DRIVERS: Record<string, (t: TestContext, retention?: Retention) => Promise<Store>> = {
  memory: async (_, retention) => new MemoryStore(retention),
  sqlite: async (t, retention = DEFAULT_RETENTION) => {
    const store = await SqliteStore.open(path.join(await temporaryFolder(t), 'lbd.state.db'), undefined, retention);
    t.after(() => store.close());
    return store;
  },
};

const addGroup = (name: string): Command => ({ kind: 'addTargetGroup', group: sampleGroup(name, ['127.0.0.1:8081']) });

for (const [driver, freshStore] of Object.entries(DRIVERS)) {
  describe(`the ${driver} store`, () => {
    it('has no state before the first change', async (t) => {
      const store = await freshStore(t);
      assert.equal(await store.load(), undefined);
      assert.deepEqual(await store.history(10), []);
      assert.equal(await store.findRequest('first'), undefined);
    });

    it('gives back the state after the newest change, with every field', async (t) => {
      const store = await freshStore(t);
      const everything: Command = {
        kind: 'replaceAll',
        listeners: [
          sampleListener('main', { routes: [{ sni: '*.example.com', alpn: undefined, targetGroup: 'web' }] }),
          sampleListener('direct', { address: { host: '::1', port: 0 }, targetGroup: 'web' }),
        ],
        targetGroups: [
          sampleGroup('web', [], {
            servers: [
              sampleServer('[::1]:8081', { weight: 0, maxConnections: 5, backup: true, mode: 'drain' }),
              sampleServer('web.example.com:80'),
            ],
            healthCheck: {
              ...DEFAULT_HEALTH_CHECK,
              type: 'http',
              http: { path: '/ready', host: undefined, statusFrom: 200, statusTo: 299, body: 'é\u200b' },
            },
            queue: { maxLength: 5, timeoutMs: 100 },
            upstreamTls: { ca: '/ca.pem', serverName: undefined, clientCertificate: undefined, insecureSkipVerify: true },
          }),
        ],
        clients: [
          sampleClient('a', ['web'], {
            match: { ...ANY_NAME_MATCH, cn: 'a\\n"\u200bé', uri: 'spiffe://example/a', fingerprint: 'ab'.repeat(32) },
            limits: {
              ...NO_LIMITS,
              connectionRate: { algorithm: 'tokenBucket', limit: 10, windowMs: 1000, burst: 20, action: 'delay', maxDelayMs: 250 },
              concurrentConnections: 7,
              bandwidth: { uploadBytesPerSecond: 2 ** 40, downloadBytesPerSecond: undefined },
            },
          }),
        ],
        revocations: [{ fingerprint: 'cd'.repeat(32), comment: 'lost "é\u200b', atMs: 1_700_000_000_000 }],
      };
      const snapshot = await append(store, EMPTY_SNAPSHOT, [everything, addGroup('db')]);
      assert.deepEqual(await store.load(), { snapshot, changedAtRunTime: true });
    });

    it('gives back any state as it was made', async (t) => {
      const store = await freshStore(t);
      let snapshot = EMPTY_SNAPSHOT;
      await fc.assert(
        fc.asyncProperty(anyEntries, async (entries) => {
          snapshot = await append(store, snapshot, [{ kind: 'replaceAll', ...entries }]);
          assert.deepEqual((await store.load())?.snapshot, snapshot);
        }),
        { numRuns: 30, endOnFailure: true },
      );
    });

    it('keeps the request ids of what changed nothing, the newest of them', async (t) => {
      const store = await freshStore(t, { ...DEFAULT_RETENTION, snapshotEvery: 2, changesKept: 3 });
      await append(store, EMPTY_SNAPSHOT, [addGroup('web')], { requestId: 'made', requestDigest: 'd' });
      for (const id of ['a', 'b', 'c', 'd']) await store.keepRequest(id, { revision: 1, digest: `digest ${id}` });
      assert.equal(await store.findRequest('a'), undefined);
      assert.deepEqual(await store.findRequest('b'), { revision: 1, digest: 'digest b' });
      assert.deepEqual(await store.findRequest('made'), { revision: 1, digest: 'd' });
      assert.equal((await store.load())?.snapshot.revision, 1);
    });

    it('remembers the administrators who called last, each once', async (t) => {
      const store = await freshStore(t);
      const seen = (index: number, seenAtMs: number) => ({ fingerprint: String(index), certificate: 'AA==', seenAtMs });
      const many = Array.from({ length: ADMINISTRATORS_KEPT + 1 }, (_, index) => seen(index, index));
      await store.recordAdministrators(many);
      await store.recordAdministrators([seen(1, 1_000_000)]);
      const kept = await store.administrators();
      assert.deepEqual([kept.length, kept[0], kept.at(-1)], [ADMINISTRATORS_KEPT, seen(1, 1_000_000), seen(2, 2)]);
    });

    it('refuses a change made on another revision, and writes nothing', async (t) => {
      const store = await freshStore(t);
      const snapshot = await append(store, EMPTY_SNAPSHOT, [addGroup('web'), addGroup('db')]);
      for (const expected of [0, 1, 3]) {
        const stale: Snapshot = { ...snapshot, revision: expected };
        await assert.rejects(append(store, stale, [addGroup('late')]), (error) => {
          assert.ok(error instanceof RevisionConflictError);
          assert.deepEqual([error.expected, error.actual], [expected, 2]);
          return true;
        });
      }
      assert.deepEqual((await store.load())?.snapshot, snapshot);
      assert.equal((await store.history(10)).length, 2);
    });

    it('knows which revision a request id made, and takes each id once', async (t) => {
      const store = await freshStore(t);
      let snapshot = await append(store, EMPTY_SNAPSHOT, [addGroup('web')], { requestId: 'first', requestDigest: 'ab12' });
      snapshot = await append(store, snapshot, [addGroup('db'), addGroup('mail')]);
      assert.deepEqual(await store.findRequest('first'), { revision: 1, digest: 'ab12' });
      assert.equal(await store.findRequest(''), undefined);
      assert.equal(await store.findRequest('second'), undefined);
      await assert.rejects(append(store, snapshot, [addGroup('late')], { requestId: 'first' }));
      assert.equal((await store.load())?.snapshot.revision, 3);
      await append(store, snapshot, [addGroup('next')], { requestId: 'second' });
      assert.deepEqual(await store.findRequest('second'), { revision: 4, digest: '' });
    });

    it('tells the newest changes first', async (t) => {
      const store = await freshStore(t);
      const snapshot = await append(store, EMPTY_SNAPSHOT, [addGroup('web')]);
      const written: StoredChange = {
        revision: 2,
        command: addGroup('db'),
        actor: 'operator\n\u001b[31m',
        atMs: 1_700_000_000_123,
        requestId: 'x',
        requestDigest: 'ab12',
      };
      await store.compareAndSet(1, written, apply(snapshot, written.command));
      assert.deepEqual(await store.history(1), [written]);
      assert.deepEqual(
        (await store.history(10)).map(({ revision }) => revision),
        [2, 1],
      );
      assert.deepEqual(
        (await store.history(10, 2)).map(({ revision }) => revision),
        [1],
      );
    });

    it('gives every revision of the kept history back, and none that is not kept', async (t) => {
      const store = await freshStore(t, { ...DEFAULT_RETENTION, snapshotEvery: 4, changesKept: 6 });
      const states = [EMPTY_SNAPSHOT];
      for (let revision = 1; revision <= 30; revision++) {
        states.push(await append(store, states.at(-1) ?? EMPTY_SNAPSHOT, [addGroup(`group-${revision}`)]));
        const kept = (await store.history(100)).map((change) => change.revision);
        assert.ok(kept.length >= Math.min(revision, 6), `${kept.length} changes kept`);
        for (const each of kept) assert.deepEqual(await stateAt(store, each), states[each], `revision ${each} at ${revision}`);
        assert.equal(await stateAt(store, revision + 1), undefined);
      }
      assert.equal(await stateAt(store, 1), undefined);
    });

    it('pages through the newest of a long history', async (t) => {
      const store = await freshStore(t, { ...DEFAULT_RETENTION, snapshotEvery: 4, changesKept: 6 });
      await addGroups(store, 23);
      const seen: number[] = [];
      for (let page = await store.history(3); page.length > 0; page = await store.history(3, seen.at(-1)))
        seen.push(...page.map(({ revision }) => revision));
      assert.deepEqual(
        seen,
        (await store.history(100)).map(({ revision }) => revision),
      );
    });

    it('finds audit entries by time, actor and method, newest first, page by page', async (t) => {
      const store = await freshStore(t);
      await addGroups(store, 3);
      const tried = { actor: 'bob', method: 'RemoveClient', result: 'PERMISSION_DENIED', message: 'no\u001b[2J\ud800', revisionBefore: 3 };
      await store.recordAudit([auditOf(4, { ...tried, revisionAfter: 3 }), auditOf(5, { actor: 'bob' })]);
      const ids = async (query: Partial<AuditQuery>) => (await store.auditEntries({ limit: 10, ...query })).map(({ id }) => id);
      assert.deepEqual(await ids({}), [5, 4, 3, 2, 1]);
      assert.deepEqual(await ids({ sinceMs: 2000, untilMs: 4000 }), [3, 2]);
      assert.deepEqual(await ids({ actor: 'bob' }), [5, 4]);
      assert.deepEqual(await ids({ actor: 'bob', method: 'RemoveClient' }), [4]);
      assert.deepEqual(await ids({ limit: 2, before: { atMs: 4000, id: 4 } }), [3, 2]);
      const [, second, first] = await store.auditEntries({ limit: 3 });
      assert.deepEqual(first, { id: 3, ...auditOf(3) });
      assert.deepEqual([second?.message.slice(0, 6), second?.result], ['no\u001b[2J', 'PERMISSION_DENIED']);
    });

    it('gives audit entries by time, also those that were written late, each on one page', async (t) => {
      const store = await freshStore(t);
      // Ids 1 to 7 in this order.
      await store.recordAudit([50, 60, 20, 50, 40, 60, 60].map((atMs) => auditOf(1, { atMs, actor: atMs === 20 ? 'bob' : 'alice' })));
      const newestFirst = [7, 6, 2, 4, 1, 5, 3];
      const ids = async (query: Partial<AuditQuery>) => (await store.auditEntries({ limit: 10, ...query })).map(({ id }) => id);
      assert.deepEqual(await ids({}), newestFirst);
      assert.deepEqual(
        await ids({ actor: 'alice', method: 'AddTargetGroup' }),
        newestFirst.filter((id) => id !== 3),
      );
      const paged: number[] = [];
      for (let before: AuditPlace | undefined; ; ) {
        const page = await store.auditEntries({ limit: 2, before });
        paged.push(...page.map(({ id }) => id));
        before = page.at(-1);
        if (page.length < 2) break;
      }
      assert.deepEqual(paged, newestFirst);
    });

    it('keeps the newest audit entries only', async (t) => {
      const store = await freshStore(t, { ...DEFAULT_RETENTION, auditEntriesKept: 10 });
      await addGroups(store, 25);
      await store.recordAudit([auditOf(26), auditOf(27)]);
      const kept = (await store.auditEntries({ limit: 100 })).map(({ id }) => id);
      assert.ok(kept.length >= 10 && kept.length <= 11, `${kept.length} entries`);
      assert.equal(kept[0], 27);
    });

    it('keeps no audit entry of a change that it refused', async (t) => {
      const store = await freshStore(t);
      const snapshot = await addGroups(store, 1);
      const change = { revision: 3, command: addGroup('late'), actor: 'operator', requestId: '', requestDigest: '', atMs: 0 };
      await assert.rejects(store.compareAndSet(2, change, snapshot, auditOf(3)), RevisionConflictError);
      assert.equal((await store.auditEntries({ limit: 10 })).length, 1);
    });

    it('says whether anybody but the config file has changed the state since the file was taken in', async (t) => {
      const takeIn: Command = { kind: 'replaceAll', listeners: [], targetGroups: [], clients: [], revocations: [] };
      const steps: readonly [actor: string, command: Command, changed: boolean][] = [
        ['bootstrap', takeIn, false],
        ['bootstrap', { kind: 'setListeners', listeners: [] }, false],
        ['operator', addGroup('web'), true],
        ['bootstrap', { kind: 'setListeners', listeners: [] }, true],
        ['bootstrap', takeIn, false],
        ['operator', takeIn, true],
        ['operator', takeIn, true],
        ['bootstrap', takeIn, false],
      ];
      const store = await freshStore(t, { ...DEFAULT_RETENTION, snapshotEvery: 3, changesKept: 3 });
      let snapshot = EMPTY_SNAPSHOT;
      for (const [actor, command, changed] of steps) {
        snapshot = await append(store, snapshot, [command], { actor });
        assert.equal((await store.load())?.changedAtRunTime, changed, `after revision ${snapshot.revision}`);
      }
    });

    it('keeps a bounded history and the whole state', async (t) => {
      const retention = { ...DEFAULT_RETENTION, snapshotEvery: 5, changesKept: 12 };
      const store = await freshStore(t, retention);
      let snapshot = await append(store, EMPTY_SNAPSHOT, [addGroup('web')], { requestId: 'old' });
      const additions = Array.from({ length: 60 }, (_, index) => addGroup(`group-${index}`));
      snapshot = await append(store, snapshot, additions);
      snapshot = await append(store, snapshot, [addGroup('last')], { requestId: 'new' });
      assert.deepEqual((await store.load())?.snapshot, snapshot);
      const revisions = (await store.history(1000)).map(({ revision }) => revision);
      assert.deepEqual(
        revisions,
        revisions.map((_, index) => snapshot.revision - index),
      );
      assert.ok(
        revisions.length >= retention.changesKept && revisions.length <= retention.changesKept + retention.snapshotEvery,
        `${revisions.length} changes kept`,
      );
      assert.equal(await store.findRequest('old'), undefined);
      assert.equal((await store.findRequest('new'))?.revision, snapshot.revision);
    });

    it('gives back what any sequence of changes made', async (t) => {
      await fc.assert(
        fc.asyncProperty(fc.array(anyCommand, { maxLength: 40 }), async (commands) => {
          const store = await freshStore(t, { ...DEFAULT_RETENTION, snapshotEvery: 4, changesKept: 6 });
          let snapshot = EMPTY_SNAPSHOT;
          for (const command of commands) {
            try {
              snapshot = await append(store, snapshot, [command]);
            } catch (error) {
              if (!(error instanceof DomainError)) throw error;
            }
          }
          const loaded = await store.load();
          if (snapshot.revision === 0) assert.equal(loaded, undefined);
          else assert.deepEqual(loaded?.snapshot, snapshot);
          await store.close();
        }),
        { numRuns: 25 },
      );
    });
  });
}

const anyName = fc.constantFrom('web', 'db', 'mail');
const anyAddress = fc.constantFrom('127.0.0.1:8081', '127.0.0.1:8082', '[::1]:9000');
const anyCommand: fc.Arbitrary<Command> = fc.oneof(
  anyName.map((name): Command => ({ kind: 'addTargetGroup', group: sampleGroup(name) })),
  anyName.map((name): Command => ({ kind: 'removeTargetGroup', name })),
  fc.tuple(anyName, anyAddress).map(([group, address]): Command => ({ kind: 'addUpstreamServer', group, server: sampleServer(address) })),
  fc.tuple(anyName, anyAddress).map(([group, address]): Command => ({ kind: 'removeUpstreamServer', group, address })),
  fc.tuple(anyName, anyName).map(([id, name]): Command => ({ kind: 'addClient', client: sampleClient(id, [name]) })),
  anyName.map((clientId): Command => ({ kind: 'removeClient', clientId })),
  anyName.map((name): Command => ({ kind: 'setListeners', listeners: [sampleListener('main', { targetGroup: name })] })),
);

async function stateAt(store: Store, revision: number): Promise<Snapshot | undefined> {
  const recorded = await store.recorded(revision);
  return recorded && replayed(recorded);
}

/** Makes the changes on top of `snapshot`, and gives the state that they lead to. */
async function append(
  store: Store,
  snapshot: Snapshot,
  commands: readonly Command[],
  { actor = 'operator', requestId = '', requestDigest = '' }: Partial<Pick<StoredChange, 'actor' | 'requestId' | 'requestDigest'>> = {},
): Promise<Snapshot> {
  let current = snapshot;
  for (const command of commands) {
    const next = apply(current, command);
    await store.compareAndSet(current.revision, { revision: next.revision, command, actor, requestId, requestDigest, atMs: 0 }, next);
    current = next;
  }
  return current;
}
