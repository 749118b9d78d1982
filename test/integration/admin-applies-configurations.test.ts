import assert from 'node:assert/strict';
import path from 'node:path';
import { describe, test } from 'node:test';
import { status as Code } from '@grpc/grpc-js';
import { summaryOf } from '../../src/admin/revision-summary.ts';
import type { ConnectionFacts } from '../../src/controlplane/connection-list.ts';
import { SqliteStore } from '../../src/controlplane/store/sqlite.ts';
import * as proto from '../../src/gen/lb/admin/v1/admin.ts';
import { AdminServiceService as Admin, CloseMode, Difference_Kind as Kind } from '../../src/gen/lb/admin/v1/admin.ts';
import { ask, refused, startAdmin } from '../support/admin-server.ts';
import { sampleClient } from '../support/sample-state.ts';
import { temporaryFolder } from '../support/temp-dir.ts';

const NOW = { mode: CloseMode.UNSPECIFIED, deadline: undefined, expectedRevision: 0n, requestId: '' };
const HEAD = `
listeners: [{ name: main, address: "127.0.0.1:8080" }]
tlsParams: { certificate: lb.crt, privateKey: lb.key, caCert: ca.pem }
store: { kind: memory }
workers: 2
`;
const ONE_GROUP = `${HEAD}
targetGroups: [{ name: web, upstreamServers: ["127.0.0.1:8081"] }]
clients: [{ clientId: clientB, allowedTargetGroup: web }]
`;

const connection = (number: number, clientId: string, group: string, server: string): ConnectionFacts => ({
  id: `0-${number}`,
  number,
  listener: 'main',
  remote: '127.0.0.1:1',
  via: '',
  clientId,
  identity: clientId,
  fingerprint: 'ff'.repeat(32),
  twins: [],
  group,
  server,
  openedAtMs: 0,
  waiting: undefined,
  bytesFromClient: 0,
  bytesToClient: 0,
});

describe('PlanConfig', () => {
  test('tells what would change, whom it would touch and what needs a restart, and changes nothing', async (t) => {
    const admin = await startAdmin(t);
    const viewer = await admin.as('viewer');
    admin.live = [connection(1, 'clientA', 'web', '127.0.0.1:8082'), connection(2, 'clientA', 'web', '127.0.0.1:8081')];
    const before = admin.authority.snapshot;
    const plan = await ask(viewer, Admin.planConfig, { config: ONE_GROUP.replace('workers: 2', 'workers: 3') });
    assert.equal(plan.revision, 1n);
    assert.deepEqual(
      plan.differences.map(({ kind, path: at }) => [kind, at]),
      [
        [Kind.REMOVED, 'targetGroups/web/upstreamServers/127.0.0.1:8082'],
        [Kind.REMOVED, 'targetGroups/db'],
        [Kind.REMOVED, 'clients/clientA'],
        [Kind.ADDED, 'clients/clientB'],
      ],
    );
    assert.deepEqual(plan.blastRadius, {
      connectionsDraining: 0n,
      connectionsClosing: 2n,
      waitingRefused: 0n,
      lostAccess: [{ clientId: 'clientA', targetGroup: '', connections: 2n }],
      revoked: [],
    });
    assert.deepEqual(plan.needsRestart, ['workers changes']);
    assert.equal(admin.authority.snapshot, before);
  });

  test('says every problem of the text, each at its place', async (t) => {
    const admin = await startAdmin(t);
    const call = ask(await admin.as('viewer'), Admin.planConfig, { config: `${HEAD}targetGroups:\n  - name: web\n    wieght: 1\n` });
    const { code, reason, fields } = await refused(call);
    assert.deepEqual([code, reason], [Code.INVALID_ARGUMENT, 'INVALID_CONFIG']);
    assert.deepEqual(fields, ['config:7:5 targetGroups[0].upstreamServers', 'config:8:5 targetGroups[0].wieght']);
  });

  test('keeps within what a trailer can carry when thousands of lines are wrong', async (t) => {
    const admin = await startAdmin(t);
    const wrong = Array.from({ length: 3000 }, (_, index) => `  - { name: "g ${index}", upstreamServers: [] }`).join('\n');
    const { code, fields } = await refused(ask(await admin.as('viewer'), Admin.planConfig, { config: `${HEAD}targetGroups:\n${wrong}\n` }));
    assert.equal(code, Code.INVALID_ARGUMENT);
    assert.ok(fields.length > 5 && fields.at(-1) === 'and', String(fields.length));
  });
});

