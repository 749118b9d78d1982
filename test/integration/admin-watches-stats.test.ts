import assert from 'node:assert/strict';
import { test } from 'node:test';
import { status as Code } from '@grpc/grpc-js';
import { HealthState, ListTargetGroupsRequest, AdminServiceService as rpc, WatchStatsRequest } from '../../src/gen/lb/admin/v1/admin.ts';
import { ask, refusalIn, startAdmin, watch } from '../support/admin-server.ts';

const ms = (count: number) => ({ seconds: BigInt(Math.trunc(count / 1000)), nanos: (count % 1000) * 1e6 });

test('the counters come at once and then every interval, fresh each time', async (t) => {
  const admin = await startAdmin(t);
  const server = admin.slots.serverSlot('web', '127.0.0.1:8081') ?? assert.fail();
  const client = admin.slots.clientSlot('clientA') ?? assert.fail();
  admin.health.turn('web', '127.0.0.1:8081', 'healthy');
  const stats = watch(await admin.as('viewer'), rpc.watchStats, WatchStatsRequest.fromPartial({ interval: ms(100) }));

  const first = await stats.next();
  assert.equal(first.activeConnections, 0n);
  assert.ok(first.at instanceof Date);

  admin.worker.reserveServer(server, 0);
  admin.worker.countAccepted(client);
  admin.worker.countReason('rate_limited');
  admin.worker.countReason('client_closed');
  let latest = await stats.next();
  for (let ticks = 0; ticks < 20 && latest.accepted === 0n; ticks++) latest = await stats.next();

  assert.equal(latest.revision, 1n);
  assert.equal(latest.activeConnections, 1n);
  assert.equal(latest.accepted, 1n);
  assert.equal(latest.refused, 1n);
  assert.deepEqual(latest.byReason, [
    { reason: 'client_closed', count: 1n, refused: false },
    { reason: 'rate_limited', count: 1n, refused: true },
  ]);
  assert.deepEqual(
    latest.servers.map((each) => [each.targetGroup, each.server, each.counters?.active, each.health]),
    [
      ['db', '127.0.0.1:8085', 0n, HealthState.UNKNOWN],
      ['web', '127.0.0.1:8081', 1n, HealthState.HEALTHY],
      ['web', '127.0.0.1:8082', 0n, HealthState.UNKNOWN],
    ],
  );
  assert.deepEqual(
    latest.clients.map(({ clientId, counters }) => [clientId, counters?.accepted]),
    [['clientA', 1n]],
  );
  assert.equal((await stats.cancel()).code, Code.CANCELLED);
});

test('connections that wait are told by group', async (t) => {
  const admin = await startAdmin(t);
  const viewer = await admin.as('viewer');
  const group = admin.slots.groupSlot('web') ?? assert.fail();
  const row = admin.worker.queue.join(group, 0, 10) ?? assert.fail();
  admin.worker.queue.join(group, 1, 10);
  const told = async () => (await watch(viewer, rpc.watchStats, WatchStatsRequest.create()).next()).groups;
  assert.deepEqual(await told(), [{ targetGroup: 'web', waiting: 2, rebalancing: undefined }]);
  const { statuses } = await ask(viewer, rpc.listTargetGroups, ListTargetGroupsRequest.create());
  assert.deepEqual(
    statuses.map(({ targetGroup, waiting }) => [targetGroup, waiting]),
    [
      ['db', 0],
      ['web', 2],
    ],
  );
  admin.worker.queue.leave(group, row);
  assert.equal((await told())[0]?.waiting, 1);
});

test('an interval under 100 ms is refused', async (t) => {
  const admin = await startAdmin(t);
  const viewer = await admin.as('viewer');
  for (const interval of [ms(99), ms(0), { seconds: -1n, nanos: 0 }]) {
    const refusal = refusalIn(await watch(viewer, rpc.watchStats, WatchStatsRequest.fromPartial({ interval })).ended());
    assert.equal(refusal.code, Code.INVALID_ARGUMENT);
    assert.deepEqual(refusal.fields, ['interval']);
  }
});

test('only what the filter names is told, and a name that is not there is refused', async (t) => {
  const admin = await startAdmin(t);
  const viewer = await admin.as('viewer');
  const told = async (filter: Partial<WatchStatsRequest>) => {
    const { servers, clients } = await watch(viewer, rpc.watchStats, WatchStatsRequest.fromPartial(filter)).next();
    return { servers: servers.map(({ server }) => server), clients: clients.map(({ clientId }) => clientId) };
  };
  const all = await told({});
  assert.ok(all.servers.length > 1, 'there is something to leave out');
  assert.deepEqual((await told({ targetGroup: 'db' })).servers, ['127.0.0.1:8085']);
  assert.deepEqual(await told({ server: '127.0.0.1:8082', clientId: 'clientA' }), { servers: ['127.0.0.1:8082'], clients: ['clientA'] });
  for (const wrong of [
    { targetGroup: 'nope' },
    { server: '127.0.0.1:9' },
    { targetGroup: 'db', server: '127.0.0.1:8082' },
    { clientId: 'nope' },
  ]) {
    const ended = await watch(viewer, rpc.watchStats, WatchStatsRequest.fromPartial(wrong)).ended();
    assert.equal(refusalIn(ended).code, Code.NOT_FOUND, JSON.stringify(wrong));
  }
});
