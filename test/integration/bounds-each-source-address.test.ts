import assert from 'node:assert/strict';
import { once } from 'node:events';
import { connect } from 'node:net';
import { type TestContext, test } from 'node:test';
import { addressBits } from '../../src/domain/cidr.ts';
import { proxyHeaderV1 } from '../../src/domain/proxy-protocol.ts';
import { AdminServiceService as rpc } from '../../src/gen/lb/admin/v1/admin.ts';
import { ask } from '../support/admin-server.ts';
import { applyConfig, configWith } from '../support/apply-config.ts';
import { createTestCa } from '../support/certificates.ts';
import { startDaemon } from '../support/daemon.ts';
import { adminOf } from '../support/daemon-clients.ts';
import { echoServer } from '../support/echo-servers.ts';
import { freePort } from '../support/free-port.ts';
import { type RunningBalancer, startBalancer, uncheckedGroup } from '../support/running-balancer.ts';
import { tcpClient } from '../support/tcp-client.ts';

async function start(t: TestContext, perAddress: object, more: object = {}, workers = 2): Promise<RunningBalancer> {
  const upstream = await echoServer(t);
  return startBalancer(t, {
    config: {
      workers,
      listenAddress: undefined,
      listeners: [{ name: 'main', address: '127.0.0.1:0', perAddress, ...more }],
      targetGroups: [uncheckedGroup('web', [upstream.address])],
      clients: [
        { clientId: 'alice', allowedTargetGroups: ['web'] },
        { clientId: 'lan', match: { cidr: '127.0.0.0/8' }, allowedTargetGroups: ['web'] },
      ],
    },
  });
}

test('concurrent connections of one address are bounded exactly over two workers, and places come back', async (t) => {
  const balancer = await start(t, { concurrentConnections: 5 }, { plain: true });
  const clients = await Promise.all(Array.from({ length: 20 }, () => tcpClient(t, balancer.port())));
  const refused = await balancer.nextLines(15);
  assert.deepEqual([...new Set(refused.map(({ reason }) => reason))], ['address_limited']);
  assert.match(refused[0]?.detail ?? '', /^127\.0\.0\.1 is over perAddress\.concurrentConnections: 5$/);
  await balancer.until(({ stats }) => stats.totals().active === 5);
  for (const { socket } of clients) socket.end();
  const served = await balancer.nextLines(5);
  assert.deepEqual([...new Set(served.map(({ reason }) => reason))], ['client_closed']);
  const again = await tcpClient(t, balancer.port());
  again.socket.end();
  assert.equal((await balancer.nextLine()).reason, 'client_closed');
  balancer.assertIdle();
});

test('handshakes under way of one address are bounded, and another address is not', async (t) => {
  const balancer = await start(t, { pendingHandshakes: 3 });
  const idle = await Promise.all(Array.from({ length: 8 }, () => tcpClient(t, balancer.port())));
  const refused = await balancer.nextLines(5);
  assert.deepEqual(
    refused.map(({ reason }) => reason),
    Array(5).fill('address_limited'),
  );
  const other = connect({ port: balancer.port(), host: '127.0.0.1', localAddress: '127.0.0.2' });
  t.after(() => other.destroy());
  other.on('error', () => undefined).end('not TLS');
  assert.equal((await balancer.nextLine()).reason, 'handshake_failed');
  for (const { socket } of idle) socket.destroy();
  await balancer.nextLines(3);
  balancer.assertIdle();
});

test('who is over is logged at once, held for a while, and reset; at once when the balancer stops', async (t) => {
  const balancer = await start(t, { concurrentConnections: 1 }, { plain: true }, 1);
  const served = await tcpClient(t, balancer.port());
  await balancer.until(({ stats }) => stats.totals().active === 1);
  const knock = async () => {
    const cameMs = performance.now();
    const client = await tcpClient(t, balancer.port());
    const line = await balancer.nextLine();
    assert.equal(line.reason, 'address_limited');
    return { client, cameMs, line, isHeld: !client.socket.destroyed && balancer.lb.stats.held() === 1 };
  };
  let refused = await knock();
  // A machine that is busy for longer than it is held sees the next one held.
  for (let tries = 0; !refused.isHeld && tries < 20; tries++) refused = await knock();
  assert.ok(refused.isHeld, 'it is told right away');
  // Of one that comes while others are held no socket is made.
  const another = await knock();
  const { msg, reason, listener, detail } = refused.line;
  const remote = `127.0.0.1:${another.client.socket.localPort}`;
  assert.partialDeepStrictEqual(another.line, { msg, reason, listener, detail, remote, bytesUp: 0, bytesDown: 0 });
  for (const { client, cameMs } of [refused, another]) {
    assert.deepEqual(await client.ending, { how: 'reset' });
    assert.ok(performance.now() - cameMs > 900);
  }
  await balancer.until(({ stats }) => stats.held() === 0);

  const last = await tcpClient(t, balancer.port());
  await balancer.nextLine();
  const stopped = balancer.lb.stop(10_000);
  assert.deepEqual(await last.ending, { how: 'reset' });
  // The one that is served has not been touched, and is what the stop waits for.
  served.socket.end();
  await stopped;
});

