import assert from 'node:assert/strict';
import { once } from 'node:events';
import { connect } from 'node:net';
import path from 'node:path';
import { type TestContext, test } from 'node:test';
import { AdminServiceService as rpc } from '../../src/gen/lb/admin/v1/admin.ts';
import { ask, refused } from '../support/admin-server.ts';
import { applyConfig, configWith } from '../support/apply-config.ts';
import { createTestCa } from '../support/certificates.ts';
import { startDaemon } from '../support/daemon.ts';
import { adminOf, connectTo, roundTrip } from '../support/daemon-clients.ts';
import { echoServer, namedServer } from '../support/echo-servers.ts';
import { freePort } from '../support/free-port.ts';
import { takenPort } from '../support/taken-port.ts';
import { tcpClient } from '../support/tcp-client.ts';

const ca = await createTestCa();
const clientA = await ca.issue({ cn: 'clientA' });
/** Enough to be sure that each of two workers gets some. */
const MANY = 16;

async function start(t: TestContext) {
  const [port, echo] = [await freePort(), await echoServer(t)];
  const main = { name: 'main', address: `127.0.0.1:${port}` };
  const daemon = await startDaemon(t, {
    ca,
    config: {
      listenAddress: undefined,
      listeners: [main],
      workers: 2,
      targetGroups: [{ name: 'web', upstreamServers: [echo.address], healthCheck: { type: 'none' } }],
      clients: [{ clientId: 'clientA', match: { cn: 'clientA' }, allowedTargetGroup: 'web' }],
    },
  });
  const admin = adminOf(t, daemon);
  const listeners = async () => (await ask(admin, rpc.getState, {})).listeners.map(({ name, address }) => `${name} ${address}`);
  const served = async (at: number, trusted = ca) => {
    const clients = Array.from({ length: MANY }, () => connectTo(t, { port: at, ca: trusted }, clientA));
    await Promise.all(clients.map((client) => roundTrip(client, 'hello')));
    for (const { socket } of clients) socket.destroy();
  };
  return { daemon, admin, main, port, echo, listeners, served };
}

/** `refused`: nobody listens there. */
async function knock(port: number): Promise<'open' | 'refused'> {
  const socket = connect(port, '127.0.0.1');
  try {
    await once(socket, 'connect');
    return 'open';
  } catch {
    return 'refused';
  } finally {
    socket.destroy();
  }
}

test('a new listener opens, and one that is removed closes while its connections go on', async (t) => {
  const { daemon, admin, main, port, listeners, served } = await start(t);
  const live = connectTo(t, daemon, clientA);
  await roundTrip(live, 'before');
  const other = await freePort();
  const second = { name: 'second', address: `127.0.0.1:${other}` };

  const { differences, needsRestart, warnings } = await applyConfig(admin, configWith(daemon, { listeners: [main, second] }));
  assert.deepEqual([differences.map((each) => each.path), needsRestart], [['listeners/second'], []]);
  assert.deepEqual(warnings, ['listeners change: lbd takes those of its own file when it starts, so the same is to stand there']);
  assert.deepEqual(await listeners(), [`main 127.0.0.1:${port}`, `second 127.0.0.1:${other}`]);
  await served(other);
  const onSecond = connectTo(t, { port: other, ca }, clientA);
  await roundTrip(onSecond, 'on the second');

  await applyConfig(admin, configWith(daemon, { listeners: [second] }));
  assert.deepEqual(await listeners(), [`second 127.0.0.1:${other}`]);
  // Every worker closes its port by itself, in a turn in which nobody comes.
  while ((await knock(port)) === 'open');
  await roundTrip(live, 'after');
  await roundTrip(onSecond, 'still here');
  await served(other);
});

test('a listener moves to another port and another name, and back', async (t) => {
  const { daemon, admin, main, port, listeners, served } = await start(t);
  const other = await freePort();
  const live = connectTo(t, daemon, clientA);
  await roundTrip(live, 'before');
  await applyConfig(admin, configWith(daemon, { listeners: [{ ...main, address: `127.0.0.1:${other}` }] }));
  await served(other);
  while ((await knock(port)) === 'open');
  await applyConfig(admin, configWith(daemon, { listeners: [{ ...main, name: 'renamed', address: `127.0.0.1:${other}` }] }));
  await served(other);
  assert.deepEqual(await listeners(), [`renamed 127.0.0.1:${other}`]);
  await applyConfig(admin, configWith(daemon, { listeners: [main] }));
  await served(port);
  await roundTrip(live, 'after');
});

