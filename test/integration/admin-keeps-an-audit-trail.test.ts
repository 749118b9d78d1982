import assert from 'node:assert/strict';
import { X509Certificate } from 'node:crypto';
import path from 'node:path';
import { describe, test } from 'node:test';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { status as Code } from '@grpc/grpc-js';
import { MemoryStore } from '../../src/controlplane/store/memory.ts';
import { SqliteStore } from '../../src/controlplane/store/sqlite.ts';
import { type AuditRecord, StoreUnavailableError } from '../../src/controlplane/store/store.ts';
import {
  AdminServiceService as Admin,
  type AdminServiceClient,
  CloseMode,
  type ListAuditEntriesRequest,
  ListTargetGroupsRequest,
  RemoveUpstreamServerRequest,
  RevokeCertificateRequest,
  WatchHealthRequest,
} from '../../src/gen/lb/admin/v1/admin.ts';
import { ask, refused, startAdmin, watch } from '../support/admin-server.ts';
import { temporaryFolder } from '../support/temp-dir.ts';

const NOW = { mode: CloseMode.UNSPECIFIED, deadline: undefined, expectedRevision: 0n, requestId: '' };

async function entries(client: AdminServiceClient, query: Partial<ListAuditEntriesRequest> = {}) {
  const everything = { since: undefined, until: undefined, actor: '', method: '', pageSize: 0, pageToken: '' };
  return (await ask(client, Admin.listAuditEntries, { ...everything, ...query })).entries;
}