test('where no more can be held, who is over is disconnected before there is a socket, counted and logged; others are let in', async (t) => {
  const upstream = await echoServer(t);
  // So few files that none is there for holding.
  const daemon = await startDaemon(t, {
    ca: await createTestCa(),
    before: 'ulimit -n 64',
    config: {
      workers: 1,
      listenAddress: undefined,
      listeners: [{ name: 'main', address: '127.0.0.1:0', plain: true, perAddress: { concurrentConnections: 1 } }],
      targetGroups: [uncheckedGroup('web', [upstream.address])],
      clients: [{ clientId: 'lan', match: { cidr: '127.0.0.0/8' }, allowedTargetGroup: 'web' }],
    },
  });
  await tcpClient(t, daemon.port);
  await upstream.acceptedAtLeast(1);
  const refused = connect(daemon.port, '127.0.0.1').on('error', () => undefined);
  t.after(() => refused.destroy());
  await new Promise((resolve) => refused.resume().once('close', resolve));
  const line = await daemon.waitForLog(({ reason }) => reason === 'address_limited');
  assert.match(`${line.remote} ${line.listener}`, /^127\.0\.0\.1:\d+ main$/);
  assert.match(String(line.detail), /over perAddress\.concurrentConnections: 1$/);
  const dropped = await ask(adminOf(t, daemon), rpc.getDroppedRequests, { clientId: '' });
  assert.deepEqual(dropped.byReason, [{ reason: 'address_limited', count: 1n, refused: true }]);
  const other = connect({ port: daemon.port, host: '127.0.0.1', localAddress: '127.0.0.2' }).on('error', () => undefined);
  t.after(() => other.destroy());
  await upstream.acceptedAtLeast(2);
});

test('new connections of one address are bounded by a bucket, and Explain says so', async (t) => {
  const balancer = await start(t, { connectionsPerSecond: 1, burst: 4 }, { plain: true });
  const beganMs = performance.now();
  for (let count = 0; count < 6; count++) (await tcpClient(t, balancer.port())).socket.end();
  const lines = await balancer.nextLines(6);
  const refilled = Math.ceil((performance.now() - beganMs) / 1000);
  const limited = lines.filter(({ reason }) => reason === 'address_limited').length;
  assert.ok(limited <= 2 && limited >= 2 - refilled, `${limited} were refused in ${refilled} s`);
  let refusal: string | undefined;
  for (let tries = 0; refusal === undefined && tries < 20; tries++) {
    const explained = await balancer.lb.explain({
      peer: { kind: 'nobody' },
      source: addressBits('127.0.0.1'),
      listener: 'main',
      sni: undefined,
      alpn: undefined,
    });
    const [step] = explained?.steps ?? [];
    assert.equal(step?.name, 'address');
    refusal = explained?.refusal;
    if (refusal !== undefined) break;
    // The bucket has refilled: use it up.
    (await tcpClient(t, balancer.port())).socket.end();
    await balancer.nextLine();
  }
  assert.equal(refusal, 'address_limited');
});

test('behind a proxy it is the client that is bounded, not the proxy', async (t) => {
  const balancer = await start(t, { concurrentConnections: 1 }, { plain: true, acceptProxyProtocol: ['127.0.0.1'] });
  const through = async (host: string) => {
    const client = await tcpClient(t, balancer.port());
    client.socket.write(proxyHeaderV1({ source: { host, port: 1 }, destination: { host: '127.0.0.1', port: 2 } }));
    return client;
  };
  await through('127.1.0.1');
  await through('127.1.0.2');
  await balancer.until(({ stats }) => stats.totals().active === 2);
  await through('127.1.0.2');
  const line = await balancer.nextLine();
  assert.deepEqual([line.reason, line.remote], ['address_limited', '127.1.0.2:1']);
});

test('bounds that a listener gets at run time count the connections that are open by then', async (t) => {
  const upstream = await echoServer(t);
  const main = { name: 'main', address: `127.0.0.1:${await freePort()}`, plain: true };
  const daemon = await startDaemon(t, {
    config: {
      listenAddress: undefined,
      listeners: [main],
      workers: 2,
      targetGroups: [uncheckedGroup('web', [upstream.address])],
      clients: [{ clientId: 'lan', match: { cidr: '127.0.0.0/8' }, allowedTargetGroups: ['web'] }],
    },
  });
  const admin = adminOf(t, daemon);
  const echoing = async () => {
    const client = await tcpClient(t, daemon.port);
    client.socket.write('hello');
    await once(client.socket, 'data');
    return client;
  };
  const [first] = await Promise.all(Array.from({ length: 6 }, echoing));
  await applyConfig(admin, configWith(daemon, { listeners: [{ ...main, perAddress: { concurrentConnections: 6 } }] }));
  const seventh = await tcpClient(t, daemon.port);
  assert.deepEqual(await seventh.ending, { how: 'reset' });
  const refused = await daemon.waitForLog(({ msg }) => msg === 'connection refused');
  assert.equal(refused['detail'], '127.0.0.1 is over perAddress.concurrentConnections: 6');
  first?.socket.end();
  await daemon.waitForLog(({ msg }) => msg === 'connection closed');
  await echoing();
});