test('a port that is taken refuses the whole change, and nothing of it is left', async (t) => {
  const { daemon, admin, main, listeners, served, port } = await start(t);
  const [stranger, free] = [await takenPort(t), await freePort()];
  const added = [
    { name: 'free', address: `127.0.0.1:${free}` },
    { name: 'taken', address: `127.0.0.1:${stranger.port}` },
  ];
  const before = await ask(admin, rpc.getState, {});
  const { fields, message } = await refused(applyConfig(admin, configWith(daemon, { listeners: [main, ...added] })));
  assert.deepEqual(fields, ['listeners.taken.address']);
  assert.match(message, /listener "taken" cannot listen on 127\.0\.0\.1:\d+: another program has the port/);
  assert.equal((await ask(admin, rpc.getState, {})).revision, before.revision);
  assert.deepEqual(await listeners(), [`main 127.0.0.1:${port}`]);
  assert.equal(await knock(free), 'refused');
  await served(port);
});

test('an address that this machine does not have refuses the whole change, and nothing of it is left', async (t) => {
  const { daemon, admin, main, listeners, served, port } = await start(t);
  const free = await freePort();
  const added = [
    { name: 'free', address: `127.0.0.1:${free}` },
    // TEST-NET-1 of RFC 5737: nobody's.
    { name: 'elsewhere', address: '192.0.2.1:8080' },
  ];
  const { fields, message } = await refused(applyConfig(admin, configWith(daemon, { listeners: [main, ...added] })));
  assert.deepEqual(fields, ['listeners.elsewhere.address']);
  assert.match(
    message,
    /listener "elsewhere" cannot listen on 192\.0\.2\.1:8080: listen EADDRNOTAVAIL: address not available 192\.0\.2\.1:8080/,
  );
  assert.deepEqual(await listeners(), [`main 127.0.0.1:${port}`]);
  // The worker had opened it, and closes it in a turn in which nobody comes.
  while ((await knock(free)) === 'open');
  await served(port);
});

test('a TLS file that cannot be served refuses the whole change', async (t) => {
  const { daemon, admin, main, port, served } = await start(t);
  const foreign = await createTestCa({ name: 'foreign' });
  const files = await foreign.writeTo(path.join(daemon.folder, 'other'), { server: await foreign.issueServer(), client: clientA });
  const tls = { certificate: files.server.certificate, privateKey: files.client.privateKey, caCert: daemon.caCert };
  const { fields, message } = await refused(applyConfig(admin, configWith(daemon, { listeners: [{ ...main, tls }] })));
  assert.deepEqual(fields, ['listeners.main.tls.private_key']);
  assert.match(message, /the key does not match the certificate/);
  await served(port);
});

test('routes, certificate and the kind of a listener change in place, for new connections', async (t) => {
  const { daemon, admin, main, port, echo, served } = await start(t);
  const named = await namedServer(t, 'other');
  const live = connectTo(t, daemon, clientA);
  await roundTrip(live, 'before');

  const foreign = await createTestCa({ name: 'foreign' });
  const { server } = await foreign.writeTo(path.join(daemon.folder, 'other'), { server: await foreign.issueServer() });
  await applyConfig(admin, configWith(daemon, { listeners: [{ ...main, tls: { ...server, caCert: daemon.caCert } }] }));
  await served(port, foreign);

  const groups = {
    targetGroups: [
      { name: 'web', upstreamServers: [echo.address], healthCheck: { type: 'none' } },
      { name: 'other', upstreamServers: [named.address], healthCheck: { type: 'none' } },
    ],
    clients: [{ clientId: 'clientA', match: { cn: 'clientA' }, allowedTargetGroups: ['web', 'other'] }],
  };
  const routes = [{ alpn: 'named', targetGroup: 'other' }];
  await applyConfig(admin, configWith(daemon, { ...groups, listeners: [{ ...main, routes }] }));
  for (let count = 0; count < MANY; count++) {
    const client = connectTo(t, daemon, clientA, { alpn: ['named'] });
    client.socket.write('who?');
    await client.readUntil('other');
    client.socket.destroy();
  }

  const plain = { ...main, plain: true, targetGroup: 'web' };
  const clients = [
    { clientId: 'clientA', match: { cn: 'clientA' }, allowedTargetGroup: 'web' },
    { clientId: 'loopback', match: { cidr: '127.0.0.0/8' }, allowedTargetGroup: 'web' },
  ];
  await applyConfig(admin, configWith(daemon, { clients, listeners: [plain] }));
  for (let count = 0; count < MANY; count++) {
    const { socket } = await tcpClient(t, port);
    socket.write('in the clear\n');
    const [text] = await once(socket, 'data');
    assert.equal(String(text), 'in the clear\n');
    socket.destroy();
  }
  await roundTrip(live, 'after');
});