describe('the audit trail', () => {
  test('tells who did or tried what, from where, and what came of it', async (t) => {
    const admin = await startAdmin(t);
    const [boss, operator] = [await admin.as('admin'), await admin.as('operator')];
    await ask(boss, Admin.removeClient, { ...NOW, clientId: 'clientA', requestId: 'once' });
    await ask(boss, Admin.removeClient, { ...NOW, clientId: 'clientA', requestId: 'once' });
    await refused(ask(boss, Admin.removeClient, { ...NOW, clientId: 'nobody' }));
    await refused(ask(boss, Admin.removeTargetGroup, { name: 'web', expectedRevision: 9n, requestId: '' }));
    await refused(ask(operator, Admin.removeTargetGroup, { name: 'web', expectedRevision: 0n, requestId: '' }));
    await ask(operator, Admin.setLogLevel, { level: 'warn' });
    const told = await entries(boss);
    assert.deepEqual(
      told.map((entry) => [entry.actor, entry.method, entry.request, entry.result, entry.revisionBefore, entry.revisionAfter]),
      [
        ['operator', 'SetLogLevel', '{"level":"warn"}', 'OK', 2n, 2n],
        ['operator', 'RemoveTargetGroup', '{"name":"web"}', 'PERMISSION_DENIED', 2n, 2n],
        ['admin', 'RemoveTargetGroup', '{"name":"web","expectedRevision":"9"}', 'ABORTED', 2n, 2n],
        ['admin', 'RemoveClient', '{"clientId":"nobody"}', 'NOT_FOUND', 2n, 2n],
        ['admin', 'RemoveClient', '{"clientId":"clientA","requestId":"once"}', 'OK', 2n, 2n],
        ['admin', 'RemoveClient', '{"clientId":"clientA","requestId":"once"}', 'OK', 1n, 2n],
      ],
    );
    assert.deepEqual(
      told.map(({ message }) => message),
      [
        '',
        'certificate "operator" has the role operator and RemoveTargetGroup needs admin; change it under admin.roles',
        'the state is at revision 2, not 9; read it again and decide anew',
        'there is no client "nobody"',
        'a repeated request',
        '',
      ],
    );
    const { certPem } = await admin.certificate('admin');
    const [last] = told.slice(-1);
    assert.equal(last?.fingerprint, new X509Certificate(certPem).fingerprint256.replaceAll(':', '').toLowerCase());
    assert.match(last?.from ?? '', /^127\.0\.0\.1:\d+$/);
  });

  test('is found by actor, method and time, page by page', async (t) => {
    const admin = await startAdmin(t);
    const boss = await admin.as('admin');
    for (const level of ['warn', 'error', 'info']) await ask(boss, Admin.setLogLevel, { level });
    await ask(await admin.as('operator'), Admin.setLogLevel, { level: 'warn' });
    await ask(boss, Admin.removeClient, { ...NOW, clientId: 'clientA' });
    assert.equal((await entries(boss, { actor: 'operator' })).length, 1);
    for (const method of ['SetLogLevel', 'lb.admin.v1.AdminService/SetLogLevel', '/lb.admin.v1.AdminService.SetLogLevel'])
      assert.equal((await entries(boss, { method, actor: 'admin' })).length, 3, method);
    const all = await entries(boss);
    assert.equal((await entries(boss, { since: all[0]?.at })).length >= 1, true);
    assert.equal((await entries(boss, { until: all.at(-1)?.at })).length, 0);
    const seen: bigint[] = [];
    let pageToken = '';
    do {
      const query = { since: undefined, until: undefined, actor: '', method: '', pageSize: 2, pageToken };
      const page = await ask(boss, Admin.listAuditEntries, query);
      seen.push(...page.entries.map(({ id }) => id));
      pageToken = page.nextPageToken;
    } while (pageToken !== '');
    assert.deepEqual(seen, [5n, 4n, 3n, 2n, 1n]);
  });

  test('is read by the role admin alone', async (t) => {
    const admin = await startAdmin(t);
    for (const role of ['viewer', 'operator']) assert.equal((await refused(entries(await admin.as(role)))).code, Code.PERMISSION_DENIED);
  });

  test('knows no method of another name', async (t) => {
    const admin = await startAdmin(t);
    const { code, message } = await refused(entries(await admin.as('admin'), { method: 'addclient' }));
    assert.deepEqual([code, message], [Code.NOT_FOUND, 'there is no method "addclient"; did you mean AddClient?']);
  });

  test('tells of refused reads too, whoever made them: with the request of those who have some role', async (t) => {
    const admin = await startAdmin(t);
    const boss = await admin.as('admin');
    await refused(entries(await admin.as('viewer'), { actor: 'admin' }));
    const removal = RemoveUpstreamServerRequest.fromPartial({ targetGroup: 'web', server: '127.0.0.1:8081' });
    await watch(await admin.as('viewer'), Admin.removeUpstreamServer, removal).ended();
    await refused(ask(await admin.as('clientA'), Admin.listTargetGroups, ListTargetGroupsRequest.create()));
    await watch(await admin.as('stranger'), Admin.watchHealth, WatchHealthRequest.create()).ended();
    const operator = await admin.as('operator');
    const certificateId = { $case: 'certificate', value: (await admin.certificate('operator')).certPem } as const;
    await ask(boss, Admin.revokeCertificate, RevokeCertificateRequest.fromPartial({ certificateId }));
    await refused(ask(operator, Admin.getLogLevel, {}));
    const told = await entries(boss);
    const fingerprint = new X509Certificate(certificateId.value).fingerprint256.replaceAll(':', '').toLowerCase();
    assert.deepEqual(
      told.map(({ actor, method, request, result }) => [actor, method, request, result]),
      [
        ['operator', 'GetLogLevel', '', 'PERMISSION_DENIED'],
        ['admin', 'RevokeCertificate', `{"certificate":"[certificate ${fingerprint} CN=operator]"}`, 'OK'],
        ['stranger', 'WatchHealth', '', 'PERMISSION_DENIED'],
        ['clientA', 'ListTargetGroups', '', 'PERMISSION_DENIED'],
        ['viewer', 'RemoveUpstreamServer', '{"targetGroup":"web","server":"127.0.0.1:8081"}', 'PERMISSION_DENIED'],
        ['viewer', 'ListAuditEntries', '{"actor":"admin"}', 'PERMISSION_DENIED'],
      ],
    );
    for (const { fingerprint, from, message } of told.filter(({ result }) => result !== 'OK')) {
      assert.match(fingerprint, /^[\da-f]{64}$/);
      assert.match(from, /^127\.0\.0\.1:\d+$/);
      assert.match(message, /certificate "/);
    }
  });

  test('counts the same refusal instead of filling up with it, and tells the number at the end at the latest', async (t) => {
    const admin = await startAdmin(t);
    const boss = await admin.as('admin');
    const client = await admin.as('clientA');
    for (let call = 0; call < 20; call++) await refused(ask(client, Admin.getLogLevel, {}));
    for (let call = 0; call < 3; call++) await refused(ask(boss, Admin.removeClient, { ...NOW, clientId: 'nobody' }));
    assert.deepEqual(
      (await entries(boss)).map(({ actor, method }) => [actor, method]),
      [
        ['admin', 'RemoveClient'],
        ['clientA', 'GetLogLevel'],
      ],
    );
    assert.equal(admin.lines.filter(({ msg }) => msg === 'admin call refused').length, 2, 'nor is the log');
    admin.server.drain();
    const sums = (await entries(boss)).filter(({ message }) => message.includes('more since'));
    assert.equal(sums.length, 2);
    const told = sums.map(({ actor, message }) => `${actor}: ${message}`);
    assert.match(told.find((line) => line.startsWith('clientA')) ?? '', / is a load-balanced client's .* \(and 19 more since \d{4}-/);
    assert.match(told.find((line) => line.startsWith('admin')) ?? '', /there is no client "nobody" \(and 2 more since /);
  });

  test('keeps a long request short and no private key', async (t) => {
    const admin = await startAdmin(t);
    const boss = await admin.as('admin');
    const key = '-----BEGIN PRIVATE KEY-----\nc2VjcmV0\n-----END PRIVATE KEY-----';
    await refused(ask(boss, Admin.applyConfig, { ...NOW, config: key }));
    await refused(ask(boss, Admin.setLogLevel, { level: 'é'.repeat(5000) }));
    const names = Array.from({ length: 500 }, (_, index) => `group-${index}`);
    const client = { clientId: 'x', match: undefined, allowedTargetGroups: names, limits: undefined };
    await refused(ask(boss, Admin.addClient, { client, expectedRevision: 0n, requestId: '' }));
    const told = await entries(boss);
    assert.equal(told.length, 3);
    for (const { request } of told) {
      assert.ok(Buffer.byteLength(request) <= 2048 && !request.includes('c2VjcmV0'), request);
    }
  });

  test('survives a restart', async (t) => {
    const file = path.join(await temporaryFolder(t), 'lbd.state.db');
    const first = await SqliteStore.open(file);
    const before = await startAdmin(t, { store: first });
    const boss = await before.as('admin');
    await ask(boss, Admin.removeClient, { ...NOW, clientId: 'clientA' });
    await refused(ask(boss, Admin.removeClient, { ...NOW, clientId: 'clientA' }));
    const told = await entries(boss);
    assert.equal(told.length, 2);
    await first.close();
    const store = await SqliteStore.open(file);
    t.after(() => store.close());
    assert.deepEqual(await entries(await (await startAdmin(t, { store })).as('admin')), told);
  });

  test('is in the order of time, page by page, when the disk was full for a while', async (t) => {
    const disk = { isFull: false };
    class FullForAWhile extends MemoryStore {
      override async recordAudit(records: readonly AuditRecord[]): Promise<void> {
        if (disk.isFull) throw new StoreUnavailableError('there is no room left');
        await super.recordAudit(records);
      }
    }
    const admin = await startAdmin(t, { store: new FullForAWhile() });
    const boss = await admin.as('admin');
    await ask(boss, Admin.setLogLevel, { level: 'info' });
    disk.isFull = true;
    for (const clientId of ['nobody', 'no one']) await refused(ask(boss, Admin.removeClient, { ...NOW, clientId }));
    const refusedAtMs = Date.now();
    while (Date.now() === refusedAtMs) await nextTurn();
    // A change brings its own entry; those that wait follow with the next one.
    await ask(boss, Admin.removeClient, { ...NOW, clientId: 'clientA' });
    disk.isFull = false;
    await ask(boss, Admin.setLogLevel, { level: 'warn' });
    const told: string[] = [];
    for (let pageToken = ''; ; ) {
      const query = { since: undefined, until: undefined, actor: '', method: '', pageSize: 2, pageToken };
      const page = await ask(boss, Admin.listAuditEntries, query);
      told.push(...page.entries.map(({ method, result }) => `${method} ${result}`));
      pageToken = page.nextPageToken;
      if (pageToken === '') break;
    }
    const late = ['RemoveClient NOT_FOUND', 'RemoveClient NOT_FOUND'];
    assert.deepEqual(told, ['SetLogLevel OK', 'RemoveClient OK', ...late, 'SetLogLevel OK']);
  });

  test('that cannot be written changes no answer, and the log says so', async (t) => {
    class NoAudit extends MemoryStore {
      override async recordAudit(): Promise<void> {
        throw new StoreUnavailableError('there is no room left');
      }
    }
    const admin = await startAdmin(t, { store: new NoAudit() });
    const boss = await admin.as('admin');
    await ask(boss, Admin.setLogLevel, { level: 'info' });
    const { reason } = await refused(ask(boss, Admin.removeClient, { ...NOW, clientId: 'nobody' }));
    assert.equal(reason, 'CLIENT_NOT_FOUND');
    assert.equal(admin.lines.filter(({ msg }) => String(msg).startsWith('audit entries wait')).length, 2);
  });
});
