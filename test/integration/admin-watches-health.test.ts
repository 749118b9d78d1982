import assert from 'node:assert/strict';
import { once } from 'node:events';
import { test } from 'node:test';
import { queryObjects } from 'node:v8';
import { status as Code } from '@grpc/grpc-js';
import {
  HealthState,
  WatchHealthResponse_Kind as Kind,
  AdminServiceService as rpc,
  WatchHealthRequest,
  type WatchHealthResponse,
} from '../../src/gen/lb/admin/v1/admin.ts';
import { refusalIn, startAdmin, watch } from '../support/admin-server.ts';
import { StalledSession } from '../support/stalled-reader.ts';

const SERVER = '127.0.0.1:8081';
const EVERYTHING = WatchHealthRequest.create();
const summary = ({ kind, targetGroup, server, from, to, cause }: WatchHealthResponse) => [kind, targetGroup, server, from, to, cause];

test('a watch begins with the state, says that it is complete, and goes on with each change', async (t) => {
  const admin = await startAdmin(t);
  admin.health.turn('web', SERVER, 'healthy', 'connected');
  admin.health.turn('db', '127.0.0.1:8085', 'unhealthy', 'connection refused');
  const health = watch(await admin.as('viewer'), rpc.watchHealth, EVERYTHING);

  const state = await health.take(3);
  assert.deepEqual(state.map(summary), [
    [Kind.STATE, 'web', SERVER, HealthState.UNSPECIFIED, HealthState.HEALTHY, 'connected'],
    [Kind.STATE, 'db', '127.0.0.1:8085', HealthState.UNSPECIFIED, HealthState.UNHEALTHY, 'connection refused'],
    [Kind.SYNCED, '', '', HealthState.UNSPECIFIED, HealthState.UNSPECIFIED, ''],
  ]);
  const synced = state[2]?.revision ?? assert.fail();
  assert.equal(synced, BigInt(admin.health.journal.revision));

  admin.health.turn('web', SERVER, 'unhealthy', 'HTTP 503');
  admin.health.remove('web', SERVER);
  const changes = await health.take(2);
  assert.deepEqual(changes.map(summary), [
    [Kind.CHANGED, 'web', SERVER, HealthState.HEALTHY, HealthState.UNHEALTHY, 'HTTP 503'],
    [Kind.REMOVED, 'web', SERVER, HealthState.UNHEALTHY, HealthState.UNKNOWN, 'removed'],
  ]);
  assert.deepEqual(
    changes.map(({ revision }) => revision),
    [synced + 1n, synced + 2n],
  );
  await health.cancel();
});

test('a watch of one group hears of nothing else', async (t) => {
  const admin = await startAdmin(t);
  admin.health.turn('db', '127.0.0.1:8085', 'healthy');
  const health = watch(
    await admin.as('viewer'),
    rpc.watchHealth,
    WatchHealthRequest.fromPartial({ sinceRevision: 0n, targetGroup: 'web' }),
  );
  assert.equal((await health.next()).kind, Kind.SYNCED);
  admin.health.turn('db', '127.0.0.1:8085', 'unhealthy');
  admin.health.turn('web', SERVER, 'healthy');
  assert.equal((await health.next()).targetGroup, 'web');
  await health.cancel();
});

test('a watch of one server hears of nothing else, and one that is not there is NOT_FOUND', async (t) => {
  const admin = await startAdmin(t);
  const viewer = await admin.as('viewer');
  admin.health.turn('web', '127.0.0.1:8082', 'healthy');
  const health = watch(viewer, rpc.watchHealth, WatchHealthRequest.fromPartial({ server: SERVER }));
  assert.equal((await health.next()).kind, Kind.SYNCED);
  admin.health.turn('web', '127.0.0.1:8082', 'unhealthy');
  admin.health.turn('web', SERVER, 'healthy');
  assert.equal((await health.next()).server, SERVER);
  await health.cancel();
  const nobody = watch(viewer, rpc.watchHealth, WatchHealthRequest.fromPartial({ server: '127.0.0.1:9' }));
  assert.equal(refusalIn(await nobody.ended()).code, Code.NOT_FOUND);
});

