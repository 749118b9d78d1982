import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createTestCa } from '../support/certificates.ts';
import { echoServer } from '../support/echo-servers.ts';
import { startBalancer, uncheckedGroup } from '../support/running-balancer.ts';
import { tcpClient } from '../support/tcp-client.ts';
import type { TlsClient } from '../support/tls-client.ts';

/** A TLS record header that announces a handshake message of 512 bytes, which never come. */
const BEGINNING_OF_A_HELLO = Buffer.from('1603010200', 'hex');

test('a client that stalls in the handshake is reset at the deadline, whether it said something or nothing', async (t) => {
  const balancer = await startBalancer(t, { config: { timeouts: { handshakeTimeout: '150ms' } } });
  const silent = await tcpClient(t, balancer.port());
  const stalling = await tcpClient(t, balancer.port());
  stalling.socket.write(BEGINNING_OF_A_HELLO);
  for (const { ending } of [silent, stalling]) assert.equal((await ending).how, 'reset');
  for (const line of await balancer.nextLines(2)) {
    assert.partialDeepStrictEqual(line, { reason: 'handshake_timeout', detail: 'no handshake after 150 ms' });
    assert.ok(line.durationMs >= 149, `after ${line.durationMs} ms`);
  }
  balancer.assertIdle();
});

test('a client that sends one byte at a time does not push the deadline away', async (t) => {
  const balancer = await startBalancer(t, { config: { timeouts: { handshakeTimeout: '150ms' } } });
  const dripping = await tcpClient(t, balancer.port());
  const drip = setInterval(() => dripping.socket.write('\x16'), 10);
  t.after(() => clearInterval(drip));
  dripping.socket.write(BEGINNING_OF_A_HELLO);
  await dripping.ending;
  assert.equal((await balancer.nextLine()).reason, 'handshake_timeout');
  balancer.assertIdle();
});

test('a worker refuses handshakes over its bound at once, and takes new ones when old ones have ended', async (t) => {
  const upstream = await echoServer(t);
  const ca = await createTestCa();
  const certificate = await ca.issue({ cn: 'alice' });
  // One worker: with two it is chance which of them a connection comes to.
  const config = {
    workers: 1,
    maxPendingHandshakes: 2,
    targetGroups: [uncheckedGroup('web', [upstream.address])],
    clients: [{ clientId: 'alice', allowedTargetGroup: 'web' }],
  };
  const balancer = await startBalancer(t, { ca, config });
  const first = await tcpClient(t, balancer.port());
  const second = await tcpClient(t, balancer.port());

  // Without TLS: a client whose ClientHello meets the reset is not told of it by Node.js.
  assert.equal((await (await tcpClient(t, balancer.port())).ending).how, 'reset');
  assert.partialDeepStrictEqual(await balancer.nextLine(), {
    reason: 'too_many_handshakes',
    detail: '2 handshakes are under way in this worker',
  });

  first.socket.end();
  second.socket.resetAndDestroy();
  for (const line of await balancer.nextLines(2)) assert.equal(line.reason, 'handshake_failed');
  // Connections that are established are not handshakes.
  const clients: TlsClient[] = [];
  for (let count = 0; count < 3; count++) {
    const client = balancer.connect(t, { certificate });
    client.socket.write('hello');
    await client.readUntil('hello');
    clients.push(client);
  }
  for (const client of clients) client.socket.end();
  for (const line of await balancer.nextLines(3)) assert.equal(line.reason, 'client_closed');
  balancer.assertIdle();
});
