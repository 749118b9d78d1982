import assert from 'node:assert/strict';
import { test } from 'node:test';
import { status as Code } from '@grpc/grpc-js';
import {
  GetActiveConnectionsRequest,
  GetFailedConnectionsRequest,
  HealthState,
  ListClientsRequest,
  ListTargetGroupsRequest,
  ListUpstreamServersRequest,
  AdminServiceService as rpc,
} from '../../src/gen/lb/admin/v1/admin.ts';
import { ask, refused, STARTED_AT_MS, startAdmin, type TestAdmin, VERSION } from '../support/admin-server.ts';

/** What a worker counts for one connection of clientA to this server that goes on. */
function serve(admin: TestAdmin, group: string, address: string): void {
  const server = admin.slots.serverSlot(group, address) ?? assert.fail(`${address} has no slot`);
  const client = admin.slots.clientSlot('clientA') ?? assert.fail('clientA has no slot');
  assert.ok(admin.worker.reserveServer(server, admin.worker.serverActive(server)));
  assert.ok(admin.worker.reserveClient(client, 100));
  admin.worker.countAccepted(client);
  admin.worker.countConnected(server);
  admin.worker.countBytesUp(client, server, 100);
  admin.worker.countBytesDown(client, server, 2000);
}

function refuse(admin: TestAdmin, reason: 'rate_limited' | 'not_authorized'): void {
  admin.worker.countReason(reason);
  admin.worker.countRefused(admin.slots.clientSlot('clientA') ?? assert.fail('clientA has no slot'), reason);
}

test('GetState tells the whole state in the order of names, with health and counters', async (t) => {
  const admin = await startAdmin(t);
  serve(admin, 'web', '127.0.0.1:8081');
  refuse(admin, 'rate_limited');
  admin.health.turn('web', '127.0.0.1:8081', 'healthy', 'connected');
  const viewer = await admin.as('viewer');

  const state = await ask(viewer, rpc.getState, {});

  assert.equal(state.revision, 1n);
  assert.equal(state.workers, 2);
  assert.equal(state.version, VERSION);
  assert.deepEqual([state.targetGroupCount, state.serverCount, state.clientCount], [2, 3, 1]);
  assert.deepEqual([state.targetGroupsNextPageToken, state.serversNextPageToken, state.clientsNextPageToken], ['', '', ''], 'all is here');
  assert.equal(state.startedAt?.getTime(), STARTED_AT_MS);
  assert.deepEqual(
    state.targetGroups.map(({ name }) => name),
    ['db', 'web'],
  );
  assert.deepEqual(
    state.servers.map(({ targetGroup, server }) => `${targetGroup} ${server?.address}`),
    ['db 127.0.0.1:8085', 'web 127.0.0.1:8081', 'web 127.0.0.1:8082'],
  );
  const [, probed, unprobed] = state.servers;
  assert.equal(probed?.health, HealthState.HEALTHY);
  assert.equal(probed.lastProbe, 'connected');
  assert.deepEqual(probed.lastProbeLatency, { seconds: 0n, nanos: 1_500_000 });
  assert.deepEqual(probed.counters, { active: 1n, connected: 1n, failed: 0n, bytesToUpstream: 100n, bytesFromUpstream: 2000n });
  assert.equal(unprobed?.health, HealthState.UNKNOWN);
  assert.deepEqual(
    state.clients.map(({ client, counters }) => [client?.clientId, client?.allowedTargetGroups, counters]),
    [
      [
        'clientA',
        ['web'],
        {
          active: 1n,
          accepted: 1n,
          refused: 1n,
          refusedByReason: [{ reason: 'rate_limited', count: 1n, refused: true }],
          bytesFromClient: 100n,
          bytesToClient: 2000n,
          rateHeadroom: undefined,
          connectionsHeadroom: undefined,
          uploadHeadroom: undefined,
          downloadHeadroom: undefined,
          pacedBytesFromClient: 0n,
          pacedBytesToClient: 0n,
          shadowRefused: [],
          delayed: 0n,
          queued: 0n,
        },
      ],
    ],
  );
  assert.deepEqual(state.listeners, [
    {
      name: 'main',
      address: '127.0.0.1:43210',
      plain: false,
      alpn: ['h2'],
      acceptProxyProtocol: ['10.0.0.0/8'],
      perAddress: { connectionsPerSecond: 50, burst: 100, pendingHandshakes: 0, concurrentConnections: 0 },
      targetGroup: '',
      routes: [{ sni: '*.db', alpn: '', targetGroup: 'db' }],
    },
  ]);
});

test('the lists tell the same as GetState, and ListUpstreamServers of one group only its own', async (t) => {
  const admin = await startAdmin(t);
  serve(admin, 'db', '127.0.0.1:8085');
  const viewer = await admin.as('viewer');

  const state = await ask(viewer, rpc.getState, {});
  const groups = await ask(viewer, rpc.listTargetGroups, ListTargetGroupsRequest.create());
  const servers = await ask(viewer, rpc.listUpstreamServers, ListUpstreamServersRequest.create());
  const ofDb = await ask(viewer, rpc.listUpstreamServers, ListUpstreamServersRequest.fromPartial({ targetGroup: 'db' }));
  const clients = await ask(viewer, rpc.listClients, ListClientsRequest.create());

  const statuses = ['db', 'web'].map((targetGroup) => ({ targetGroup, waiting: 0, rebalancing: undefined }));
  assert.deepEqual(groups, { targetGroups: state.targetGroups, revision: 1n, nextPageToken: '', statuses });
  assert.deepEqual(servers, { servers: state.servers, revision: 1n, nextPageToken: '' });
  assert.deepEqual(
    ofDb.servers,
    state.servers.filter(({ targetGroup }) => targetGroup === 'db'),
  );
  assert.deepEqual(clients, { clients: state.clients, revision: 1n, nextPageToken: '' });
});

