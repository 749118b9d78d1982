import assert from 'node:assert/strict';
import { test } from 'node:test';
import { isDeepStrictEqual } from 'node:util';
import { status as Code } from '@grpc/grpc-js';
import { targetGroupMessage } from '../../src/admin/convert-groups.ts';
import { DEFAULT_HEALTH_CHECK, NO_LIMITS } from '../../src/domain/defaults.ts';
import type { TargetGroup } from '../../src/domain/model.ts';
import {
  Algorithm,
  CloseMode,
  AdminServiceService as rpc,
  ServerMode,
  SetUpstreamServerRequest,
  UpdateClientRequest,
  UpdateTargetGroupRequest,
} from '../../src/gen/lb/admin/v1/admin.ts';
import { ask, refused, startAdmin } from '../support/admin-server.ts';
import { sampleGroup } from '../support/sample-state.ts';

/** Of every field another value than the default. */
const EVERYTHING_ELSE: Omit<TargetGroup, 'name' | 'servers'> = {
  algorithm: 'sourceHash',
  healthCheck: { ...DEFAULT_HEALTH_CHECK, type: 'grpc', grpc: { service: 'shop.Cart', authority: undefined } },
  connectTimeoutMs: 1,
  retries: 0,
  onUnhealthy: 'close',
  slowStartMs: 1,
  panicThreshold: 1,
  outlierDetection: { consecutiveFailures: 0, baseEjectionMs: 1, maxEjectionMs: 2, maxEjectionPercent: 0 },
  queue: { maxLength: 1, timeoutMs: 1 },
  hashBalanceFactor: 0,
  agentCheck: { port: 1, intervalMs: 10, timeoutMs: 10 },
  rebalance: { perSecond: 1 },
  sendProxyProtocol: 'v1',
  upstreamTls: { ca: undefined, serverName: 'db', clientCertificate: undefined, insecureSkipVerify: true },
  resolveIntervalMs: 100,
};

const seconds = (count: number) => ({ seconds: BigInt(count), nanos: 0 });

test('without a mask what is set is changed and the rest stays; with one, what it names goes back to its default too', async (t) => {
  const admin = await startAdmin(t);
  const client = await admin.as('admin');
  const before = admin.authority.snapshot.targetGroups.get('web');
  const update = (request: Parameters<typeof UpdateTargetGroupRequest.fromPartial>[0]) =>
    ask(client, rpc.updateTargetGroup, UpdateTargetGroupRequest.fromPartial(request));

  assert.deepEqual(await update({ targetGroup: { name: 'web', algorithm: Algorithm.RANDOM, connectTimeout: seconds(2) } }), {
    revision: 2n,
    nothingToChange: false,
  });
  const changed = { ...before, algorithm: 'random', connectTimeoutMs: 2000 };
  assert.deepEqual(admin.authority.snapshot.targetGroups.get('web'), changed);

  await update({ targetGroup: { name: 'web', retries: 7, algorithm: Algorithm.ROUND_ROBIN }, updateMask: ['connect_timeout', 'retries'] });
  assert.deepEqual(admin.authority.snapshot.targetGroups.get('web'), { ...changed, connectTimeoutMs: 5000, retries: 7 });

  assert.deepEqual((await refused(update({ targetGroup: { name: 'web' }, updateMask: ['servers'] }))).fields, ['update_mask']);
  assert.deepEqual((await refused(update({ targetGroup: { name: 'web' } }))).fields, ['update_mask']);
  assert.equal((await refused(update({ targetGroup: { name: 'nope', retries: 1 } }))).code, Code.NOT_FOUND);
});