test('a watch resumes after the revision it has seen, without the state', async (t) => {
  const admin = await startAdmin(t);
  admin.health.turn('web', SERVER, 'healthy');
  const seen = admin.health.journal.revision;
  admin.health.turn('web', SERVER, 'unhealthy', 'missed');
  const health = watch(
    await admin.as('viewer'),
    rpc.watchHealth,
    WatchHealthRequest.fromPartial({ sinceRevision: BigInt(seen), targetGroup: '' }),
  );

  assert.equal((await health.next()).cause, 'missed');
  admin.health.turn('web', SERVER, 'healthy', 'live');
  assert.equal((await health.next()).cause, 'live');
  await health.cancel();
});

test('a revision that is no longer kept is COMPACTED, and one that is not reached is FUTURE_REVISION', async (t) => {
  const admin = await startAdmin(t);
  const viewer = await admin.as('viewer');
  const start = admin.health.journal.revision;
  for (let event = 0; event <= 1500; event++) admin.health.turn('web', SERVER, event % 2 === 0 ? 'healthy' : 'unhealthy');
  const reached = admin.health.journal.revision;
  for (const [since, reason, message] of [
    [start, 'COMPACTED', /no longer kept/],
    [1, 'COMPACTED', /no longer kept/],
    [reached + 1, 'FUTURE_REVISION', new RegExp(`has not reached revision ${reached + 1}, it is at ${reached}`)],
  ] as const) {
    const refusal = refusalIn(
      await watch(viewer, rpc.watchHealth, WatchHealthRequest.fromPartial({ sinceRevision: BigInt(since), targetGroup: '' })).ended(),
    );
    assert.equal(refusal.code, Code.OUT_OF_RANGE);
    assert.equal(refusal.reason, reason);
    assert.match(refusal.message, message);
  }
});

test('an unknown group is NOT_FOUND', async (t) => {
  const admin = await startAdmin(t);
  const health = watch(
    await admin.as('viewer'),
    rpc.watchHealth,
    WatchHealthRequest.fromPartial({ sinceRevision: 0n, targetGroup: 'nope' }),
  );
  assert.equal(refusalIn(await health.ended()).reason, 'TARGET_GROUP_NOT_FOUND');
});

test('no event is lost or told twice, however the watch falls among them', async (t) => {
  const admin = await startAdmin(t);
  const viewer = await admin.as('viewer');
  let flips = 0;
  const flip = () => admin.health.turn('web', SERVER, flips++ % 2 === 0 ? 'healthy' : 'unhealthy');
  flip();
  for (let round = 0; round < 20; round++) {
    const flipping = setInterval(flip, 0);
    const health = watch(viewer, rpc.watchHealth, EVERYTHING);
    const [state, synced] = await health.take(2);
    let seen = synced?.revision ?? assert.fail();
    let is = state?.to ?? assert.fail();
    for (const event of await health.take(5)) {
      assert.equal(event.revision, seen + 1n);
      assert.equal(event.from, is);
      seen = event.revision;
      is = event.to;
    }
    clearInterval(flipping);
    await health.cancel();
  }
});

test('a reader that does not read is dropped, and others are not held up', async (t) => {
  const admin = await startAdmin(t);
  const slow = watch(await admin.as('viewer'), rpc.watchHealth, EVERYTHING);
  const quick = watch(await admin.as('operator'), rpc.watchHealth, EVERYTHING);
  assert.equal((await slow.next()).kind, Kind.SYNCED);
  assert.equal((await quick.next()).kind, Kind.SYNCED);

  const cause = 'x'.repeat(1000);
  // More than the sockets, the flow control window and the journal can hold.
  for (let batch = 0; batch < 100; batch++) {
    for (let event = 0; event < 50; event++) admin.health.turn('web', SERVER, event % 2 === 0 ? 'healthy' : 'unhealthy', cause);
    await quick.take(50);
  }
  const refusal = refusalIn(await slow.ended());
  assert.equal(refusal.code, Code.RESOURCE_EXHAUSTED);
  assert.equal(refusal.reason, 'SLOW_READER');
  admin.health.turn('web', SERVER, 'healthy', 'after');
  assert.equal((await quick.next()).cause, 'after');
  await quick.cancel();
});