describe('ApplyConfig', () => {
  test('makes the configuration the state in one change, and ends what it takes away', async (t) => {
    const admin = await startAdmin(t);
    admin.onEnforce = () => 3;
    const client = await admin.as('admin');
    const { listeners } = admin.authority.snapshot;
    const plan = await ask(client, Admin.planConfig, { config: ONE_GROUP });
    const request = { ...NOW, config: ONE_GROUP, mode: CloseMode.DRAIN, deadline: { seconds: 7n, nanos: 0 }, expectedRevision: 1n };
    const applied = await ask(client, Admin.applyConfig, request);
    assert.deepEqual(applied, {
      revision: 2n,
      differences: plan.differences,
      connectionsClosed: 3n,
      waitingRefused: 0n,
      connectionsDraining: 0n,
      needsRestart: [],
      warnings: [],
      alreadyApplied: false,
    });
    assert.deepEqual(admin.enforced, [{ mode: 'drain', deadlineMs: 7000 }]);
    assert.deepEqual(admin.authority.snapshot.listeners, listeners);
    assert.deepEqual((await ask(client, Admin.planConfig, { config: ONE_GROUP })).differences, []);
    assert.equal((await refused(ask(client, Admin.applyConfig, request))).reason, 'REVISION_CONFLICT');
  });

  test('refuses what would lock its own author out', async (t) => {
    const admin = await startAdmin(t);
    // With roles of its own: without, the configuration itself would be at fault.
    const config = `${ONE_GROUP.replace('clientB', 'admin')}\nadmin: {roles: {viewer: [], operator: [], admin: []}}\n`;
    const call = ask(await admin.as('admin'), Admin.applyConfig, { ...NOW, config });
    assert.equal((await refused(call)).code, Code.FAILED_PRECONDITION);
    assert.equal(admin.authority.snapshot.revision, 1);
  });

  test('is planned again when the state changes under it, and gives up when it does so every time', async (t) => {
    const admin = await startAdmin(t);
    const client = await admin.as('admin');
    const change = (clientId: string) =>
      admin.authority.execute({ kind: 'addClient', client: sampleClient(clientId, ['web']) }, { actor: 'x' });
    let planned = 0;
    admin.onPlanned = () => (planned++ === 0 ? change('late') : undefined);
    const applied = await ask(client, Admin.applyConfig, { ...NOW, config: ONE_GROUP });
    assert.deepEqual([planned, applied.revision], [2, 3n]);
    assert.ok(applied.differences.some(({ kind, path: at }) => kind === Kind.REMOVED && at === 'clients/late'));
    assert.deepEqual([...admin.authority.snapshot.clients.keys()], ['clientB']);

    admin.onPlanned = () => change(`late-${planned++}`);
    const { code, reason } = await refused(ask(client, Admin.applyConfig, { ...NOW, config: ONE_GROUP }));
    assert.deepEqual([code, reason, planned], [Code.ABORTED, 'REVISION_CONFLICT', 7]);
    const guarded = { ...NOW, config: ONE_GROUP, expectedRevision: BigInt(admin.authority.snapshot.revision) };
    assert.equal((await refused(ask(client, Admin.applyConfig, guarded))).reason, 'REVISION_CONFLICT');
    assert.equal(planned, 8);
  });

  test('takes a request id once, across a restart, and for the same request only', async (t) => {
    const file = path.join(await temporaryFolder(t), 'lbd.state.db');
    const first = await SqliteStore.open(file);
    const request = { ...NOW, config: ONE_GROUP, requestId: 'deploy-1' };
    const before = await startAdmin(t, { store: first });
    const made = await ask(await before.as('admin'), Admin.applyConfig, request);
    await first.close();

    const store = await SqliteStore.open(file);
    t.after(() => store.close());
    const admin = await startAdmin(t, { store });
    const client = await admin.as('admin');
    const { revision } = admin.authority.snapshot;
    const again = await ask(client, Admin.applyConfig, request);
    assert.deepEqual([made.alreadyApplied, again.alreadyApplied, again.revision, again.differences], [false, true, made.revision, []]);
    const other = await refused(ask(client, Admin.applyConfig, { ...request, config: HEAD }));
    assert.deepEqual([other.code, other.reason], [Code.FAILED_PRECONDITION, 'REQUEST_ID_REUSED']);
    const otherMethod = { ...NOW, toRevision: 1n, requestId: 'deploy-1' };
    assert.equal((await refused(ask(client, Admin.rollbackConfig, otherMethod))).reason, 'REQUEST_ID_REUSED');
    assert.equal(admin.authority.snapshot.revision, revision);
  });
});

