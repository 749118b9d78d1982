import assert from 'node:assert/strict';
import { test } from 'node:test';
import { echoServer } from '../support/echo-servers.ts';
import { freePort } from '../support/free-port.ts';
import { startBalancer, uncheckedGroup } from '../support/running-balancer.ts';
import { tcpClient } from '../support/tcp-client.ts';

test('a listener with another name counts who comes from then on, and with its old one whom it had too', async (t) => {
  // A port 0 goes with the name.
  const [port, { address }] = [await freePort(), await echoServer(t)];
  const balancer = await startBalancer(t, {
    config: {
      listenAddress: undefined,
      listeners: [{ name: 'main', address: `127.0.0.1:${port}`, plain: true, perAddress: { concurrentConnections: 1 } }],
      targetGroups: [uncheckedGroup('web', [address])],
      clients: [{ clientId: 'lan', match: { cidr: '127.0.0.0/8' }, allowedTargetGroups: ['web'] }],
    },
  });
  const { lb } = balancer;
  const { listeners } = lb.snapshot;
  const active = (name: string) => lb.stats.listener(name).active;
  const come = async (name: string) => {
    const client = await tcpClient(t, port);
    await balancer.until(() => active(name) === 1);
    return client;
  };
  const first = await come('main');
  await lb.execute({ kind: 'setListeners', listeners: listeners.map((listener) => ({ ...listener, name: 'renamed' })) });
  assert.deepEqual([active('main'), active('renamed')], [0, 0]);
  const second = await come('renamed');

  await lb.execute({ kind: 'setListeners', listeners });
  assert.deepEqual([active('main'), active('renamed')], [1, 0]);
  await tcpClient(t, port);
  assert.equal((await balancer.nextLine()).reason, 'address_limited');
  for (const { socket } of [first, second]) socket.end();
  for (const line of await balancer.nextLines(2)) assert.equal(line.reason, 'client_closed');
  assert.equal(active('main'), 0);
});
