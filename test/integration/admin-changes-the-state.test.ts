import assert from 'node:assert/strict';
import { test } from 'node:test';
import { status as Code } from '@grpc/grpc-js';
import { MemoryStore } from '../../src/controlplane/store/memory.ts';
import { StoreUnavailableError } from '../../src/controlplane/store/store.ts';
import { DEFAULT_GROUP, DEFAULT_SERVER } from '../../src/domain/defaults.ts';
import { assertInvariants } from '../../src/domain/state.ts';
import {
  AddClientRequest,
  AddTargetGroupRequest,
  AddUpstreamServerRequest,
  Algorithm,
  CheckType,
  LimitAction,
  OnUnhealthy,
  ProxyProtocolVersion,
  RateAlgorithm,
  RemoveClientRequest,
  RemoveTargetGroupRequest,
  AdminServiceService as rpc,
  ServerMode,
} from '../../src/gen/lb/admin/v1/admin.ts';
import { ask, refused, startAdmin, watch } from '../support/admin-server.ts';

const seconds = (count: number) => ({ seconds: BigInt(count), nanos: 0 });

test('a target group that says only its name and servers gets the defaults', async (t) => {
  const admin = await startAdmin(t);
  const client = await admin.as('admin');
  const request = AddTargetGroupRequest.fromPartial({
    targetGroup: { name: 'api', servers: [{ address: 'Localhost:9001' }, { address: '[::1]:9002' }] },
  });

  assert.deepEqual(await ask(client, rpc.addTargetGroup, request), { revision: 2n });

  assert.deepEqual(admin.authority.snapshot.targetGroups.get('api'), {
    ...DEFAULT_GROUP,
    name: 'api',
    servers: [
      { ...DEFAULT_SERVER, address: 'localhost:9001' },
      { ...DEFAULT_SERVER, address: '[::1]:9002' },
    ],
  });
  assert.deepEqual(admin.health.probed, ['api/localhost:9001', 'api/[::1]:9002'], 'it waited for the first probes');
  const { targetGroups } = await ask(client, rpc.listTargetGroups, { pageSize: 0, pageToken: '' });
  assert.deepEqual(
    targetGroups.map(({ name }) => name),
    ['api', 'db', 'web'],
  );
});

test('everything that a target group and a client can say arrives and is told again', async (t) => {
  const admin = await startAdmin(t);
  const client = await admin.as('admin');
  const targetGroup = {
    name: 'full',
    algorithm: Algorithm.WEIGHTED_ROUND_ROBIN,
    servers: [{ address: '127.0.0.1:1', weight: 0, maxConnections: 7, backup: true, mode: ServerMode.DRAIN }],
    healthCheck: {
      type: CheckType.HTTP,
      interval: { seconds: 1n, nanos: 500_000_000 },
      timeout: seconds(2),
      unhealthyThreshold: 4,
      healthyThreshold: 5,
      maxInterval: seconds(6),
      http: { path: '/ready?x=1', host: 'app.example', statusFrom: 200, statusTo: 204, body: 'OK' },
      grpc: undefined,
      sendExpect: undefined,
    },
    connectTimeout: seconds(9),
    retries: 0,
    onUnhealthy: OnUnhealthy.CLOSE,
    slowStart: seconds(30),
    panicThreshold: 40,
    outlierDetection: { consecutiveFailures: 0, baseEjectionTime: seconds(1), maxEjectionTime: seconds(2), maxEjectionPercent: 10 },
    queue: { maxLength: 11, timeout: seconds(12) },
    hashBalanceFactor: 0,
    agentCheck: { port: 9999, interval: seconds(7), timeout: seconds(8) },
    rebalance: { perSecond: 3 },
    sendProxyProtocol: ProxyProtocolVersion.V2,
    upstreamTls: { ca: '/ca.pem', serverName: 'db.internal', certificate: '/lb.crt', privateKey: '/lb.key', insecureSkipVerify: true },
    resolveInterval: seconds(60),
  };
  const newClient = {
    clientId: 'full',
    match: { cn: 'a', dns: 'b.example', uri: 'spiffe://c/d', ou: 'e', fingerprint: 'ab'.repeat(32), cidr: '10.0.0.0/8' },
    allowedTargetGroups: ['full', 'db'],
    limits: {
      connectionRate: {
        algorithm: RateAlgorithm.TOKEN_BUCKET,
        limit: 10,
        window: seconds(2),
        burst: 20,
        action: LimitAction.DELAY,
        maxDelay: seconds(3),
      },
      concurrentConnections: 100,
      bandwidth: { upload: 2048n, download: 10_000_000_000n },
      shadow: true,
    },
  };

  await ask(client, rpc.addTargetGroup, { targetGroup, expectedRevision: 0n, requestId: '' });
  await ask(client, rpc.addClient, { client: newClient, expectedRevision: 0n, requestId: '' });

  const state = await ask(client, rpc.getState, {});
  assert.deepEqual(
    state.targetGroups.find(({ name }) => name === 'full'),
    targetGroup,
  );
  assert.deepEqual(state.clients.find((each) => each.client?.clientId === 'full')?.client, newClient);
  assertInvariants(admin.authority.snapshot);
});

