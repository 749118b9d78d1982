import assert from 'node:assert/strict';
import { X509Certificate } from 'node:crypto';
import { type TestContext, test } from 'node:test';
import type { Client } from '../../src/domain/model.ts';
import { createTestCa } from '../support/certificates.ts';
import { echoServer } from '../support/echo-servers.ts';
import { startBalancer, uncheckedGroup } from '../support/running-balancer.ts';

const ca = await createTestCa();
const CERTIFICATES = { held: await ca.issue({ cn: 'held' }), guest: await ca.issue({ cn: 'guest' }) };
type Name = keyof typeof CERTIFICATES;
/** Who waits: as many as get a departure within the longest delay, which is far off for the first one already. */
const MANY = 4;

/** Two workers, and clients of whom one connection goes at once and others wait for long; whoever has to wait for them fails. */
async function scene(t: TestContext) {
  const connectionRate = { algorithm: 'tokenBucket', limit: 1, window: '14s', burst: 1, action: 'delay', maxDelay: '1m' };
  const { address } = await echoServer(t);
  const balancer = await startBalancer(t, {
    ca,
    crl: await ca.crl([]),
    config: {
      targetGroups: [uncheckedGroup('web', [address]), uncheckedGroup('db', [address])],
      clients: Object.keys(CERTIFICATES).map((clientId) => ({ clientId, allowedTargetGroup: 'web', limits: { connectionRate } })),
    },
  });
  const delayed = (name: Name) => balancer.lb.stats.client(name).delayed;
  const clientOf = (name: Name): Client => balancer.lb.snapshot.clients.get(name) ?? assert.fail();
  const come = (name: Name) => {
    const client = balancer.connect(t, { certificate: CERTIFICATES[name] });
    client.socket.write('hello');
    return client;
  };
  /** The first of each goes at once and ends, the others wait. */
  const wait = async (name: Name, count: number) => {
    const first = come(name);
    await first.readUntil('hello');
    first.socket.end();
    assert.equal((await balancer.nextLine()).reason, 'client_closed');
    const clients = Array.from({ length: count }, () => come(name));
    await balancer.until(() => delayed(name) === count);
    return clients;
  };
  /** All that waited are refused so, and nobody waits any longer. */
  const refused = async (count: number, expected: object) => {
    for (const line of await balancer.nextLines(count)) {
      assert.partialDeepStrictEqual(line, { msg: 'connection refused', client: 'held', ...expected });
      assert.ok(Reflect.get(line, 'delayedMs') > 0, 'it says how long it waited');
    }
    assert.equal(delayed('held'), 0);
  };
  return { balancer, delayed, clientOf, come, wait, refused };
}

test('who waits for its turn is refused at once when its certificate is revoked', async (t) => {
  const { balancer, wait, refused, delayed } = await scene(t);
  await wait('guest', 1);
  await wait('held', MANY);
  const fingerprint = new X509Certificate(CERTIFICATES.held.certPem).fingerprint256.replaceAll(':', '').toLowerCase();
  await balancer.lb.execute({ kind: 'revokeCertificate', revocation: { fingerprint, comment: '', atMs: 0 } });
  await refused(MANY, { reason: 'certificate_revoked' });
  assert.equal(delayed('guest'), 1, 'others go on waiting');
});

test('when its client is removed; added again without a limit it has no departure to wait for', async (t) => {
  const { balancer, clientOf, come, wait, refused } = await scene(t);
  await wait('held', MANY);
  const client = clientOf('held');
  const { connectionsClosed } = await balancer.lb.removeClient('held');
  assert.equal(connectionsClosed, MANY);
  await refused(MANY, { reason: 'unknown_client', detail: 'held was removed meanwhile' });
  await balancer.lb.execute({ kind: 'addClient', client: { ...client, limits: { ...client.limits, connectionRate: undefined } } });
  const again = come('held');
  await again.readUntil('hello');
  again.socket.end();
  const line = await balancer.nextLine();
  assert.equal(line.reason, 'client_closed');
  assert.equal(Reflect.get(line, 'delayedMs'), undefined);
});

test('when it may no longer reach its target group', async (t) => {
  const { balancer, clientOf, wait, refused } = await scene(t);
  await wait('held', MANY);
  await balancer.lb.execute({ kind: 'updateClient', client: { ...clientOf('held'), allowedTargetGroups: ['db'] } });
  await refused(MANY, { reason: 'not_authorized', detail: 'held may no longer reach web' });
  balancer.assertIdle();
});

test('when a reload of the revocation list withdraws its certificate', async (t) => {
  const { balancer, wait, refused } = await scene(t);
  await wait('held', MANY);
  assert.equal(await balancer.reloadWith(await ca.crl([CERTIFICATES.held])), MANY, 'those who waited');
  await refused(MANY, { reason: 'certificate_revoked', detail: 'CERT_REVOKED: CN=held' });
  balancer.assertIdle();
});

test('and when the balancer stops for good', async (t) => {
  const { balancer, wait, refused } = await scene(t);
  await wait('held', MANY);
  assert.equal(await balancer.lb.stop(0), MANY);
  await refused(MANY, { reason: 'rate_limited', detail: 'the load balancer stopped before its turn had come' });
});

test('a changed limit leaves departures as they were given, one that is gone or only looks on holds nobody', async (t) => {
  const { balancer, clientOf, delayed, wait } = await scene(t);
  for (const name of ['held', 'guest'] as const) {
    const before = clientOf(name);
    const { limits } = before;
    const clients = await wait(name, MANY);
    const { connectionRate } = limits;
    assert.ok(connectionRate !== undefined);
    const faster = { ...connectionRate, windowMs: 1 };
    await balancer.lb.execute({ kind: 'updateClient', client: { ...before, limits: { ...limits, connectionRate: faster } } });
    assert.equal(delayed(name), MANY, 'a changed limit');
    const lifted = name === 'held' ? { ...limits, connectionRate: undefined } : { ...limits, shadow: true };
    await balancer.lb.execute({ kind: 'updateClient', client: { ...before, limits: lifted } });
    for (const client of clients) await client.readUntil('hello');
    assert.equal(delayed(name), 0);
    for (const client of clients) client.socket.end();
    for (const line of await balancer.nextLines(MANY)) {
      assert.equal(line.reason, 'client_closed');
      assert.ok(Reflect.get(line, 'delayedMs') > 0);
    }
  }
  assert.equal(
    balancer.lb.stats.latencies().delay.counts.reduce((sum, count) => sum + count),
    2 * MANY,
  );
  balancer.assertIdle();
});
