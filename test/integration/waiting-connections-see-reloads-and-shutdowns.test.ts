import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { createTestCa } from '../support/certificates.ts';
import { echoServer } from '../support/echo-servers.ts';
import { startBalancer, uncheckedGroup } from '../support/running-balancer.ts';

const ca = await createTestCa();
const CERTIFICATES = {
  holder: await ca.issue({ cn: 'holder' }),
  thief: await ca.issue({ cn: 'thief' }),
  guest: await ca.issue({ cn: 'guest' }),
};
type Name = keyof typeof CERTIFICATES;

/** Two workers, a server of one place, which the holder has, and a queue. */
async function scene(t: TestContext) {
  const upstream = await echoServer(t);
  const server = { address: upstream.address, maxConnections: 1 };
  const balancer = await startBalancer(t, {
    ca,
    crl: await ca.crl([]),
    config: {
      targetGroups: [uncheckedGroup('web', [server], { queue: { maxLength: 50, timeout: '60s' } })],
      clients: Object.keys(CERTIFICATES).map((clientId) => ({ clientId, allowedTargetGroup: 'web' })),
    },
  });
  const waiting = () => balancer.lb.stats.waiting('web');
  const come = (name: Name) => {
    const client = balancer.connect(t, { certificate: CERTIFICATES[name] });
    client.socket.write('hello');
    return client;
  };
  const queueUp = async (name: Name, count: number) => {
    const before = waiting();
    const clients = Array.from({ length: count }, () => come(name));
    await balancer.until(() => waiting() === before + count);
    return clients;
  };
  const held = come('holder');
  await held.readUntil('hello');
  return { balancer, upstream, held, queueUp, waiting };
}

test('a reload refuses those who wait and whose certificate it withdraws, before their turn, and no other', async (t) => {
  const { balancer, held, queueUp, waiting } = await scene(t);
  await queueUp('thief', 8);
  const [guest] = await queueUp('guest', 1);
  assert.equal(await balancer.reloadWith(await ca.crl([CERTIFICATES.thief])), 8, 'those who waited');
  // The only place is still held.
  for (const line of await balancer.nextLines(8))
    assert.partialDeepStrictEqual(line, { reason: 'certificate_revoked', detail: 'CERT_REVOKED: CN=thief' });
  assert.equal(waiting(), 1);
  held.socket.end();
  await guest?.readUntil('hello');
  guest?.socket.end();
  await balancer.nextLines(2);
  balancer.assertIdle();
});

test('those who wait when the balancer stops are served in turn until the deadline', async (t) => {
  const { balancer, held, queueUp } = await scene(t);
  const guests = new Set(await queueUp('guest', 4));
  const stopped = balancer.lb.stop(60_000);
  let serving = held;
  while (guests.size > 0) {
    serving.socket.end();
    serving = await Promise.any([...guests].map((client) => client.readUntil('hello').then(() => client)));
    guests.delete(serving);
  }
  serving.socket.end();
  assert.equal(await stopped, 0, 'nobody was reset');
  for (const line of await balancer.nextLines(5)) assert.equal(line.reason, 'client_closed');
});

test('those who still wait at the deadline of a stop are reset, and each has its line', async (t) => {
  // Several times: only when the worker of the one that is served is the faster one does it leave its place too early.
  for (let round = 0; round < 4; round++) {
    const { balancer, upstream, held, queueUp } = await scene(t);
    const guests = await queueUp('guest', 4);
    const stopped = balancer.lb.stop(60_000);
    void balancer.lb.stop(0);
    assert.equal(await stopped, 5, 'the one that was served, and the four that waited');
    for (const client of [held, ...guests]) assert.notEqual((await client.ending).how, 'failed');
    const lines = await balancer.nextLines(5);
    const told = lines.map(({ client, reason, detail }) => `${client} ${reason} ${detail ?? ''}`.trim()).sort();
    const waited = 'guest queue_timeout web: the load balancer stopped before a server had a place';
    assert.deepEqual(told, [waited, waited, waited, waited, 'holder shutdown the only group of holder']);
    assert.equal(upstream.accepted, 1, 'nobody got the place that was left');
  }
});
