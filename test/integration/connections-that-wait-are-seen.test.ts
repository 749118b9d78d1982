import assert from 'node:assert/strict';
import { writeFile } from 'node:fs/promises';
import path from 'node:path';
import { type TestContext, test } from 'node:test';
import {
  CloseConnectionsRequest,
  type Connection,
  type ConnectionFilter,
  WatchConnectionsResponse_Kind as Kind,
  ListConnectionsRequest,
  RemoveClientRequest,
  AdminServiceService as rpc,
  UpdateTargetGroupRequest,
  Wait_Kind,
  WatchConnectionsRequest,
} from '../../src/gen/lb/admin/v1/admin.ts';
import { ask, watch } from '../support/admin-server.ts';
import { applyConfig, configWith } from '../support/apply-config.ts';
import { createTestCa } from '../support/certificates.ts';
import { startDaemon } from '../support/daemon.ts';
import { adminOf, connectTo, roundTrip } from '../support/daemon-clients.ts';
import { echoServer } from '../support/echo-servers.ts';
import { lbctl, lbctlEnv } from '../support/lbctl.ts';
import { uncheckedGroup } from '../support/running-balancer.ts';
import type { TlsClient } from '../support/tls-client.ts';

const CLIENTS = ['queued', 'delayed', 'other'] as const;
type Name = (typeof CLIENTS)[number];

/**
 * Two workers, in which `queued` has one place on a server, and one connection of `delayed` goes at once: all others wait for long, two of
 * `delayed` for as long as `maxDelay` can be.
 */
async function start(t: TestContext) {
  const ca = await createTestCa();
  const full = await echoServer(t);
  const free = (await echoServer(t)).address;
  const connectionRate = { algorithm: 'tokenBucket', limit: 1, window: '29s', burst: 1, action: 'delay', maxDelay: '1m' };
  const clients = [
    { clientId: 'queued', allowedTargetGroup: 'full' },
    { clientId: 'delayed', allowedTargetGroup: 'free', limits: { connectionRate } },
    { clientId: 'other', allowedTargetGroup: 'free' },
  ];
  const groups = (queue?: object) => [
    uncheckedGroup('full', [{ address: full.address, maxConnections: 1 }], queue === undefined ? {} : { queue }),
    uncheckedGroup('free', [free]),
  ];
  const daemon = await startDaemon(t, {
    ca,
    config: {
      workers: 2,
      targetGroups: groups({ maxLength: 50, timeout: '10m' }),
      clients,
    },
  });
  const admin = adminOf(t, daemon);
  const certificates = new Map(await Promise.all(CLIENTS.map(async (cn) => [cn, await ca.issue({ cn })] as const)));
  const come = (as: Name) => connectTo(t, daemon, certificates.get(as) ?? assert.fail());
  const list = async (filter: Partial<ConnectionFilter> = {}, pageSize = 0) => {
    const all: Connection[] = [];
    let pageToken = '';
    do {
      const page = await ask(admin, rpc.listConnections, ListConnectionsRequest.fromPartial({ filter, pageSize, pageToken }));
      all.push(...page.connections);
      pageToken = page.nextPageToken;
    } while (pageToken !== '');
    return all;
  };
  /** One that is served, and so many that wait; WatchConnections says when. */
  const fill = async (as: Name, waiting: number): Promise<{ readonly served: TlsClient; readonly waiting: readonly TlsClient[] }> => {
    const served = come(as);
    await roundTrip(served, 'hello');
    const stream = watch(admin, rpc.watchConnections, WatchConnectionsRequest.fromPartial({ filter: { clientId: as } }));
    const those = Array.from({ length: waiting }, () => come(as));
    for (let seen = 0; seen < waiting; ) if ((await stream.next()).kind === Kind.WAITING) seen++;
    await stream.cancel();
    return { served, waiting: those };
  };
  const plan = async (changes: Readonly<Record<string, unknown>>) => {
    const { blastRadius } = await ask(admin, rpc.planConfig, { config: configWith(daemon, changes) });
    return blastRadius ?? assert.fail();
  };
  const apply = (changes: Readonly<Record<string, unknown>>) => applyConfig(admin, configWith(daemon, changes));
  const run = async (...args: readonly string[]) => {
    const { stdout, stderr } = await lbctl(args, { env: lbctlEnv(daemon.admin, daemon.caCert, daemon.operator) });
    return stdout + stderr;
  };
  return { admin, daemon, fill, list, plan, apply, run, clients, groups, full };
}