describe('what changes nothing', () => {
  test('makes no revision, says so, is in the audit trail, and its request id stays that of a call that changed nothing', async (t) => {
    const file = path.join(await temporaryFolder(t), 'lbd.state.db');
    const store = await SqliteStore.open(file);
    t.after(() => store.close());
    const admin = await startAdmin(t, { store });
    const client = await admin.as('admin');
    const { config } = await ask(client, Admin.exportConfig, {});
    const request = { ...NOW, config, requestId: 'timer', expectedRevision: 1n };
    const applied = await ask(client, Admin.applyConfig, request);
    assert.deepEqual([applied.revision, applied.differences, applied.alreadyApplied], [1n, [], false]);
    const same = {
      targetGroup: 'web',
      server: '127.0.0.1:8081',
      weight: 1,
      maxConnections: 0,
      backup: false,
      mode: proto.ServerMode.READY,
    };
    const server = await ask(client, Admin.setUpstreamServer, proto.SetUpstreamServerRequest.fromPartial(same));
    assert.deepEqual([server.revision, server.nothingToChange, server.server?.address], [1n, true, '127.0.0.1:8081']);
    const group = proto.UpdateTargetGroupRequest.fromPartial({ targetGroup: { name: 'web', retries: 3 } });
    const updated = await ask(client, Admin.updateTargetGroup, group);
    assert.deepEqual([updated.revision, updated.nothingToChange], [1n, true]);
    assert.equal((await ask(client, Admin.listRevisions, { pageSize: 0, pageToken: '' })).revisions.length, 1);
    const { entries } = await ask(client, Admin.listAuditEntries, proto.ListAuditEntriesRequest.create());
    assert.deepEqual(
      entries.map(({ method, result, message, revisionAfter }) => [method, result, message, revisionAfter]),
      ['UpdateTargetGroup', 'SetUpstreamServer', 'ApplyConfig'].map((method) => [method, 'OK', 'nothing to change', 1n]),
    );

    await admin.authority.execute({ kind: 'removeClient', clientId: 'clientA' }, { actor: 'x' });
    const again = await ask(client, Admin.applyConfig, request);
    assert.deepEqual([again.revision, again.alreadyApplied], [1n, true]);
    assert.equal(admin.authority.snapshot.clients.size, 0, 'the repeated request changed nothing');
    const other = await refused(ask(client, Admin.applyConfig, { ...request, config: HEAD }));
    assert.equal(other.reason, 'REQUEST_ID_REUSED');
    const stale = { ...request, requestId: '' };
    assert.equal((await refused(ask(client, Admin.applyConfig, stale))).reason, 'REVISION_CONFLICT');
  });
});

