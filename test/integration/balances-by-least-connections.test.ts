import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import type { KeyAndCertificate } from '../../certs/issuing.ts';
import { createTestCa } from '../support/certificates.ts';
import { echoServer, type TestUpstream } from '../support/echo-servers.ts';
import { type RunningBalancer, startBalancer, uncheckedGroup } from '../support/running-balancer.ts';
import type { TlsClient } from '../support/tls-client.ts';

/** Opens so many connections at once, and waits until each is served. */
async function hold(t: TestContext, balancer: RunningBalancer, certificate: KeyAndCertificate, count: number): Promise<TlsClient[]> {
  const clients = Array.from({ length: count }, () => balancer.connect(t, { certificate }));
  for (const { socket } of clients) socket.write('hello');
  await Promise.all(clients.map((client) => client.readUntil('hello')));
  return clients;
}

async function letGo(balancer: RunningBalancer, clients: readonly TlsClient[]): Promise<void> {
  for (const { socket } of clients) socket.end();
  for (const line of await balancer.nextLines(clients.length)) assert.equal(line.reason, 'client_closed');
}

test('connections go to the server that holds the fewest, as both workers see it', async (t) => {
  const names = ['even', 'weightless', 'bounded', 'spare'] as const;
  const ca = await createTestCa();
  const servers = new Map<string, readonly TestUpstream[]>();
  for (const name of names) servers.set(name, await Promise.all([echoServer(t), echoServer(t), echoServer(t)]));
  const addresses = (name: string) => (servers.get(name) ?? []).map(({ address }) => address);
  const [light, ...others] = addresses('weightless');
  const [main, backup, lastResort] = addresses('spare');
  const balancer = await startBalancer(t, {
    ca,
    config: {
      targetGroups: [
        uncheckedGroup('even', addresses('even')),
        uncheckedGroup('weightless', [{ address: light, weight: 0 }, ...others]),
        uncheckedGroup(
          'bounded',
          addresses('bounded').map((address, index) => ({ address, maxConnections: index + 1 })),
        ),
        uncheckedGroup('spare', [
          { address: main, maxConnections: 2 },
          { address: backup, maxConnections: 1, backup: true },
          { address: lastResort, maxConnections: 1, backup: true },
        ]),
      ],
      clients: names.map((name) => ({ clientId: name, allowedTargetGroup: name })),
    },
  });
  const certificates = new Map(await Promise.all(names.map(async (name) => [name, await ca.issue({ cn: name })] as const)));
  const certificateOf = (name: (typeof names)[number]) => certificates.get(name) ?? assert.fail(name);
  const active = (name: string) => addresses(name).map((address) => balancer.lb.stats.server(name, address).active);

  await t.test('held connections differ by one at most', async (t) => {
    const held: TlsClient[] = [];
    for (const burst of [10, 7, 13]) {
      held.push(...(await hold(t, balancer, certificateOf('even'), burst)));
      const counts = active('even');
      assert.equal(
        counts.reduce((sum, count) => sum + count),
        held.length,
      );
      assert.ok(Math.max(...counts) - Math.min(...counts) <= 1, `${counts}`);
      assert.deepEqual(
        counts,
        (servers.get('even') ?? []).map(({ open }) => open),
        'the servers hold what the counters say',
      );
    }
    await letGo(balancer, held);
    balancer.assertIdle();
  });

  await t.test('one after the other, idle servers take turns', async (t) => {
    const before = (servers.get('even') ?? []).map(({ accepted }) => accepted);
    for (let count = 0; count < 9; count++) await letGo(balancer, await hold(t, balancer, certificateOf('even'), 1));
    const taken = (servers.get('even') ?? []).map(({ accepted }, index) => accepted - (before[index] ?? 0));
    assert.deepEqual(taken, [3, 3, 3]);
    balancer.assertIdle();
  });

  await t.test('a server of weight 0 gets none', async (t) => {
    const held = await hold(t, balancer, certificateOf('weightless'), 6);
    assert.deepEqual(active('weightless'), [0, 3, 3]);
    await letGo(balancer, held);
    assert.equal(servers.get('weightless')?.[0]?.accepted, 0);
    balancer.assertIdle();
  });

  await t.test('no server gets more than its maxConnections, and none is refused before all are full', async (t) => {
    const attempts = Array.from({ length: 15 }, () => balancer.connect(t, { certificate: certificateOf('bounded') }));
    const outcomes = await Promise.all(
      attempts.map(async (client) => {
        client.socket.write('hello');
        const served = await client.readUntil('hello').then(
          () => true,
          () => false,
        );
        return { client, served };
      }),
    );
    assert.deepEqual(active('bounded'), [1, 2, 3]);
    for (const line of await balancer.nextLines(9)) {
      assert.partialDeepStrictEqual(line, {
        reason: 'no_healthy_upstream',
        detail: 'bounded: no server takes a connection: 3 full',
      });
    }
    const served = outcomes.filter((outcome) => outcome.served).map(({ client }) => client);
    assert.equal(served.length, 6);
    await letGo(balancer, served);
    balancer.assertIdle();
  });

  await t.test('a backup gets connections only when the others can take no more', async (t) => {
    const held = await hold(t, balancer, certificateOf('spare'), 2);
    assert.deepEqual(active('spare'), [2, 0, 0]);
    held.push(...(await hold(t, balancer, certificateOf('spare'), 2)));
    assert.deepEqual(active('spare'), [2, 1, 1]);
    await letGo(balancer, held);
    await letGo(balancer, await hold(t, balancer, certificateOf('spare'), 1));
    assert.deepEqual(
      (servers.get('spare') ?? []).map(({ accepted }) => accepted),
      [3, 1, 1],
    );
    balancer.assertIdle();
  });
});
