import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import type { KeyAndCertificate } from '../../certs/issuing.ts';
import { createTestCa } from '../support/certificates.ts';
import { echoServer } from '../support/echo-servers.ts';
import { type RunningBalancer, startBalancer, uncheckedGroup } from '../support/running-balancer.ts';
import type { TlsClient } from '../support/tls-client.ts';

const WEIGHTS = [1, 2, 3];

type Counts = readonly number[];

const isSpread = (counts: Counts) => counts.every((count) => count > 0);
const isEven = (counts: Counts) => Math.max(...counts) - Math.min(...counts) <= 1;

/** What 24 connections that stay, over both workers, come to on idle servers of weights 1, 2 and 3. */
const EXPECTED: Readonly<Record<string, (counts: Counts) => boolean>> = {
  leastConnections: isEven,
  weightedLeastConnections: (counts) => `${counts}` === '4,8,12',
  roundRobin: isEven,
  weightedRoundRobin: (counts) => `${counts}` === '4,8,12',
  // The lot may leave out the lightest, but hardly ever the heaviest 24 times.
  random: (counts) => (counts[2] ?? 0) > 0,
  powerOfTwoChoices: isSpread,
  // All come from one address; the bound keeps each within 125 % of its share.
  sourceHash: (counts) => counts.every((count, index) => count <= Math.ceil(1.25 * 24 * ((WEIGHTS[index] ?? 0) / 6))),
  clientHash: (counts) => counts.every((count, index) => count <= Math.ceil(1.25 * 24 * ((WEIGHTS[index] ?? 0) / 6))),
  leastLatency: isSpread,
  resource: (counts) => `${counts}` === '4,8,12',
};

/** Opens so many connections, one after the other has been served, so that both workers know what the other did. */
async function hold(t: TestContext, balancer: RunningBalancer, certificate: KeyAndCertificate, count: number): Promise<TlsClient[]> {
  const clients: TlsClient[] = [];
  for (let opened = 0; opened < count; opened++) {
    const client = balancer.connect(t, { certificate });
    client.socket.write('hello');
    await client.readUntil('hello');
    clients.push(client);
  }
  return clients;
}

test('each algorithm spreads real connections over two workers as it says', async (t) => {
  const ca = await createTestCa();
  const algorithms = Object.keys(EXPECTED);
  const servers = new Map<string, readonly { readonly address: string }[]>();
  for (const algorithm of algorithms) servers.set(algorithm, await Promise.all(WEIGHTS.map(() => echoServer(t))));
  const addresses = (algorithm: string) => (servers.get(algorithm) ?? []).map(({ address }) => address);
  const balancer = await startBalancer(t, {
    ca,
    config: {
      targetGroups: algorithms.map((algorithm) =>
        uncheckedGroup(
          algorithm,
          addresses(algorithm).map((address, index) => ({ address, weight: WEIGHTS[index] })),
          // The agent does not answer, which changes nothing.
          { algorithm, ...(algorithm === 'resource' ? { agentCheck: { port: 1, interval: '1h' } } : {}) },
        ),
      ),
      clients: algorithms.map((algorithm) => ({ clientId: algorithm, allowedTargetGroup: algorithm })),
    },
  });
  for (const [algorithm, isExpected] of Object.entries(EXPECTED)) {
    await t.test(algorithm, async (t) => {
      const certificate = await ca.issue({ cn: algorithm });
      const clients = await hold(t, balancer, certificate, 24);
      const counts = addresses(algorithm).map((address) => balancer.lb.stats.server(algorithm, address).active);
      assert.equal(
        counts.reduce((sum, count) => sum + count, 0),
        24,
      );
      assert.ok(isExpected(counts), `${counts}`);
      for (const { socket } of clients) socket.end();
      for (const line of await balancer.nextLines(24)) assert.equal(line.reason, 'client_closed');
    });
  }
  balancer.assertIdle();
});