test('a new server is acknowledged after its first probe', async (t) => {
  const admin = await startAdmin(t);
  const operator = await admin.as('operator');
  const request = AddUpstreamServerRequest.fromPartial({ targetGroup: 'web', server: { address: '127.0.0.1:9001' } });
  const probe = Promise.withResolvers<void>();
  admin.health.firstProbes = probe.promise;
  let answered = false;
  const added = ask(operator, rpc.addUpstreamServer, request).then((response) => {
    answered = true;
    return response;
  });
  // The change is there before the probe has ended; a call on the same connection comes back in between.
  for (let calls = 0; calls < 1000 && !admin.health.probed.includes('web/127.0.0.1:9001'); calls++)
    await ask(operator, rpc.getLogLevel, {});
  assert.deepEqual(admin.health.probed, ['web/127.0.0.1:9001']);
  assert.equal(answered, false);
  probe.resolve();
  assert.equal((await added).revision, 2n);
});

test('removing a client resets its connections and says how many', async (t) => {
  const admin = await startAdmin(t);
  const client = await admin.as('admin');
  admin.onEnforce = () => 3;

  assert.deepEqual(await ask(client, rpc.removeClient, RemoveClientRequest.fromPartial({ clientId: 'clientA' })), {
    revision: 2n,
    connectionsClosed: 3n,
    waitingRefused: 0n,
  });
  assert.deepEqual(admin.enforced, [{ mode: 'reset', deadlineMs: 0 }]);
  assert.equal(admin.authority.snapshot.clients.has('clientA'), false);
});

test('a target group can be removed once nothing refers to it', async (t) => {
  const admin = await startAdmin(t);
  const client = await admin.as('admin');
  const remove = (name: string) => ask(client, rpc.removeTargetGroup, RemoveTargetGroupRequest.fromPartial({ name }));

  assert.deepEqual(await remove('db'), { revision: 2n });
  const refusal = await refused(remove('web'));
  assert.equal(refusal.code, Code.FAILED_PRECONDITION);
  assert.equal(refusal.reason, 'TARGET_GROUP_IN_USE');
  assert.match(refusal.message, /clientA/);
});

test('a request id makes its change once and is answered with the same revision', async (t) => {
  const admin = await startAdmin(t);
  const client = await admin.as('admin');
  const add = AddClientRequest.fromPartial({ client: { clientId: 'clientB', allowedTargetGroups: ['db'] }, requestId: 'once' });
  assert.deepEqual(await ask(client, rpc.addClient, add), { revision: 2n, warnings: [] });
  assert.deepEqual(await ask(client, rpc.addClient, add), { revision: 2n, warnings: [] });

  const remove = RemoveClientRequest.fromPartial({ clientId: 'clientB', requestId: 'away' });
  admin.onEnforce = () => 1;
  assert.equal((await ask(client, rpc.removeClient, remove)).revision, 3n);
  admin.onEnforce = () => 0;
  assert.deepEqual(await ask(client, rpc.removeClient, remove), { revision: 3n, connectionsClosed: 0n, waitingRefused: 0n });

  await ask(client, rpc.addClient, { ...add, requestId: 'again' });
  await ask(client, rpc.removeClient, remove);
  assert.deepEqual(admin.closed, [], 'what the state of now allows is for the data plane to say, also when the client is back');
  assert.equal(admin.authority.snapshot.revision, 4);
});

test('a change made on another revision than expected is refused', async (t) => {
  const admin = await startAdmin(t);
  const client = await admin.as('admin');
  const request = AddClientRequest.fromPartial({ client: { clientId: 'clientB', allowedTargetGroups: ['db'] }, expectedRevision: 7n });

  const refusal = await refused(ask(client, rpc.addClient, request));
  assert.equal(refusal.code, Code.ABORTED);
  assert.equal(refusal.reason, 'REVISION_CONFLICT');
  assert.match(refusal.message, /revision 1, not 7/);
  for (const expectedRevision of [2n ** 53n + 1n, 2n ** 64n - 1n]) {
    const { code, reason, message } = await refused(ask(client, rpc.addClient, { ...request, expectedRevision }));
    assert.deepEqual([code, reason], [Code.ABORTED, 'REVISION_CONFLICT']);
    assert.equal(message, `no state can be at revision ${expectedRevision}; read it again and decide anew`);
  }
  assert.equal(admin.authority.snapshot.revision, 1);
  assert.deepEqual(await ask(client, rpc.addClient, { ...request, expectedRevision: 1n }), { revision: 2n, warnings: [] });
});

