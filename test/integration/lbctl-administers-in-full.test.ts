import assert from 'node:assert/strict';
import { writeFile } from 'node:fs/promises';
import path from 'node:path';
import { type TestContext, test } from 'node:test';
import type { ServerUnaryCall, ServerWritableStream, sendUnaryData } from '@grpc/grpc-js';
import {
  ApplyConfigResponse,
  CloseConnectionsResponse,
  CloseMode,
  Difference_Kind,
  ExplainResponse,
  HealthState,
  ListAuditEntriesResponse,
  ListClientsResponse,
  ListTargetGroupsResponse,
  PlanConfigResponse,
  RevokeCertificateResponse,
  ServerMode,
  SetUpstreamServerResponse,
  UpdateClientResponse,
  UpdateTargetGroupResponse,
  WatchStatsResponse,
} from '../../src/gen/lb/admin/v1/admin.ts';
import { lbctl } from '../support/lbctl.ts';
import { type Handlers, startScriptedAdmin } from '../support/scripted-admin.ts';
import { temporaryFolder } from '../support/temp-dir.ts';

/** Answers each method with its message and keeps what was asked. */
async function start(t: TestContext, answers: Readonly<Record<string, object>>, streams: Handlers = {}) {
  const asked: Record<string, unknown>[] = [];
  const handlers = Object.entries(answers).map(([method, answer]) => [
    method,
    (call: ServerUnaryCall<Record<string, unknown>, object>, callback: sendUnaryData<object>) => {
      asked.push(call.request);
      callback(null, answer);
    },
  ]);
  const env = await startScriptedAdmin(t, { ...Object.fromEntries(handlers), ...streams });
  return { asked, run: (...args: readonly string[]) => lbctl(args, { env }) };
}

const SERVER = ['--target-group', 'web', '--server', 'a:1'];

test('a server is set: what is not given is not sent', async (t) => {
  const server = { address: 'a:1', weight: 5, maxConnections: 0, backup: false, mode: ServerMode.READY };
  const { asked, run } = await start(t, { setUpstreamServer: SetUpstreamServerResponse.fromPartial({ revision: 3n, server }) });
  const { stdout } = await run('set-upstream-server', ...SERVER, '--weight', '5', '--no-backup');
  assert.equal(stdout, 'a:1 of web: ready, weight 5 (revision 3)\n');
  assert.partialDeepStrictEqual(asked, [{ weight: 5, backup: false, maxConnections: undefined, mode: ServerMode.UNSPECIFIED }]);
});

const counts = (...actives: readonly bigint[]) => ({
  watchStats: (call: ServerWritableStream<unknown, WatchStatsResponse>) => {
    for (const active of actives) {
      call.write(WatchStatsResponse.fromPartial({ servers: [{ targetGroup: 'web', server: 'a:1', counters: { active } }] }));
    }
  },
});

test('a drain shows what is left until nothing is', async (t) => {
  const { asked, run } = await start(t, { setUpstreamServer: SetUpstreamServerResponse.fromPartial({ revision: 3n }) }, counts(2n, 1n, 0n));
  const { code, stdout } = await run('drain-upstream-server', ...SERVER);
  assert.equal(
    stdout,
    'a:1 of web takes no new connections (revision 3)\n2 connections left\n1 connection left\ndone: no connections left\n',
  );
  assert.equal(code, 0);
  assert.partialDeepStrictEqual(asked, [{ mode: ServerMode.DRAIN }]);
});

test('a drain that is not over at its deadline is exit code 1, and one without a wait asks nothing more', async (t) => {
  const { run } = await start(t, { setUpstreamServer: SetUpstreamServerResponse.fromPartial({ revision: 3n }) }, counts(2n));
  const late = await run('drain-upstream-server', ...SERVER, '--deadline', '0s');
  assert.match(
    late.stderr,
    /^lbctl: 2 connections left after 0s; the server goes on draining: wait again, or lbctl close-connections --server a:1\n$/,
  );
  assert.equal(late.code, 1);
  const quick = await run('drain-upstream-server', ...SERVER, '--no-wait');
  assert.deepEqual([quick.code, quick.stdout], [0, 'a:1 of web takes no new connections (revision 3)\n']);
});

