import assert from 'node:assert/strict';
import { once } from 'node:events';
import { connect } from 'node:net';
import { test } from 'node:test';
import { echoServer } from '../support/echo-servers.ts';
import { startBalancer, uncheckedGroup } from '../support/running-balancer.ts';

/** So many that the system has let some of them in and heard of their reset before a worker has taken them. */
const CLIENTS = 300;

test('a client that has reset before it is looked at is gone, and nobody else', async (t) => {
  const upstream = await echoServer(t);
  const balancer = await startBalancer(t, {
    config: {
      workers: 1,
      listeners: [
        { name: 'plain', address: '127.0.0.1:0', plain: true },
        { name: 'tls', address: '127.0.0.1:0', perAddress: { concurrentConnections: 1000 } },
      ],
      targetGroups: [uncheckedGroup('web', [upstream.address])],
      clients: [{ clientId: 'net', match: { cidr: '127.0.0.0/8' }, allowedTargetGroup: 'web' }],
    },
  });
  for (const listener of ['plain', 'tls']) {
    const port = balancer.port(listener);
    const clients = Array.from({ length: CLIENTS }, () => {
      const socket = connect({ port, host: '127.0.0.1' });
      socket.once('connect', () => socket.resetAndDestroy());
      return once(socket, 'close');
    });
    await Promise.all(clients);
    const lines = await balancer.nextLines(CLIENTS);
    const unseen = lines.filter(({ remote }) => !remote.startsWith('127.0.0.1:'));
    assert.ok(unseen.length > 0, 'no client had left before it was looked at');
    for (const line of unseen)
      assert.partialDeepStrictEqual(line, { reason: 'client_gone', remote: 'unknown', detail: 'the client left before it was looked at' });
    balancer.assertIdle();
  }
});
