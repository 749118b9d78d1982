import assert from 'node:assert/strict';
import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import { type TestContext, test } from 'node:test';
import { addressBits } from '../../src/domain/cidr.ts';
import { bannerServer, echoServer, replyAfterEndServer, startUpstream, type TestUpstream } from '../support/echo-servers.ts';
import { type RunningBalancer, startBalancer, uncheckedGroup } from '../support/running-balancer.ts';
import { tcpClient } from '../support/tcp-client.ts';

async function start(t: TestContext, upstream: TestUpstream, clients: readonly object[]): Promise<RunningBalancer> {
  return startBalancer(t, {
    config: {
      listenAddress: undefined,
      listeners: [
        { name: 'private', address: '127.0.0.1:0', plain: true },
        { name: 'tls', address: '127.0.0.1:0' },
      ],
      targetGroups: [uncheckedGroup('web', [upstream.address])],
      clients,
    },
  });
}

const LAN = { clientId: 'lan', match: { cidr: '127.0.0.0/8' }, allowedTargetGroups: ['web'] };

async function from(t: TestContext, balancer: RunningBalancer, localAddress: string, allowHalfOpen = false): Promise<Socket> {
  const socket = connect({ port: balancer.port('private'), host: '127.0.0.1', localAddress, allowHalfOpen });
  t.after(() => socket.destroy());
  // The balancer resets what is left at the end of a test.
  socket.on('error', () => undefined);
  await once(socket, 'connect');
  return socket;
}

async function readAll(socket: Socket): Promise<string> {
  let text = '';
  for await (const chunk of socket) text += String(chunk);
  return text;
}

test('the longest network that holds the address says who it is, and bytes and ends go both ways', async (t) => {
  const balancer = await start(t, await replyAfterEndServer(t), [
    LAN,
    { clientId: 'two', match: { cidr: '127.0.0.2' }, allowedTargetGroups: ['web'], limits: { concurrentConnections: 1 } },
  ]);
  for (const [address, clientId] of [
    ['127.0.0.1', 'lan'],
    ['127.0.0.2', 'two'],
  ] as const) {
    const socket = await from(t, balancer, address, true);
    socket.end('hello');
    assert.equal(await readAll(socket), 'hello');
    const line = await balancer.nextLine();
    assert.deepEqual([line.client, line.reason, line.identity], [clientId, 'client_closed', undefined]);
  }
  balancer.assertIdle();
});

test('a server that speaks first is heard before the client has said a word', async (t) => {
  const balancer = await start(t, await bannerServer(t, 'SSH-2.0'), [LAN]);
  const socket = await from(t, balancer, '127.0.0.1');
  const [banner] = await once(socket, 'data');
  assert.equal(String(banner), 'SSH-2.0');
});

test('an address that no client has is refused, and a client with a certificate is not known by its address', async (t) => {
  const upstream = await echoServer(t);
  const balancer = await start(t, upstream, [
    { clientId: 'other', match: { cidr: '10.0.0.0/8' }, allowedTargetGroups: ['web'] },
    { clientId: 'alice', match: { cn: 'alice', cidr: '127.0.0.1' }, allowedTargetGroups: ['web'] },
  ]);
  const { ending } = await tcpClient(t, balancer.port('private'));
  assert.deepEqual(await ending, { how: 'reset' });
  const line = await balancer.nextLine();
  assert.deepEqual([line.reason, line.detail], ['unknown_client', "no client's network holds 127.0.0.1"]);
  assert.equal(upstream.accepted, 0);
});

test('with TLS, a client with a network must come from there, and a network alone lets no certificate in', async (t) => {
  const balancer = await start(t, await echoServer(t), [
    LAN,
    { clientId: 'alice', match: { cn: 'alice', cidr: '127.0.0.2' }, allowedTargetGroups: ['web'] },
  ]);
  const port = balancer.port('tls');
  const alice = await balancer.ca.issue({ cn: 'alice' });
  const away = balancer.connect(t, { port, certificate: alice });
  await away.ending;
  assert.equal((await balancer.nextLine()).reason, 'unknown_client');
  const lan = balancer.connect(t, { port, certificate: await balancer.ca.issue({ cn: 'lan' }) });
  await lan.ending;
  assert.equal((await balancer.nextLine()).reason, 'unknown_client');
});

test('a change of the network ends the connections that come from elsewhere, and those alone', async (t) => {
  const balancer = await start(t, await echoServer(t), [LAN]);
  const [one, two] = [await from(t, balancer, '127.0.0.1'), await from(t, balancer, '127.0.0.2')];
  for (const socket of [one, two]) {
    socket.write('a');
    await once(socket, 'data');
  }
  const client = balancer.lb.snapshot.clients.get('lan') ?? assert.fail();
  const gone = assert.rejects(once(one, 'end'), { code: 'ECONNRESET' });
  await balancer.lb.execute({ kind: 'updateClient', client: { ...client, match: { ...client.match, cidr: '127.0.0.2' } } });
  await gone;
  const line = await balancer.nextLine();
  assert.deepEqual([line.reason, line.remote.split(':')[0]], ['permission_removed', '127.0.0.1']);
  two.write('b');
  const [answer] = await once(two, 'data');
  assert.equal(String(answer), 'b');
});

test('Explain says who comes from an address', async (t) => {
  const balancer = await start(t, await echoServer(t), [LAN]);
  const ask = (source: string | undefined) =>
    balancer.lb.explain({
      peer: { kind: 'nobody' },
      source: source === undefined ? undefined : addressBits(source),
      listener: 'private',
      sni: undefined,
      alpn: undefined,
    });
  assert.deepEqual((await ask('127.9.9.9'))?.clientId, 'lan');
  assert.deepEqual((await ask('10.0.0.1'))?.refusal, 'unknown_client');
  assert.deepEqual((await ask(undefined))?.refusal, 'unknown_client');
});

test('a client does not take what it got from a server that failed for the whole', async (t) => {
  const upstream = await startUpstream(t, (socket) => socket.write('half', () => socket.once('data', () => socket.resetAndDestroy())));
  const balancer = await start(t, upstream, [LAN]);
  const socket = await from(t, balancer, '127.0.0.1');
  const [half] = await once(socket, 'data');
  assert.equal(String(half), 'half');
  socket.write('more');
  await assert.rejects(once(socket, 'end'), { code: 'ECONNRESET' });
  assert.equal((await balancer.nextLine()).reason, 'upstream_reset');
});
