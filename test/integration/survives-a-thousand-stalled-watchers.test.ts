import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { status as Code } from '@grpc/grpc-js';
import {
  AddTargetGroupRequest,
  type AdminServiceClient,
  HealthState,
  WatchHealthResponse_Kind as Kind,
  RemoveTargetGroupRequest,
  AdminServiceService as rpc,
  WatchConnectionsRequest,
  WatchHealthRequest,
  type WatchHealthResponse,
  WatchStatsRequest,
  type WatchStatsResponse,
} from '../../src/gen/lb/admin/v1/admin.ts';
import { ask, refusalIn, watch } from '../support/admin-server.ts';
import type { ReadyDaemon } from '../support/daemon.ts';
import { roundTrip } from '../support/daemon-clients.ts';
import { parseMetrics, seriesValue } from '../support/prometheus.ts';
import { StalledSession, type StalledWatch } from '../support/stalled-reader.ts';
import { tcpClient } from '../support/tcp-client.ts';
import { assertServed, startTwoGroups } from '../support/two-group-daemon.ts';

/** A thousand readers: as many streams as the server allows on one connection, ten times. */
const SESSIONS = 10;
const STREAMS = 100;
/** Of each kind. A reader of connections is dropped when it is 1,000 behind; one of health is not: the journal keeps its events for all. */
const EVENTS = 2_000;
const SERVERS = 500;
/** What a reader's stream holds when it stalls, in messages; what waited for it beyond that is gone with the drop. */
const HELD_AT_MOST = 64;
/** What a reader of statistics is told before what is true now; there were many more moments meanwhile. */
const STALE_AT_MOST = 8;
/** For all readers together, with a connection for every hundred. */
const GROWN_AT_MOST_BYTES = 256 * 1024 * 1024;

interface Readers {
  readonly sessions: readonly StalledSession[];
  readonly health: readonly StalledWatch<WatchHealthResponse>[];
  readonly connections: readonly StalledWatch<unknown>[];
  readonly stats: readonly StalledWatch<WatchStatsResponse>[];
}

/** A third of the streams watch health, connections and statistics each; on some connections nothing at all may be sent to them. */
async function openReaders(open: (windowBytes: number) => Promise<StalledSession>): Promise<Readers> {
  const sessions = await Promise.all(Array.from({ length: SESSIONS }, (_, index) => open(index * 100)));
  const health: StalledWatch<WatchHealthResponse>[] = [];
  const connections: StalledWatch<unknown>[] = [];
  const stats: StalledWatch<WatchStatsResponse>[] = [];
  const every100Ms = WatchStatsRequest.fromPartial({ interval: { nanos: 100e6 } });
  for (const session of sessions) {
    for (let stream = 0; stream < STREAMS; stream++) {
      if (stream % 3 === 0) health.push(await session.watch(rpc.watchHealth, WatchHealthRequest.create()));
      else if (stream % 3 === 1) connections.push(await session.watch(rpc.watchConnections, WatchConnectionsRequest.create()));
      else stats.push(await session.watch(rpc.watchStats, every100Ms));
    }
  }
  return { sessions, health, connections, stats };
}

/** Servers that nobody is at come and go. Every event reaches a reader that keeps up. */
async function makeHealthEvents(admin: AdminServiceClient): Promise<void> {
  const witness = watch(admin, rpc.watchHealth, WatchHealthRequest.create());
  while ((await witness.next()).kind !== Kind.SYNCED);
  const servers = Array.from({ length: SERVERS }, (_, index) => ({ address: `127.0.${2 + (index >> 8)}.${index & 255}:9` }));
  for (let told = 0; told < EVENTS; told += 2 * SERVERS) {
    await ask(admin, rpc.addTargetGroup, AddTargetGroupRequest.fromPartial({ targetGroup: { name: 'dead', servers } }));
    for (const { to } of await witness.take(SERVERS)) assert.equal(to, HealthState.UNHEALTHY);
    await ask(admin, rpc.removeTargetGroup, RemoveTargetGroupRequest.fromPartial({ name: 'dead' }));
    for (const { kind } of await witness.take(SERVERS)) assert.equal(kind, Kind.REMOVED);
  }
  await witness.cancel();
}

async function residentBytes({ waitForLog }: ReadyDaemon): Promise<number> {
  const { metrics } = await waitForLog(({ msg }) => msg === 'ready');
  const response = await fetch(`http://${metrics}/metrics`);
  return seriesValue(parseMetrics(await response.text()), 'process_resident_memory_bytes');
}

test('a thousand readers that stall are kept within bounds and told why they are dropped, and every connection is served', {
  timeout: 240_000,
}, async (t) => {
  const { daemon, admin, ca, hold, knock } = await startTwoGroups(t, { metrics: { address: '127.0.0.1:0' }, logLevel: 'info' });
  const staying = await hold('clientB', 'web', 4);
  const as = { keyPem: readFileSync(daemon.operator.privateKey, 'utf8'), certPem: readFileSync(daemon.operator.certificate, 'utf8') };
  const before = await residentBytes(daemon);
  const { sessions, health, connections, stats } = await openReaders((windowBytes) =>
    StalledSession.open(t, { target: daemon.admin, ca: ca.caPem, as, windowBytes }),
  );

  // What is not TLS is refused at once: the cheapest events there are.
  const eighthOfRefusals = async () => {
    for (let made = 0; made < EVENTS / 8; made++) {
      const { socket, ending } = await tcpClient(t, daemon.port);
      socket.write('this is not TLS\n');
      await ending;
    }
  };
  const quarterOfServed = async () => {
    for (let made = 0; made < 20; made++) {
      const client = await knock('clientA', 'db');
      await roundTrip(client, `connection ${made}`);
      client.socket.end();
      assert.deepEqual(await client.ending, { how: 'closed' });
    }
  };
  await Promise.all([...Array.from({ length: 8 }, eighthOfRefusals), ...Array.from({ length: 4 }, quarterOfServed)]);
  await makeHealthEvents(admin);
  await assertServed(staying, 'still here');
  const grown = (await residentBytes(daemon)) - before;
  assert.ok(grown < GROWN_AT_MOST_BYTES, `${grown} bytes more`);
  const { total } = await ask(admin, rpc.getDroppedRequests, { clientId: '' });
  assert.equal(total, BigInt(EVENTS), 'nothing was refused but what was no TLS');

  const [late = assert.fail(), ...others] = health;
  for (const reader of others) reader.close();
  const toldLate = async () => {
    let events = 0;
    for await (const { kind } of late.messages()) {
      if (kind === Kind.CHANGED || kind === Kind.REMOVED) events++;
      if (events === EVENTS) break;
    }
    return events;
  };
  const caughtUpLate = toldLate();
  const told = Promise.all(connections.map(async (reader) => (await Array.fromAsync(reader.messages())).length));
  const untilNow = async (reader: StalledWatch<WatchStatsResponse>) => {
    let moments = 0;
    for await (const { refused } of reader.messages()) {
      moments++;
      if (refused === total) break;
    }
    return moments;
  };
  const caughtUp = Promise.all(stats.map(untilNow));
  await Promise.all(sessions.map((session) => session.read()));
  assert.ok(Math.max(...(await told)) <= HELD_AT_MOST);
  assert.ok(Math.max(...(await caughtUp)) <= STALE_AT_MOST + 1);
  assert.equal(await caughtUpLate, EVENTS);
  for (const reader of connections) {
    const { code, reason } = refusalIn(await reader.ended);
    assert.deepEqual([code, reason], [Code.RESOURCE_EXHAUSTED, 'SLOW_READER']);
  }
  await assertServed(staying, 'still here');
});
