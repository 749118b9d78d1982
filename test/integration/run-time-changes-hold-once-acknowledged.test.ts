import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import {
  AddClientRequest,
  RemoveClientRequest,
  RemoveUpstreamServerRequest,
  AdminServiceService as rpc,
} from '../../src/gen/lb/admin/v1/admin.ts';
import { ask, watch } from '../support/admin-server.ts';
import { createTestCa } from '../support/certificates.ts';
import { type ReadyDaemon, startDaemon } from '../support/daemon.ts';
import { adminOf, connectTo, roundTrip } from '../support/daemon-clients.ts';
import { bannerServer, echoServer } from '../support/echo-servers.ts';
import { lbctl, lbctlEnv } from '../support/lbctl.ts';
import type { TlsClient } from '../support/tls-client.ts';
import { startTraffic } from '../support/traffic.ts';

/** Enough to be sure that each of two workers gets some. */
const MANY = 16;

const ca = await createTestCa();
const clientA = await ca.issue({ cn: 'clientA' });
const clientB = await ca.issue({ cn: 'clientB' });
const bystander = await ca.issue({ cn: 'bystander' });

/** Group `web` of these servers for clientA, and traffic of a bystander on another group that no change may disturb. */
async function startWithBystander(t: TestContext, servers: readonly string[], clients: readonly string[] = ['clientA']) {
  const echo = await echoServer(t);
  const unchecked = { healthCheck: { type: 'none' } };
  const daemon = await startDaemon(t, {
    ca,
    config: {
      workers: 2,
      targetGroups: [
        { name: 'web', upstreamServers: servers, ...unchecked },
        { name: 'other', upstreamServers: [echo.address], ...unchecked },
      ],
      clients: [
        ...clients.map((clientId) => ({ clientId, allowedTargetGroup: 'web' })),
        { clientId: 'bystander', allowedTargetGroup: 'other' },
      ],
    },
  });
  const traffic = startTraffic(t, daemon, bystander);
  await traffic.answeredMore(4);
  return { daemon, assertUndisturbed: async () => assert.deepEqual((await traffic.stop()).failures, []) };
}

async function connectMany(t: TestContext, daemon: ReadyDaemon, certificate = clientA, count = MANY): Promise<TlsClient[]> {
  const clients = Array.from({ length: count }, () => connectTo(t, daemon, certificate));
  await Promise.all(clients.map((client) => roundTrip(client, 'hello')));
  return clients;
}

async function assertRefused(t: TestContext, daemon: ReadyDaemon, certificate: typeof clientA, reason: string): Promise<void> {
  const refused = Array.from({ length: MANY }, () => connectTo(t, daemon, certificate));
  for (const client of refused) assert.notEqual((await client.ending).how, 'failed');
  let seen = 0;
  await daemon.waitForLog((line) => line['reason'] === reason && ++seen === MANY);
  assert.deepEqual(Buffer.concat(refused.map((client) => client.received())).length, 0);
}

const run = (daemon: ReadyDaemon, ...args: readonly string[]) =>
  lbctl(args, { env: lbctlEnv(daemon.admin, daemon.caCert, daemon.operator) });

test('a server that was added gets its connections from every worker', async (t) => {
  const [first, second] = await Promise.all([echoServer(t), echoServer(t)]);
  const { daemon, assertUndisturbed } = await startWithBystander(t, [first.address]);
  await connectMany(t, daemon);
  const { code, stderr } = await run(daemon, 'add-upstream-server', '--target-group', 'web', '--server', second.address);
  assert.equal(code, 0, stderr);
  await connectMany(t, daemon);
  // Least connections, exact over the workers: the new one had none.
  assert.deepEqual([first.open, second.open], [MANY, MANY]);
  await assertUndisturbed();
});

test('a server that was removed gets no connection more, and keeps those it has', async (t) => {
  const [first, second] = await Promise.all([bannerServer(t, 'first\n'), bannerServer(t, 'second\n')]);
  const { daemon, assertUndisturbed } = await startWithBystander(t, [first.address, second.address]);
  const live = await connectMany(t, daemon);
  assert.deepEqual([first.open, second.open], [MANY / 2, MANY / 2]);

  const removal = RemoveUpstreamServerRequest.fromPartial({ targetGroup: 'web', server: second.address });
  const progress = watch(adminOf(t, daemon), rpc.removeUpstreamServer, removal);
  assert.deepEqual(await progress.next(), { revision: 2n, connectionsLeft: BigInt(MANY / 2), done: false, connectionsReset: 0n });
  for (const client of await connectMany(t, daemon)) assert.match(String(client.received()), /^first\n/);

  await Promise.all(live.map((client) => roundTrip(client, 'goodbye')));
  for (const client of live) client.socket.end();
  await Promise.all(live.map((client) => client.readAll()));
  let last = await progress.next();
  while (!last.done) last = await progress.next();
  assert.deepEqual(last, { revision: 2n, connectionsLeft: 0n, done: true, connectionsReset: 0n });
  await second.idle();
  await assertUndisturbed();
});

test('a client that was added is let in by every worker', async (t) => {
  const echo = await echoServer(t);
  const { daemon, assertUndisturbed } = await startWithBystander(t, [echo.address], []);
  await assertRefused(t, daemon, clientA, 'unknown_client');
  const client = { clientId: 'clientA', allowedTargetGroups: ['web'] };
  await ask(adminOf(t, daemon), rpc.addClient, AddClientRequest.fromPartial({ client }));
  await connectMany(t, daemon);
  await assertUndisturbed();
});

test('a client that was removed is let in by no worker, its connections are reset and those of others are not', async (t) => {
  const echo = await echoServer(t);
  const { daemon, assertUndisturbed } = await startWithBystander(t, [echo.address], ['clientA', 'clientB']);
  const [removed, kept] = await Promise.all([connectMany(t, daemon), connectMany(t, daemon, clientB)]);

  const { connectionsClosed } = await ask(adminOf(t, daemon), rpc.removeClient, RemoveClientRequest.fromPartial({ clientId: 'clientA' }));
  assert.equal(connectionsClosed, BigInt(MANY));
  await assertRefused(t, daemon, clientA, 'unknown_client');
  for (const client of removed) assert.deepEqual(await client.ending, { how: 'reset' });
  await Promise.all(kept.map((client) => roundTrip(client, 'still here')));
  const closed = daemon.logs.filter(({ reason }) => reason === 'client_removed');
  assert.deepEqual(
    closed.map(({ client }) => client),
    Array.from({ length: MANY }, () => 'clientA'),
  );
  await assertUndisturbed();
});

test('a log level is in force in every worker', async (t) => {
  const echo = await echoServer(t);
  const { daemon, assertUndisturbed } = await startWithBystander(t, [echo.address]);
  const closeMany = async () => {
    const clients = await connectMany(t, daemon);
    for (const client of clients) client.socket.end();
    await Promise.all(clients.map((client) => client.readAll()));
  };
  const linesOfA = () => daemon.logs.filter(({ client }) => client === 'clientA').length;

  assert.equal((await run(daemon, 'set-log-level', '--level', 'warn')).code, 0);
  await closeMany();
  assert.equal((await run(daemon, 'set-log-level', '--level', 'info')).code, 0);
  assert.equal(linesOfA(), 0);
  await closeMany();
  let seen = 0;
  await daemon.waitForLog(({ client }) => client === 'clientA' && ++seen === MANY);
  assert.equal(linesOfA(), MANY);
  await assertUndisturbed();
});