test('each refusal names its code, its reason and the field at fault', async (t) => {
  const admin = await startAdmin(t);
  const client = await admin.as('admin');
  const group = (targetGroup: object) => ask(client, rpc.addTargetGroup, AddTargetGroupRequest.fromPartial({ targetGroup }));
  const server = (targetGroup: string, address: string) =>
    ask(client, rpc.addUpstreamServer, AddUpstreamServerRequest.fromPartial({ targetGroup, server: { address } }));
  const newClient = (fields: object) =>
    ask(client, rpc.addClient, AddClientRequest.fromPartial({ client: { clientId: 'x', allowedTargetGroups: ['web'], ...fields } }));

  const cases: readonly [string, () => Promise<unknown>, Code, string, string?, string?][] = [
    [
      'no group',
      () => ask(client, rpc.addTargetGroup, AddTargetGroupRequest.fromPartial({})),
      Code.INVALID_ARGUMENT,
      'INVALID_FIELD',
      'target_group',
    ],
    ['bad name', () => group({ name: 'a b' }), Code.INVALID_ARGUMENT, 'INVALID_FIELD', 'target_group.name'],
    [
      'bad address',
      () => group({ name: 'x', servers: [{ address: 'x' }] }),
      Code.INVALID_ARGUMENT,
      'INVALID_FIELD',
      'target_group.servers[0].address',
    ],
    ['group twice', () => group({ name: 'web' }), Code.ALREADY_EXISTS, 'TARGET_GROUP_ALREADY_EXISTS'],
    [
      'no server',
      () => ask(client, rpc.addUpstreamServer, AddUpstreamServerRequest.fromPartial({ targetGroup: 'web' })),
      Code.INVALID_ARGUMENT,
      'INVALID_FIELD',
      'server',
    ],
    ['malformed server', () => server('web', '127.0.0.1'), Code.INVALID_ARGUMENT, 'INVALID_FIELD', 'server.address'],
    ['unknown group', () => server('nope', '127.0.0.1:1'), Code.NOT_FOUND, 'TARGET_GROUP_NOT_FOUND'],
    ['server twice', () => server('web', '127.0.0.1:8081'), Code.ALREADY_EXISTS, 'UPSTREAM_SERVER_ALREADY_EXISTS'],
    ['client twice', () => newClient({ clientId: 'clientA' }), Code.ALREADY_EXISTS, 'CLIENT_ALREADY_EXISTS'],
    [
      'too much bandwidth',
      () => newClient({ limits: { bandwidth: { upload: 2n ** 64n - 1n } } }),
      Code.INVALID_ARGUMENT,
      'INVALID_FIELD',
      'client.limits.bandwidth.upload',
      '18446744073709551615 is more than 1099511627776',
    ],
    [
      'client without groups',
      () => newClient({ allowedTargetGroups: [] }),
      Code.INVALID_ARGUMENT,
      'INVALID_FIELD',
      'client.allowed_target_groups',
    ],
    ['client of unknown group', () => newClient({ allowedTargetGroups: ['nope'] }), Code.NOT_FOUND, 'TARGET_GROUP_NOT_FOUND'],
    [
      'limit 0',
      () => newClient({ limits: { connectionRate: {} } }),
      Code.INVALID_ARGUMENT,
      'INVALID_FIELD',
      'client.limits.connection_rate.limit',
    ],
    [
      'long request id',
      () => ask(client, rpc.removeClient, RemoveClientRequest.fromPartial({ clientId: 'clientA', requestId: 'x'.repeat(129) })),
      Code.INVALID_ARGUMENT,
      'INVALID_FIELD',
      'request_id',
    ],
    [
      'unknown client',
      () => ask(client, rpc.removeClient, RemoveClientRequest.fromPartial({ clientId: 'nope' })),
      Code.NOT_FOUND,
      'CLIENT_NOT_FOUND',
    ],
    [
      'unknown group to remove',
      () => ask(client, rpc.removeTargetGroup, RemoveTargetGroupRequest.fromPartial({ name: 'nope' })),
      Code.NOT_FOUND,
      'TARGET_GROUP_NOT_FOUND',
    ],
  ];
  for (const [name, call, code, reason, field, message] of cases) {
    const refusal = await refused(call());
    assert.equal(refusal.code, code, name);
    assert.equal(refusal.reason, reason, name);
    assert.equal(refusal.domain, 'portcullis', name);
    assert.deepEqual(refusal.fields, field === undefined ? [] : [field], name);
    if (message !== undefined) assert.equal(refusal.message, message);
  }
  assert.equal(admin.authority.snapshot.revision, 1, 'nothing has changed');
});