test('an updated client sends what changes, and keeps of its limit what is not said', async (t) => {
  const limits = { connectionRate: { limit: 10, window: { seconds: 60n }, action: 'LIMIT_ACTION_CLOSE' as const } };
  const { asked, run } = await start(t, {
    listClients: ListClientsResponse.fromPartial({ revision: 7n, clients: [{ client: { clientId: 'c', limits } }] }),
    updateClient: UpdateClientResponse.fromPartial({ revision: 8n, connectionsClosed: 3n, waitingRefused: 1n }),
  });
  const { stdout } = await run('update-client', '--client', 'c', '--limit', '20', '--target-group', 'db', '--mode', 'drain');
  assert.equal(stdout, 'updated client c, 2 connections draining, 1 that waited refused (revision 8)\n');
  assert.partialDeepStrictEqual(asked.at(-1), {
    updateMask: ['allowed_target_groups', 'limits.connection_rate'],
    expectedRevision: 7n,
    mode: CloseMode.DRAIN,
    client: {
      allowedTargetGroups: ['db'],
      limits: { connectionRate: { limit: 20, burst: 0, window: { seconds: 60n, nanos: 0 }, action: 'LIMIT_ACTION_CLOSE' } },
    },
  });
  await run('update-client', '--client', 'c', '--no-limit', '--concurrent-connections', '0');
  assert.partialDeepStrictEqual(asked.at(-1), {
    updateMask: ['limits.connection_rate', 'limits.concurrent_connections'],
    client: { limits: { connectionRate: undefined, concurrentConnections: 0 } },
  });
});

test('an updated target group keeps of its check what is not said', async (t) => {
  const healthCheck = { type: 'CHECK_TYPE_HTTP' as const, healthyThreshold: 4, http: { path: '/up' } };
  const { asked, run } = await start(t, {
    listTargetGroups: ListTargetGroupsResponse.fromPartial({ revision: 7n, targetGroups: [{ name: 'web', healthCheck }] }),
    updateTargetGroup: UpdateTargetGroupResponse.fromPartial({ revision: 8n }),
  });
  assert.equal(
    (await run('update-target-group', '--name', 'web', '--health-interval', '2s')).stdout,
    'updated target group web (revision 8)\n',
  );
  assert.partialDeepStrictEqual(asked.at(-1), {
    updateMask: ['health_check'],
    expectedRevision: 7n,
    targetGroup: {
      healthCheck: { type: 'CHECK_TYPE_HTTP', healthyThreshold: 4, interval: { seconds: 2n, nanos: 0 }, http: { path: '/up' } },
    },
  });
});

const plan = {
  revision: 7n,
  differences: [{ kind: Difference_Kind.CHANGED, path: 'targetGroups/web/algorithm', before: '"random"', after: '"roundRobin"' }],
  blastRadius: { connectionsDraining: 3n, connectionsClosing: 1n, lostAccess: [{ clientId: 'c', targetGroup: 'web', connections: 1n }] },
};

test('a plan is read, applied, and is drift until then', async (t) => {
  const file = path.join(await temporaryFolder(t), 'config.yaml');
  await writeFile(file, 'targetGroups: []\n');
  const { asked, run } = await start(t, {
    planConfig: PlanConfigResponse.fromPartial(plan),
    applyConfig: ApplyConfigResponse.fromPartial({
      revision: 8n,
      differences: plan.differences,
      connectionsClosed: 1n,
      connectionsDraining: 3n,
    }),
  });
  const planned = await run('plan', '-f', file);
  assert.equal(planned.code, 0);
  assert.equal(
    planned.stdout,
    '1 change to revision 7:\n~ targetGroups/web/algorithm  random -> roundRobin\n\nBlast radius: 1 connection would close, 3 connections to removed servers or listeners go on until they end\n  c loses web (1 live connection)\n',
  );
  const drifted = await run('drift', '-f', file);
  assert.equal(drifted.code, 1);
  assert.match(drifted.stdout, /^~ targetGroups\/web\/algorithm {2}random -> roundRobin\n$/);
  const applied = await run('apply', '-f', file, '--expected-revision', '7');
  assert.match(
    applied.stdout,
    /\n\napplied 1 change, 1 connection closed, 3 connections to removed servers or listeners go on until they end \(revision 8\)\n$/,
  );
  assert.partialDeepStrictEqual(asked.at(-1), { config: 'targetGroups: []\n', expectedRevision: 7n });
});

test('no difference is no drift', async (t) => {
  const { run } = await start(t, { planConfig: PlanConfigResponse.fromPartial({ revision: 7n }) });
  assert.deepEqual(await run('drift', '-f', '-'), { code: 0, stdout: 'no drift (revision 7)\n', stderr: '' });
});

