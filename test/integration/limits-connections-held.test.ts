import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createTestCa } from '../support/certificates.ts';
import { echoServer } from '../support/echo-servers.ts';
import { startBalancer, uncheckedGroup } from '../support/running-balancer.ts';

const LIMIT = 7;
const BURST = 25;

test('a client holds exactly as many connections as it may, over both workers', async (t) => {
  const upstream = await echoServer(t);
  const ca = await createTestCa();
  const certificate = await ca.issue({ cn: 'alice' });
  const balancer = await startBalancer(t, {
    ca,
    config: {
      targetGroups: [uncheckedGroup('web', [upstream.address])],
      clients: [{ clientId: 'alice', allowedTargetGroup: 'web', limits: { concurrentConnections: LIMIT } }],
    },
  });

  /** Twice, since places that came back must be places again. */
  for (const round of ['first', 'second']) {
    const clients = Array.from({ length: BURST }, () => balancer.connect(t, { certificate }));
    const outcomes = await Promise.all(
      clients.map(async (client) => {
        client.socket.write('hello');
        const served = client.readUntil('hello').then(
          () => 'served' as const,
          () => 'not served' as const,
        );
        return { client, outcome: await served };
      }),
    );
    const served = outcomes.filter(({ outcome }) => outcome === 'served');
    assert.equal(served.length, LIMIT, `${round} round`);
    for (const line of await balancer.nextLines(BURST - LIMIT)) {
      assert.partialDeepStrictEqual(line, {
        reason: 'too_many_connections',
        client: 'alice',
        detail: `alice holds ${LIMIT} connections; its limit is ${LIMIT}`,
      });
    }
    for (const { client, outcome } of outcomes) if (outcome === 'not served') assert.deepEqual(await client.ending, { how: 'reset' });
    assert.equal(balancer.lb.stats.client('alice').active, LIMIT);

    for (const { client } of served) client.socket.end();
    for (const line of await balancer.nextLines(LIMIT)) assert.equal(line.reason, 'client_closed');
    balancer.assertIdle();
  }
  assert.equal(upstream.accepted, 2 * LIMIT, 'no refused connection reached a server');
});