test('the counters are told for all or for one', async (t) => {
  const admin = await startAdmin(t);
  serve(admin, 'web', '127.0.0.1:8082');
  serve(admin, 'web', '127.0.0.1:8082');
  serve(admin, 'db', '127.0.0.1:8085');
  refuse(admin, 'rate_limited');
  refuse(admin, 'rate_limited');
  refuse(admin, 'not_authorized');
  admin.worker.countReason('unknown_client');
  admin.worker.countReason('client_closed');
  admin.worker.countFailed(admin.slots.serverSlot('web', '127.0.0.1:8081') ?? assert.fail());
  const viewer = await admin.as('viewer');

  assert.deepEqual(await ask(viewer, rpc.getActiveConnections, GetActiveConnectionsRequest.fromPartial({ targetGroup: 'web' })), {
    total: 2n,
    servers: [
      { targetGroup: 'web', server: '127.0.0.1:8081', count: 0n },
      { targetGroup: 'web', server: '127.0.0.1:8082', count: 2n },
    ],
    nextPageToken: '',
  });
  assert.equal((await ask(viewer, rpc.getActiveConnections, GetActiveConnectionsRequest.fromPartial({ targetGroup: '' }))).total, 3n);

  assert.deepEqual(await ask(viewer, rpc.getDroppedRequests, { clientId: 'clientA' }), {
    total: 3n,
    byReason: [
      { reason: 'not_authorized', count: 1n, refused: true },
      { reason: 'rate_limited', count: 2n, refused: true },
    ],
  });
  const everybody = await ask(viewer, rpc.getDroppedRequests, { clientId: '' });
  assert.equal(everybody.total, 4n, 'connections of unknown clients count, closed ones do not');

  assert.deepEqual(await ask(viewer, rpc.getFailedConnections, GetFailedConnectionsRequest.fromPartial({ server: '127.0.0.1:8081' })), {
    total: 1n,
    servers: [{ targetGroup: 'web', server: '127.0.0.1:8081', count: 1n }],
    nextPageToken: '',
  });
  const failedAnywhere = await ask(viewer, rpc.getFailedConnections, GetFailedConnectionsRequest.fromPartial({ server: '' }));
  assert.equal(failedAnywhere.total, 1n);
  assert.equal(failedAnywhere.servers.length, 3);
});

test('what does not exist is NOT_FOUND with a reason of its own', async (t) => {
  const admin = await startAdmin(t);
  const viewer = await admin.as('viewer');
  const cases = [
    [() => ask(viewer, rpc.listUpstreamServers, ListUpstreamServersRequest.fromPartial({ targetGroup: 'nope' })), 'TARGET_GROUP_NOT_FOUND'],
    [
      () => ask(viewer, rpc.getActiveConnections, GetActiveConnectionsRequest.fromPartial({ targetGroup: 'nope' })),
      'TARGET_GROUP_NOT_FOUND',
    ],
    [() => ask(viewer, rpc.getDroppedRequests, { clientId: 'nope' }), 'CLIENT_NOT_FOUND'],
    [
      () => ask(viewer, rpc.getFailedConnections, GetFailedConnectionsRequest.fromPartial({ server: '127.0.0.1:1' })),
      'UPSTREAM_SERVER_NOT_FOUND',
    ],
  ] as const;
  for (const [call, reason] of cases) {
    const refusal = await refused(call());
    assert.equal(refusal.code, Code.NOT_FOUND);
    assert.equal(refusal.reason, reason);
    assert.equal(refusal.domain, 'portcullis');
  }
  const malformed = await refused(ask(viewer, rpc.getFailedConnections, GetFailedConnectionsRequest.fromPartial({ server: 'nowhere' })));
  assert.equal(malformed.code, Code.INVALID_ARGUMENT);
  assert.deepEqual(malformed.fields, ['server']);
});

test('the log level is told and set', async (t) => {
  const admin = await startAdmin(t);
  const operator = await admin.as('operator');

  assert.deepEqual(await ask(operator, rpc.getLogLevel, {}), { level: 'info' });
  assert.deepEqual(await ask(operator, rpc.setLogLevel, { level: 'debug' }), { previous: 'info' });
  assert.equal(admin.logLevel.current, 'debug');

  const refusal = await refused(ask(operator, rpc.setLogLevel, { level: 'loud' }));
  assert.equal(refusal.code, Code.INVALID_ARGUMENT);
  assert.deepEqual(refusal.fields, ['level']);
  assert.match(refusal.message, /trace, debug, info, warn, error, fatal, silent/);
  assert.equal(admin.logLevel.current, 'debug');
});