test('each field of a target group can be changed alone, and goes back to its default', async (t) => {
  const admin = await startAdmin(t);
  const client = await admin.as('admin');
  const full = targetGroupMessage(sampleGroup('web', ['127.0.0.1:1'], EVERYTHING_ELSE));
  const before = admin.authority.snapshot.targetGroups.get('web') ?? assert.fail();
  const { name, servers, ...fields } = full;
  assert.deepEqual([name, servers.length], ['web', 1]);
  const after = new Set<string>();
  for (const field of Object.keys(fields)) {
    const updateMask = [field.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`)];
    await ask(client, rpc.updateTargetGroup, UpdateTargetGroupRequest.fromPartial({ targetGroup: full, updateMask }));
    const changed = admin.authority.snapshot.targetGroups.get('web') ?? assert.fail();
    const keys = Object.keys(EVERYTHING_ELSE) as (keyof typeof EVERYTHING_ELSE)[]; // keys of a constant
    const differing = keys.filter((key) => !isDeepStrictEqual(changed[key], before[key]));
    assert.equal(differing.length, 1, `${field}: ${differing.join(', ')}`);
    for (const key of differing) assert.deepEqual(changed[key], EVERYTHING_ELSE[key]);
    after.add(differing.join());
    await ask(client, rpc.updateTargetGroup, UpdateTargetGroupRequest.fromPartial({ targetGroup: { name }, updateMask }));
    assert.deepEqual(admin.authority.snapshot.targetGroups.get('web'), before, `${field} goes back`);
  }
  assert.deepEqual([...after].sort(), Object.keys(EVERYTHING_ELSE).sort());
});

test('SetUpstreamServer changes what is given, answers with the server, and refuses to change nothing', async (t) => {
  const admin = await startAdmin(t);
  const client = await admin.as('operator');
  const set = (request: Parameters<typeof SetUpstreamServerRequest.fromPartial>[0]) =>
    ask(client, rpc.setUpstreamServer, SetUpstreamServerRequest.fromPartial({ targetGroup: 'web', server: '127.0.0.1:8081', ...request }));

  assert.deepEqual(await set({ weight: 0, maxConnections: 9 }), {
    revision: 2n,
    server: { address: '127.0.0.1:8081', weight: 0, maxConnections: 9, backup: false, mode: ServerMode.READY },
    nothingToChange: false,
  });
  assert.deepEqual((await set({ mode: ServerMode.DRAIN, maxConnections: 0, backup: true })).server, {
    address: '127.0.0.1:8081',
    weight: 0,
    maxConnections: 0,
    backup: true,
    mode: ServerMode.DRAIN,
  });
  assert.deepEqual((await refused(set({}))).fields, ['mode']);
  assert.deepEqual((await refused(set({ weight: 257 }))).fields, ['weight']);
  assert.equal((await refused(set({ server: '127.0.0.1:1', weight: 1 }))).reason, 'UPSTREAM_SERVER_NOT_FOUND');
});

test('a limit can be changed alone, and a client cannot become the certificate of who changes it', async (t) => {
  const admin = await startAdmin(t);
  const client = await admin.as('admin');
  const update = (request: Parameters<typeof UpdateClientRequest.fromPartial>[0]) =>
    ask(client, rpc.updateClient, UpdateClientRequest.fromPartial(request));
  const limits = () => admin.authority.snapshot.clients.get('clientA')?.limits;

  await update({ client: { clientId: 'clientA', limits: { concurrentConnections: 5 } } });
  await update({ client: { clientId: 'clientA', limits: { connectionRate: { limit: 3 } } } });
  assert.deepEqual([limits()?.concurrentConnections, limits()?.connectionRate?.limit], [5, 3]);
  await update({ client: { clientId: 'clientA' }, updateMask: ['limits.connection_rate'] });
  assert.deepEqual(limits(), { ...NO_LIMITS, concurrentConnections: 5 });

  const drain = { mode: CloseMode.DRAIN, deadline: seconds(3) };
  await update({ client: { clientId: 'clientA', allowedTargetGroups: ['db'] }, ...drain });
  assert.deepEqual(admin.enforced.at(-1), { mode: 'drain', deadlineMs: 3000 });
  assert.deepEqual(admin.authority.snapshot.clients.get('clientA')?.allowedTargetGroups, ['db']);

  const lockout = await refused(update({ client: { clientId: 'clientA', match: { cn: 'admin' } } }));
  assert.deepEqual([lockout.code, lockout.reason], [Code.FAILED_PRECONDITION, 'ADMIN_LOCKOUT']);
  assert.deepEqual((await refused(update({ client: { clientId: 'clientA' }, updateMask: ['client_id'] }))).fields, ['update_mask']);
  const early = { client: { clientId: 'clientA', allowedTargetGroups: ['db'] }, deadline: seconds(1) };
  assert.deepEqual((await refused(update(early))).fields, ['deadline']);
});