const KINDS = [
  { as: 'queued', group: 'full', kind: Wait_Kind.QUEUED, words: 'waits for a server' },
  { as: 'delayed', group: 'free', kind: Wait_Kind.DELAYED, words: 'waits for its turn' },
] as const;

test('closing who is served and who waits for a server lets nobody take the place that is left', async (t) => {
  const { admin, fill, full } = await start(t);
  // Several times: only when the worker of the one that is served is the faster one does it leave its place too early.
  for (let round = 1; round <= 12; round++) {
    const { served, waiting } = await fill('queued', 10);
    const filter = { clientId: 'queued' };
    assert.deepEqual(await ask(admin, rpc.closeConnections, CloseConnectionsRequest.fromPartial({ filter })), {
      connectionsClosed: 11n,
      waitingRefused: 10n,
    });
    for (const client of [served, ...waiting]) assert.equal((await client.ending).how, 'reset');
    assert.equal(full.accepted, round, 'connections that reached the server');
  }
});

for (const { as, group, kind, words } of KINDS) {
  test(`connections that wait are listed, counted and closed: ${as}`, async (t) => {
    const { admin, daemon, fill, list, run } = await start(t);
    const { served, waiting } = await fill(as, 2);
    const others = await fill('other', 0);
    const listed = await list({ clientId: as });
    const [first, ...rest] = listed;
    assert.deepEqual([first?.waiting, typeof first?.openedAt], [undefined, 'object'], 'the oldest is served');
    assert.deepEqual(
      rest.map(({ waiting, openedAt, server, targetGroup, identity }) => [waiting?.kind, openedAt, server, targetGroup, identity]),
      [1, 2].map(() => [kind, undefined, '', group, as]),
    );
    for (const each of rest) {
      const waitsMs = Date.now() - (each.waiting?.since?.getTime() ?? 0);
      assert.ok(waitsMs >= 0 && waitsMs < 60_000, `${waitsMs} ms`);
    }
    const ports = waiting.map(({ tcp }) => `127.0.0.1:${tcp.localPort}`);
    assert.deepEqual(rest.map(({ remote }) => remote).sort(), ports.sort());
    assert.deepEqual(await list({ clientId: as }, 1), listed, 'page by page');
    assert.deepEqual(await list({ targetGroup: group, server: listed[0]?.server ?? '', clientId: as }), [first], 'who waits has no server');
    const { clients } = await ask(admin, rpc.listClients, { pageSize: 0, pageToken: '' });
    const counters = clients.find(({ client }) => client?.clientId === as)?.counters;
    assert.partialDeepStrictEqual(counters, { active: 3n, accepted: 1n, delayed: 0n, queued: 0n, [as]: 2n });
    const table = await run('list-connections', '--client', as);
    assert.equal(table.split('\n').filter((line) => line.includes(words)).length, 2, table);
    assert.match(await run('list-clients'), new RegExp(`WAITING[^]*^${as} .* 2 +3 +1 +0 `, 'm'));

    const stream = watch(admin, rpc.watchConnections, WatchConnectionsRequest.fromPartial({ filter: { clientId: as } }));
    while ((await stream.next()).kind !== Kind.SYNCED);
    const close = (filter: Partial<ConnectionFilter>) => ask(admin, rpc.closeConnections, CloseConnectionsRequest.fromPartial({ filter }));
    const connectionId = rest[0]?.id ?? '';
    assert.deepEqual(await close({ connectionId }), { connectionsClosed: 1n, waitingRefused: 1n });
    const told = await stream.next();
    assert.deepEqual(
      [told.kind, told.reason, told.connection?.id, told.connection?.waiting],
      [Kind.REFUSED, 'refused_by_admin', connectionId, undefined],
    );
    assert.equal(await run('close-connections', '--client', as), '2 connections closed (1 waited)\n');
    for (const client of [served, ...waiting]) assert.equal((await client.ending).how, 'reset');
    const line = await daemon.waitForLog(({ id }) => id === rest[1]?.id);
    assert.partialDeepStrictEqual(line, { msg: 'connection refused', reason: 'refused_by_admin', client: as });
    assert.deepEqual(await list({ clientId: as }), []);
    await roundTrip(others.served, 'still here');
  });

  test(`plan says of connections that wait what apply then does: ${as}`, async (t) => {
    const { fill, plan, apply, run, clients, daemon } = await start(t);
    const { waiting } = await fill(as, 2);
    await fill('other', 0);
    const without = { clients: clients.filter(({ clientId }) => clientId !== as) };
    const elsewhere = { clients: clients.map((each) => (each.clientId === as ? { ...each, allowedTargetGroup: otherOf(group) } : each)) };
    for (const [changes, targetGroup] of [
      [without, ''],
      [elsewhere, group],
    ] as const) {
      assert.deepEqual(await plan(changes), {
        connectionsDraining: 0n,
        connectionsClosing: 3n,
        waitingRefused: 2n,
        lostAccess: [{ clientId: as, targetGroup, connections: 3n }],
        revoked: [],
      });
    }
    assert.partialDeepStrictEqual(await plan({}), { connectionsDraining: 0n, connectionsClosing: 0n, waitingRefused: 0n });
    const file = path.join(daemon.folder, 'other.yaml');
    await writeFile(file, configWith(daemon, elsewhere));
    assert.match(await run('plan', '-f', file), /^Blast radius: 3 connections would close \(2 waiting\)$/m);
    assert.partialDeepStrictEqual(await apply(elsewhere), { connectionsClosed: 3n, waitingRefused: 2n, connectionsDraining: 0n });
    for (const client of waiting) assert.equal((await client.ending).how, 'reset');
  });
}

