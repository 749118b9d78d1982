import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Limits } from '../../src/domain/model.ts';
import { echoServer } from '../support/echo-servers.ts';
import { type RunningBalancer, startBalancer, uncheckedGroup } from '../support/running-balancer.ts';

const limits = (connectionRate: object, more: object = {}) => ({
  shadow: true,
  connectionRate: { window: '1d', ...connectionRate },
  ...more,
});

async function setLimits({ lb }: RunningBalancer, clientId: string, changes: Partial<Limits>): Promise<void> {
  const client = lb.snapshot.clients.get(clientId);
  assert.ok(client !== undefined);
  await lb.execute({ kind: 'updateClient', client: { ...client, limits: { ...client.limits, ...changes } } });
}

test('limits in shadow refuse and delay nothing, count what they would have, and hold with what they have counted', async (t) => {
  const upstream = await echoServer(t);
  const balancer = await startBalancer(t, {
    config: {
      targetGroups: [uncheckedGroup('web', [upstream.address])],
      clients: [
        { clientId: 'refused', allowedTargetGroup: 'web', limits: limits({ limit: 2 }, { concurrentConnections: 3 }) },
        {
          clientId: 'delayed',
          allowedTargetGroup: 'web',
          limits: limits({ algorithm: 'leakyBucket', limit: 1, window: '20s', burst: 5, action: 'delay', maxDelay: '1m' }),
        },
      ],
    },
  });
  const { stats } = balancer.lb;
  const open = async (cn: string, count: number) => {
    const certificate = await balancer.ca.issue({ cn });
    const clients = Array.from({ length: count }, () => balancer.connect(t, { certificate }));
    for (const client of clients) {
      client.socket.write('hello');
      await client.readUntil('hello');
    }
    return clients;
  };
  const explained = async (cn: string) => {
    const listener = balancer.lb.listeners()[0]?.name ?? assert.fail();
    const identity = { commonName: cn, dnsNames: [], uriNames: [], organizationalUnits: [], fingerprint: '0'.repeat(64) };
    return balancer.lb.explain({ peer: { kind: 'identity', identity }, listener, sni: undefined, alpn: undefined });
  };

  await t.test('of rate and concurrency', async () => {
    const clients = await open('refused', 5);
    assert.deepEqual(
      stats.client('refused').shadow,
      new Map([
        ['rate_limited', 3],
        ['too_many_connections', 2],
      ]),
    );
    assert.equal(stats.client('refused').refused.size, 0);
    const explanation = await explained('refused');
    assert.equal(explanation?.refusal, undefined);
    for (const name of ['connections', 'rate'])
      assert.match(explanation?.steps.find((step) => step.name === name)?.detail ?? '', /^would be refused \(shadow\): /);

    await setLimits(balancer, 'refused', { shadow: false });
    const expected = ['too_many_connections', 'rate_limited'] as const;
    for (const reason of expected) {
      const refused = balancer.connect(t, { certificate: await balancer.ca.issue({ cn: 'refused' }) });
      assert.deepEqual(await refused.ending, { how: 'reset' });
      assert.equal((await balancer.nextLine()).reason, reason);
      // Then there is room, and the rate is used up still.
      if (reason === 'rate_limited') break;
      for (const { socket } of clients) socket.end();
      await balancer.nextLines(5);
    }
    balancer.assertIdle();
  });

  await t.test('of a limit that delays', async () => {
    const clients = await open('delayed', 6);
    // The last would have waited for longer than a minute.
    assert.deepEqual(
      stats.client('delayed').shadow,
      new Map([
        ['rate_limited', 2],
        ['delayed', 3],
      ]),
    );
    for (const { socket } of clients) socket.end();
    await balancer.nextLines(6);
    balancer.assertIdle();
  });
});