test('a request of more than 16 MiB is refused before it is read', async (t) => {
  const client = await (await startAdmin(t)).as('admin');
  const name = 'x'.repeat(16 * 1024 * 1024);
  const removal = ask(client, rpc.removeTargetGroup, RemoveTargetGroupRequest.fromPartial({ name }));
  await assert.rejects(removal, { code: Code.RESOURCE_EXHAUSTED });
});

test('what a caller sends cannot break the error that quotes it', async (t) => {
  const admin = await startAdmin(t);
  const client = await admin.as('admin');
  const name = `\u001b[31m\n${'é'.repeat(100_000)}`;
  const refusal = await refused(ask(client, rpc.removeTargetGroup, RemoveTargetGroupRequest.fromPartial({ name })));
  assert.equal(refusal.code, Code.NOT_FOUND);
  assert.ok(refusal.message.length <= 500);
  assert.doesNotMatch(refusal.message, /\p{C}/u);
});

test('a store that cannot keep a change refuses it, and a defect tells nothing outside', async (t) => {
  class FailingStore extends MemoryStore {
    failure: Error | undefined;
    override async compareAndSet(...change: Parameters<MemoryStore['compareAndSet']>): Promise<void> {
      if (this.failure !== undefined) throw this.failure;
      await super.compareAndSet(...change);
    }
  }
  const store = new FailingStore();
  const admin = await startAdmin(t, { store });
  const client = await admin.as('admin');
  const remove = () => refused(ask(client, rpc.removeClient, RemoveClientRequest.fromPartial({ clientId: 'clientA' })));

  store.failure = new StoreUnavailableError('the disk is full');
  const full = await remove();
  assert.equal(full.code, Code.UNAVAILABLE);
  assert.equal(full.reason, 'STORE_UNAVAILABLE');
  assert.match(full.message, /disk is full/);

  store.failure = new TypeError('secret detail');
  const defect = await remove();
  assert.equal(defect.code, Code.INTERNAL);
  assert.equal(defect.reason, 'INTERNAL');
  assert.doesNotMatch(defect.message, /secret/);
  assert.ok(admin.lines.some(({ msg, err }) => msg === 'admin method failed' && JSON.stringify(err).includes('secret detail')));
  assert.equal(admin.enforced.length, 0);
});

test('every mutation is one line in the log, and every call that is refused', async (t) => {
  const admin = await startAdmin(t);
  const client = await admin.as('admin');
  const add = AddClientRequest.fromPartial({ client: { clientId: 'clientB', allowedTargetGroups: ['db'] }, requestId: 'r' });
  await ask(client, rpc.addClient, add);
  await ask(client, rpc.addClient, add);
  await refused(ask(client, rpc.addClient, { ...add, requestId: '' }));
  await refused(ask(await admin.as('viewer'), rpc.setLogLevel, { level: 'debug' }));
  await ask(await admin.as('operator'), rpc.setLogLevel, { level: 'debug' });
  const removal = {
    targetGroup: 'db',
    server: '127.0.0.1:8085',
    deadline: undefined,
    resetAtDeadline: false,
    expectedRevision: 0n,
    requestId: '',
  };
  await watch(await admin.as('operator'), rpc.removeUpstreamServer, removal).ended();
  await ask(client, rpc.getState, {});

  const lines = admin.lines.filter(({ msg }) => msg === 'admin change' || msg === 'admin call refused');
  assert.deepEqual(
    lines.map(({ method, admin: who, result, reason, revision }) => ({ method, who, result, reason, revision })),
    [
      { method: 'AddClient', who: 'admin', result: 'accepted', reason: undefined, revision: 2 },
      { method: 'AddClient', who: 'admin', result: 'replayed', reason: undefined, revision: 2 },
      { method: 'AddClient', who: 'admin', result: 'ALREADY_EXISTS', reason: 'CLIENT_ALREADY_EXISTS', revision: undefined },
      { method: 'SetLogLevel', who: 'viewer', result: 'PERMISSION_DENIED', reason: 'ROLE_TOO_LOW', revision: undefined },
      { method: 'SetLogLevel', who: 'operator', result: 'accepted', reason: undefined, revision: undefined },
      { method: 'RemoveUpstreamServer', who: 'operator', result: 'accepted', reason: undefined, revision: 3 },
    ],
  );
  for (const { from } of lines) assert.match(String(from), /^127\.0\.0\.1:\d+$/);
});