test('who waits in a queue that is taken away is counted by plan and apply, and not by the change that comes next', async (t) => {
  const { admin, fill, plan, apply, groups } = await start(t);
  const { served, waiting } = await fill('queued', 2);
  const without = { targetGroups: groups() };
  const nobody = { connectionsDraining: 0n, lostAccess: [], revoked: [] };
  assert.deepEqual(await plan(without), { ...nobody, connectionsClosing: 2n, waitingRefused: 2n });
  assert.partialDeepStrictEqual(await apply(without), { connectionsClosed: 2n, waitingRefused: 2n, connectionsDraining: 0n });
  for (const client of waiting) assert.equal((await client.ending).how, 'reset');
  await roundTrip(served, 'still here');

  await apply({});
  served.socket.end();
  const again = await fill('queued', 2);
  const targetGroup = { name: 'full' };
  await ask(admin, rpc.updateTargetGroup, UpdateTargetGroupRequest.fromPartial({ targetGroup, updateMask: ['queue'] }));
  for (const client of again.waiting) assert.equal((await client.ending).how, 'reset');
  const removed = await ask(admin, rpc.removeClient, RemoveClientRequest.fromPartial({ clientId: 'delayed' }));
  assert.partialDeepStrictEqual(removed, { connectionsClosed: 0n, waitingRefused: 0n });
});

test('a connection that waited keeps its id when it is served, and a watch that begins meanwhile tells of it', async (t) => {
  const { admin, fill, list } = await start(t);
  const { served, waiting } = await fill('queued', 1);
  const [, waits] = await list();
  const stream = watch(admin, rpc.watchConnections, WatchConnectionsRequest.fromPartial({}));
  const state = [await stream.next(), await stream.next()];
  assert.deepEqual(new Set(state.map(({ kind }) => kind)), new Set([Kind.STATE, Kind.WAITING]));
  assert.equal((await stream.next()).kind, Kind.SYNCED);
  served.socket.end();
  for (const client of waiting) await roundTrip(client, 'at last');
  const told = [await stream.next(), await stream.next()];
  const opened = told.find(({ kind }) => kind === Kind.OPENED)?.connection;
  assert.deepEqual([opened?.id, opened?.waiting], [waits?.id, undefined]);
  assert.deepEqual(
    (await list()).map(({ id }) => id),
    [waits?.id],
  );
});

function otherOf(group: 'full' | 'free'): string {
  return group === 'full' ? 'free' : 'full';
}
