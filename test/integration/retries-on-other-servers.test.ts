import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createTestCa } from '../support/certificates.ts';
import { echoServer } from '../support/echo-servers.ts';
import { freePort } from '../support/free-port.ts';
import { startBalancer, uncheckedGroup } from '../support/running-balancer.ts';
import { stalledServer } from '../support/stalled-server.ts';

const CONNECTIONS = 12;

test('a client is served as long as one of the servers that may be tried answers', async (t) => {
  const [live, stalled] = await Promise.all([echoServer(t), stalledServer(t)]);
  const dead = [`127.0.0.1:${await freePort()}`, `127.0.0.1:${await freePort()}`, `127.0.0.1:${await freePort()}`];
  const ca = await createTestCa();
  const balancer = await startBalancer(t, {
    ca,
    config: {
      targetGroups: [
        // Not checked, so that a dead server is found out by each connection anew.
        uncheckedGroup('three-dead', [...dead, live.address]),
        uncheckedGroup('one-retry', [...dead, live.address], { retries: 1, algorithm: 'roundRobin' }),
        uncheckedGroup('one-stalled', [stalled, live.address], { connectTimeout: '3s', algorithm: 'roundRobin' }),
      ],
      clients: ['three-dead', 'one-retry', 'one-stalled'].map((name) => ({ clientId: name, allowedTargetGroup: name })),
    },
  });
  const failures = (group: string, addresses: readonly string[]) =>
    addresses.reduce((sum, address) => sum + balancer.lb.stats.server(group, address).failed, 0);

  for (const [group, unreachable] of [
    ['three-dead', dead],
    ['one-stalled', [stalled]],
  ] as const) {
    await t.test(group, async (t) => {
      const certificate = await ca.issue({ cn: group });
      const clients = Array.from({ length: CONNECTIONS }, () => balancer.connect(t, { certificate }));
      for (const client of clients) client.socket.end('hello');
      for (const client of clients) assert.equal((await client.readAll()).toString(), 'hello');
      const lines = await balancer.nextLines(CONNECTIONS);
      for (const line of lines) {
        assert.partialDeepStrictEqual(line, { reason: 'client_closed', server: live.address });
        assert.ok((line.attempts ?? 0) <= unreachable.length + 1, `${line.attempts} attempts`);
      }
      const attempts = lines.reduce((sum, line) => sum + (line.attempts ?? 0), 0);
      assert.ok(attempts > CONNECTIONS, 'some came to a server that does not answer first');
      assert.equal(failures(group, unreachable), attempts - CONNECTIONS, 'each failed attempt is counted on its server');
      balancer.assertIdle();
    });
  }

  await t.test('one-retry: one other server is tried, and no more', async (t) => {
    const certificate = await ca.issue({ cn: 'one-retry' });
    for (let count = 0; count < 8; count++) {
      const client = balancer.connect(t, { certificate });
      client.socket.write('hello');
      const answered = client.readUntil('hello').then(() => client.socket.end());
      await Promise.race([answered, client.ending]);
      const line = await balancer.nextLine();
      if (line.reason === 'client_closed') assert.ok((line.attempts ?? 0) <= 2);
      else {
        assert.equal(line.reason, 'upstream_connect_failed');
        assert.match(line.detail ?? '', /^127\.0\.0\.1:\d+: ECONNREFUSED \(the last of 2 tried\)$/);
      }
    }
    const refused = balancer.lb.stats.totals().byReason.get('upstream_connect_failed') ?? 0;
    assert.ok(refused > 0 && refused < 8, `${refused} of 8 came to two dead servers`);
    balancer.assertIdle();
  });
});
