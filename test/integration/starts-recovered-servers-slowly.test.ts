import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createTestCa } from '../support/certificates.ts';
import { echoServer } from '../support/echo-servers.ts';
import { startBalancer } from '../support/running-balancer.ts';

test('a server gets a small share after it has recovered or was added, and its whole share from the start of lbd on', async (t) => {
  const ca = await createTestCa();
  const steady = await echoServer(t);
  const shaky = await echoServer(t, { host: '127.0.0.3' });
  const healthCheck = { type: 'tcp', interval: '20ms', timeout: '1m', maxInterval: '20ms', healthyThreshold: 1 };
  const balancer = await startBalancer(t, {
    ca,
    config: {
      targetGroups: [{ name: 'web', upstreamServers: [steady.address, shaky.address], healthCheck, slowStart: '24h' }],
      clients: [{ clientId: 'clientA', allowedTargetGroup: 'web' }],
    },
  });
  const certificate = await ca.issue({ cn: 'clientA' });
  const why = async (address: string) => {
    const peer = { kind: 'certificate', chainPem: [certificate.certPem] } as const;
    const explained = await balancer.lb.explain({ peer, listener: 'default', sni: undefined, alpn: undefined });
    return explained?.candidates.find(({ server }) => server === address)?.why;
  };
  const becomes = (address: string, health: string) => balancer.until((lb) => lb.health.statusOf('web', address)?.health === health);
  const held = async (count: number) => {
    const clients = Array.from({ length: count }, () => balancer.connect(t, { certificate }));
    for (const { socket } of clients) socket.write('hello');
    await Promise.all(clients.map((client) => client.readUntil('hello')));
    return [steady, shaky].map(({ address }) => balancer.lb.stats.server('web', address).active);
  };

  assert.equal(await why(shaky.address), 'healthy');
  assert.deepEqual(await held(4), [2, 2]);

  await shaky.close();
  await becomes(shaky.address, 'unhealthy');
  await balancer.until((lb) => lb.stats.server('web', shaky.address).active === 0);
  const again = await echoServer(t, { host: '127.0.0.3', port: shaky.port });
  await becomes(again.address, 'healthy');
  assert.equal(await why(again.address), 'healthy, slow start at 1 %');
  // It is idle, so it gets its first; a second one counts as a hundred.
  assert.deepEqual(await held(20), [21, 1]);

  const added = await echoServer(t);
  await balancer.lb.addUpstreamServer('web', added.address);
  await becomes(added.address, 'healthy');
  assert.equal(await why(added.address), 'healthy, slow start at 1 %');
  assert.equal(await why(steady.address), 'healthy');
});