describe('RollbackConfig', () => {
  test('brings an earlier state back as a new change, and no revoked certificate with it', async (t) => {
    const startMs = Date.now();
    const admin = await startAdmin(t);
    const client = await admin.as('admin');
    const { targetGroups, clients } = admin.authority.snapshot;
    await ask(client, Admin.applyConfig, { ...NOW, config: `${ONE_GROUP}revokedCertificates: [{ fingerprint: "${'ab'.repeat(32)}" }]\n` });
    const back = await ask(client, Admin.rollbackConfig, { ...NOW, toRevision: 1n });
    assert.equal(back.revision, 3n);
    const { revisions } = await ask(client, Admin.listRevisions, { pageSize: 2, pageToken: '' });
    assert.deepEqual(
      revisions.map(({ summary }) => summary.replace(/:.*/, '')),
      ['roll back to revision 1', 'take in a configuration'],
    );
    assert.ok(back.differences.some(({ kind, path: at }) => kind === Kind.ADDED && at === 'clients/clientA'));
    const { snapshot } = admin.authority;
    assert.deepEqual([snapshot.targetGroups, snapshot.clients], [targetGroups, clients]);
    assert.deepEqual([...snapshot.revocations.keys()], ['ab'.repeat(32)]);
    const since = snapshot.revocations.get('ab'.repeat(32))?.atMs ?? 0;
    assert.ok(since >= startMs && since <= Date.now(), 'a file that does not say when revokes from its change on');
    for (const toRevision of [0n, 9n]) {
      const none = await refused(ask(client, Admin.rollbackConfig, { ...NOW, toRevision }));
      assert.deepEqual([none.code, none.reason], [Code.NOT_FOUND, 'REVISION_NOT_FOUND']);
    }
  });
});

describe('ListRevisions', () => {
  test('tells who made which change, newest first, page by page', async (t) => {
    const admin = await startAdmin(t);
    const client = await admin.as('admin');
    await ask(client, Admin.applyConfig, { ...NOW, config: ONE_GROUP, requestId: 'r' });
    await ask(client, Admin.removeClient, { ...NOW, clientId: 'clientB' });
    const first = await ask(client, Admin.listRevisions, { pageSize: 2, pageToken: '' });
    assert.deepEqual(
      first.revisions.map(({ revision, actor, summary, requestId }) => [revision, actor, summary, requestId]),
      [
        [3n, 'admin', 'remove client clientB', ''],
        [2n, 'admin', 'take in a configuration: 1 target group, 1 server, 1 client', 'r'],
      ],
    );
    await ask(client, Admin.removeTargetGroup, { ...NOW, name: 'web' });
    const rest = await ask(client, Admin.listRevisions, { pageSize: 2, pageToken: first.nextPageToken });
    assert.deepEqual([rest.revisions.map(({ revision, actor }) => [revision, actor]), rest.nextPageToken], [[[1n, 'bootstrap']], '']);
  });
});