test('explain tells each step and each server, and a refusal is an answer', async (t) => {
  const steps = [
    { name: 'client', passed: true, detail: 'clientA, by its common name' },
    { name: 'server', passed: false, detail: 'none is usable' },
  ];
  const candidates = [{ server: 'a:1', usable: false, why: 'unhealthy', health: HealthState.UNHEALTHY, weight: 1 }];
  const { asked, run } = await start(t, {
    explain: ExplainResponse.fromPartial({ revision: 7n, reason: 'no_healthy_upstream', clientId: 'clientA', steps, candidates }),
  });
  const { code, stdout } = await run('explain', '--cn', 'clientA', '--dns', 'a.example', '--sni', 'db');
  assert.equal(code, 0);
  assert.match(stdout, /^✓ client {2}clientA, by its common name\n✗ server {2}none is usable\n\n/);
  assert.match(stdout, /^ +a:1 +unhealthy +no +0 +1 +unhealthy$/m);
  assert.match(stdout, /\n\nclientA would be refused: no_healthy_upstream \(revision 7\)\n$/);
  assert.partialDeepStrictEqual(asked, [{ sni: 'db', who: { $case: 'identity', value: { cn: 'clientA', dns: ['a.example'] } } }]);
});

test('revoking, closing and the audit trail', async (t) => {
  const entry = {
    actor: 'ann',
    from: '127.0.0.1:5',
    method: 'AddClient',
    result: 'ABORTED',
    message: 'moved on',
    revisionBefore: 4n,
    revisionAfter: 4n,
  };
  const { asked, run } = await start(t, {
    revokeCertificate: RevokeCertificateResponse.fromPartial({ revision: 8n, connectionsClosed: 1n }),
    closeConnections: CloseConnectionsResponse.fromPartial({ connectionsClosed: 2n }),
    listAuditEntries: ListAuditEntriesResponse.fromPartial({ entries: [{ ...entry, at: new Date(0) }] }),
  });
  assert.equal(
    (await run('revoke', '--fingerprint', 'aa:bb', '--comment', 'stolen')).stdout,
    'revoked, 1 connection closed (revision 8)\n',
  );
  assert.equal((await run('close-connections', '--client', 'c')).stdout, '2 connections closed\n');
  const audit = await run('audit', '--since', '2030-01-31T12:00:00Z', '--limit', '5');
  assert.match(audit.stdout, /^1970-01-01T00:00:00\.000Z +ann +127\.0\.0\.1:5 +AddClient +ABORTED: moved on +4 +-$/m);
  assert.partialDeepStrictEqual(asked, [
    { comment: 'stolen', certificateId: { $case: 'fingerprint', value: 'aa:bb' } },
    { filter: { clientId: 'c', server: '' } },
    { since: new Date('2030-01-31T12:00:00Z'), until: undefined, pageSize: 5 },
  ]);
  assert.equal(JSON.parse((await run('audit', '-o', 'json')).stdout).entries[0].from, '127.0.0.1:5');
});

test('a list is read to its last page', async (t) => {
  const pagesAsked: string[] = [];
  const { run } = await start(
    t,
    {},
    {
      listClients: (
        call: ServerUnaryCall<{ readonly pageToken: string }, ListClientsResponse>,
        callback: sendUnaryData<ListClientsResponse>,
      ) => {
        const { pageToken } = call.request;
        pagesAsked.push(pageToken);
        const clients = [{ client: { clientId: `after-${pageToken}` } }];
        callback(null, ListClientsResponse.fromPartial({ clients, nextPageToken: { '': 'x', x: 'y' }[pageToken] ?? '', revision: 4n }));
      },
    },
  );
  const { clients, revision } = JSON.parse((await run('list-clients', '-o', 'json')).stdout);
  assert.deepEqual(
    clients.map(({ client }: { readonly client: { readonly clientId: string } }) => client.clientId),
    ['after-', 'after-x', 'after-y'],
  );
  assert.equal(revision, 4);
  assert.deepEqual(pagesAsked, ['', 'x', 'y']);
});

test('names for completion come from the server, or nothing does', async (t) => {
  const clients = ['b', 'a', 'not safe; rm -rf'].map((clientId) => ({ client: { clientId } }));
  const { run } = await start(t, { listClients: ListClientsResponse.fromPartial({ clients }) });
  assert.deepEqual(await run('__complete', 'clients', '--', 'remove-client', '--client'), { code: 0, stdout: 'a\nb\n', stderr: '' });
  assert.deepEqual(await run('__complete', 'clients', '--', '--addr', '127.0.0.1:1'), { code: 0, stdout: '', stderr: '' });
  assert.deepEqual(await run('__complete', 'groups', '--'), { code: 0, stdout: '', stderr: '' });
});