test('a reader that reads is told all that happens in one turn, however much it is', async (t) => {
  const admin = await startAdmin(t);
  const health = watch(await admin.as('viewer'), rpc.watchHealth, EVERYTHING);
  const { revision } = await health.next();
  const EVENTS = 1_100;
  for (let event = 0; event < EVENTS; event++) admin.health.turn('web', SERVER, event % 2 === 0 ? 'healthy' : 'unhealthy');
  const told = await health.take(EVENTS);
  assert.deepEqual(
    told.map((event) => event.revision),
    Array.from({ length: EVENTS }, (_, index) => revision + BigInt(index + 1)),
  );
  await health.cancel();
});

test('a reader that is dropped is told where to go on, and misses nothing there', async (t) => {
  const admin = await startAdmin(t);
  const as = await admin.certificate('viewer');
  const session = await StalledSession.open(t, { target: admin.target, ca: admin.ca.caPem, as, windowBytes: 2_000 });
  const stalled = await session.watch(rpc.watchHealth, EVERYTHING);
  for (let event = 0; event < 1_450; event++) admin.health.turn('web', SERVER, event % 2 === 0 ? 'healthy' : 'unhealthy');
  const told = Array.fromAsync(stalled.messages());
  await session.read();
  const last = (await told).at(-1)?.revision ?? assert.fail();
  const { reason, message } = refusalIn(await stalled.ended);
  assert.equal(reason, 'SLOW_READER');
  const sinceRevision = BigInt(/since_revision=(\d+)$/.exec(message)?.[1] ?? assert.fail(message));
  assert.equal(sinceRevision, last, 'what was told last');
  const again = watch(await admin.as('viewer'), rpc.watchHealth, WatchHealthRequest.fromPartial({ sinceRevision }));
  assert.equal((await again.next()).revision, last + 1n);
  await again.cancel();
});

test('a state larger than what may wait arrives in full', async (t) => {
  const admin = await startAdmin(t);
  for (let server = 0; server < 3000; server++) admin.health.turn('web', `10.0.${server >> 8}.${server & 255}:80`, 'healthy');
  const health = watch(await admin.as('viewer'), rpc.watchHealth, EVERYTHING);
  await once(health.stream, 'readable');
  const messages = await health.take(3001);
  assert.equal(messages.at(-1)?.kind, Kind.SYNCED);
  assert.equal(new Set(messages.map(({ server }) => server)).size, 3001);
  await health.cancel();
});

test('readers that stall at the beginning keep the states of the servers once, not each', async (t) => {
  const admin = await startAdmin(t);
  const SERVERS = 500;
  const READERS = 20;
  for (let server = 0; server < SERVERS; server++) admin.health.turn('web', `10.0.${server >> 8}.${server & 255}:80`, 'healthy');
  class Probed {}
  const scripted = admin.health.list();
  // As the real checker does, which puts each answer together anew.
  admin.health.list = () => scripted.map((state) => Object.assign(new Probed(), { ...state, lastProbeMs: Math.random() }));
  const as = await admin.certificate('viewer');
  const session = await StalledSession.open(t, { target: admin.target, ca: admin.ca.caPem, as, windowBytes: 0 });
  const stalled = await Promise.all(Array.from({ length: READERS }, () => session.watch(rpc.watchHealth, EVERYTHING)));
  assert.ok(queryObjects(Probed, { format: 'count' }) <= 2 * SERVERS);

  const statesTold = async (reader: (typeof stalled)[number]) => {
    let told = 0;
    for await (const { kind } of reader.messages()) {
      if (kind === Kind.SYNCED) break;
      told++;
    }
    return told;
  };
  const told = Promise.all(stalled.map(statesTold));
  await session.read();
  assert.deepEqual(await told, Array(READERS).fill(SERVERS));
});
