import assert from 'node:assert/strict';
import { test } from 'node:test';
import { RATE_ALGORITHMS } from '../../src/domain/model.ts';
import { createTestCa } from '../support/certificates.ts';
import { echoServer } from '../support/echo-servers.ts';
import { startBalancer, uncheckedGroup } from '../support/running-balancer.ts';

/** So long that no window ends, and no token comes back, while the test runs. */
const WINDOW = '1d';
const LIMIT = 12;
const BURST = 30;

test('of a burst of connections over both workers, exactly the limit is admitted', async (t) => {
  const upstream = await echoServer(t);
  const ca = await createTestCa();
  const balancer = await startBalancer(t, {
    ca,
    config: {
      targetGroups: [uncheckedGroup('web', [upstream.address])],
      clients: [
        ...RATE_ALGORITHMS.map((algorithm) => ({
          clientId: algorithm,
          allowedTargetGroup: 'web',
          limits: { connectionRate: { algorithm, limit: LIMIT, window: WINDOW } },
        })),
        { clientId: 'bystander', allowedTargetGroup: 'web', requests_per_second: 1000 },
      ],
    },
  });

  for (const algorithm of RATE_ALGORITHMS) {
    await t.test(algorithm, async (t) => {
      const certificate = await ca.issue({ cn: algorithm });
      const clients = Array.from({ length: BURST }, () => balancer.connect(t, { certificate }));
      const outcomes = await Promise.all(
        clients.map(async (client) => {
          // It does not end its side: the system tells a client that has ended of an end only, not of a reset.
          client.socket.write('hello');
          const answered = client.readUntil('hello').then(() => 'answered' as const);
          const outcome = await Promise.race([answered, client.ending.then(({ how }) => how)]);
          client.socket.end();
          return outcome;
        }),
      );
      assert.equal(outcomes.filter((outcome) => outcome === 'answered').length, LIMIT);
      assert.equal(outcomes.filter((outcome) => outcome === 'reset').length, BURST - LIMIT);

      const lines = await balancer.nextLines(BURST);
      const refused = lines.filter(({ reason }) => reason === 'rate_limited');
      assert.equal(refused.length, BURST - LIMIT);
      assert.equal(lines.filter(({ reason }) => reason === 'client_closed').length, LIMIT);
      for (const line of refused) {
        assert.partialDeepStrictEqual(line, { client: algorithm, group: 'web', msg: 'connection refused' });
        assert.match(line.detail ?? '', new RegExp(`^over ${LIMIT} in 86400000 ms; next in \\d+ ms$`));
      }
      balancer.assertIdle();
    });
  }

  await t.test('another client notices nothing of it', async (t) => {
    const client = balancer.connect(t, { certificate: await ca.issue({ cn: 'bystander' }) });
    client.socket.end('hello');
    assert.equal((await client.readAll()).toString(), 'hello');
    assert.equal((await balancer.nextLine()).reason, 'client_closed');
    balancer.assertIdle();
  });
  assert.equal(upstream.accepted, RATE_ALGORITHMS.length * LIMIT + 1, 'no refused connection reached a server');
});