describe('what an update made different', () => {
  const client = { clientId: 'clientA', allowedTargetGroups: ['web', 'db'], limits: { concurrentConnections: 7 } };
  const settings = { targetGroup: 'web', server: '127.0.0.1:8081' };

  test('is told field by field, with the value before, wherever the page begins', async (t) => {
    const admin = await startAdmin(t);
    const caller = await admin.as('admin');
    const set = (change: object) =>
      ask(caller, Admin.setUpstreamServer, proto.SetUpstreamServerRequest.fromPartial({ ...settings, ...change }));
    await set({ maxConnections: 5 });
    await set({ maxConnections: 9, weight: 3, backup: true });
    await ask(caller, Admin.updateClient, proto.UpdateClientRequest.fromPartial({ client }));
    await ask(caller, Admin.removeTargetGroup, { ...NOW, name: 'db' }).catch(() => undefined);
    const group = { name: 'web', retries: 0, healthCheck: { interval: { seconds: 1n, nanos: 0 } } };
    await ask(caller, Admin.updateTargetGroup, proto.UpdateTargetGroupRequest.fromPartial({ targetGroup: group }));
    const wanted = [
      /^update target group web: healthCheck\.interval \S+ -> 1s, retries \d+ -> 0$/,
      /^update client clientA: allowedTargetGroups \["web"\] -> \["web","db"\], limits\.concurrentConnections none -> 7$/,
      /^set upstream server 127\.0\.0\.1:8081 of web: weight 1 -> 3, maxConnections 5 -> 9, backup false -> true$/,
      /^set upstream server 127\.0\.0\.1:8081 of web: maxConnections none -> 5$/,
    ];
    for (const pageSize of [100, 2, 1]) {
      const told: string[] = [];
      let pageToken = '';
      do {
        const page = await ask(caller, Admin.listRevisions, { pageSize, pageToken });
        told.push(...page.revisions.map(({ summary }) => summary));
        pageToken = page.nextPageToken;
      } while (pageToken !== '');
      for (const [index, expected] of wanted.entries()) assert.match(told[index] ?? '', expected);
    }
  });

  test('is every value that it set, where the state before is not kept', () => {
    const server = { address: '10.0.0.1:80', weight: 2, maxConnections: 5, backup: false, mode: 'drain' } as const;
    assert.equal(
      summaryOf({ kind: 'setUpstreamServer', group: 'web', server }, undefined),
      'set upstream server 10.0.0.1:80 of web: weight 2, maxConnections 5, backup false, mode drain',
    );
  });
});

describe('ExportConfig', () => {
  test('gives a configuration without a difference to the state', async (t) => {
    const admin = await startAdmin(t);
    const viewer = await admin.as('viewer');
    const { config, revision } = await ask(viewer, Admin.exportConfig, {});
    assert.equal(revision, 1n);
    assert.deepEqual((await ask(viewer, Admin.planConfig, { config })).differences, []);
  });
});

describe('lists', () => {
  test('come in pages that stay put while entries come and go', async (t) => {
    const admin = await startAdmin(t);
    const client = await admin.as('admin');
    const all = { targetGroup: '', pageSize: 2, pageToken: '' };
    const first = await ask(client, Admin.listUpstreamServers, all);
    const names = ({ servers }: typeof first) => servers.map(({ targetGroup, server }) => `${targetGroup} ${server?.address}`);
    assert.deepEqual(names(first), ['db 127.0.0.1:8085', 'web 127.0.0.1:8081']);
    const gone = { group: 'web', address: '127.0.0.1:8081', kind: 'removeUpstreamServer' } as const;
    await admin.authority.execute(gone, { actor: 'test' });
    const rest = await ask(client, Admin.listUpstreamServers, { ...all, pageToken: first.nextPageToken });
    assert.deepEqual([names(rest), rest.nextPageToken], [['web 127.0.0.1:8082'], '']);
    const clients = await ask(client, Admin.listClients, { pageSize: 1, pageToken: '' });
    assert.deepEqual([clients.clients.length, clients.nextPageToken], [1, '']);
    assert.equal((await ask(client, Admin.listUpstreamServers, { ...all, pageSize: 0 })).servers.length, 2);
  });

  test('refuse a page token that is not theirs', async (t) => {
    const admin = await startAdmin(t);
    const client = await admin.as('admin');
    const { nextPageToken } = await ask(client, Admin.listUpstreamServers, { targetGroup: '', pageSize: 1, pageToken: '' });
    for (const pageToken of ['nonsense', '!', nextPageToken, `${nextPageToken}x`]) {
      for (const call of [
        ask(client, Admin.listClients, { pageSize: 1, pageToken }),
        ask(client, Admin.listRevisions, { pageSize: 1, pageToken }),
        ask(client, Admin.listAuditEntries, { since: undefined, until: undefined, actor: '', method: '', pageSize: 1, pageToken }),
      ]) {
        const { code, fields } = await refused(call);
        assert.deepEqual([code, fields], [Code.INVALID_ARGUMENT, ['page_token']]);
      }
    }
  });
});
