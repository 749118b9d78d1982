import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import type { KeyAndCertificate } from '../../certs/issuing.ts';
import type { ServerMode } from '../../src/domain/model.ts';
import { createTestCa } from '../support/certificates.ts';
import { echoServer } from '../support/echo-servers.ts';
import { type ConnectionLine, type RunningBalancer, startBalancer, uncheckedGroup } from '../support/running-balancer.ts';
import type { TlsClient } from '../support/tls-client.ts';

interface Scene {
  readonly balancer: RunningBalancer;
  readonly certificate: KeyAndCertificate;
  setMode(mode: ServerMode): Promise<unknown>;
  /** What the first server holds, which was there all the time, and the second. */
  held(): readonly [number, number];
  come(t: TestContext): Promise<TlsClient>;
}

/** A group of two servers, the second in maintenance. */
async function scene(t: TestContext, perSecond: number): Promise<Scene> {
  const ca = await createTestCa();
  const certificate = await ca.issue({ cn: 'alice' });
  const [first, second] = [(await echoServer(t)).address, (await echoServer(t)).address];
  const balancer = await startBalancer(t, {
    ca,
    config: {
      targetGroups: [uncheckedGroup('web', [first, second], { rebalance: { perSecond } })],
      clients: [{ clientId: 'alice', allowedTargetGroup: 'web' }],
    },
  });
  const { lb } = balancer;
  const setMode = (mode: ServerMode) => {
    const server = lb.snapshot.targetGroups.get('web')?.servers[1] ?? assert.fail();
    return lb.execute({ kind: 'setUpstreamServer', group: 'web', server: { ...server, mode } });
  };
  await setMode('maintenance');
  const come = async (test: TestContext) => {
    const client = balancer.connect(test, { certificate });
    client.socket.write('hello');
    await client.readUntil('hello');
    return client;
  };
  return { balancer, certificate, setMode, come, held: () => [lb.stats.activeOn('web', first), lb.stats.activeOn('web', second)] };
}

function workerOf({ id }: ConnectionLine): string {
  return id.split('-')[0] ?? '';
}

test('after a recovery the connections that have been idle longest are closed, until the load is even, and no further', async (t) => {
  const { balancer, setMode, held, come } = await scene(t, 1000);
  // By the port that each comes from; one after the other, so that each has been idle longer than the next.
  const clients = new Map<string, { readonly client: TlsClient; readonly order: number }>();
  for (let order = 0; order < 24; order++) {
    const client = await come(t);
    clients.set(`127.0.0.1:${client.tcp.localPort}`, { client, order });
  }
  assert.deepEqual(held(), [24, 0]);
  await setMode('ready');
  const closed = await balancer.nextLines(12);
  const idleMost = new Map<string, number>();
  for (const line of closed) {
    assert.equal(line.reason, 'rebalanced');
    const { client, order } = clients.get(line.remote) ?? assert.fail();
    assert.equal((await client.ending).how, 'reset');
    clients.delete(line.remote);
    idleMost.set(workerOf(line), Math.max(order, idleMost.get(workerOf(line)) ?? 0));
  }
  assert.equal(idleMost.size, 2, 'both workers had some to close');
  const back = await Promise.all(closed.map(() => come(t)));
  assert.deepEqual(held(), [12, 12]);
  await balancer.until((lb) => lb.rebalancer.remaining('web') === undefined);
  for (const { client } of clients.values()) client.socket.end();
  for (const line of await balancer.nextLines(12)) {
    assert.equal(line.reason, 'client_closed');
    const { order } = clients.get(line.remote) ?? assert.fail();
    assert.ok(order > (idleMost.get(workerOf(line)) ?? 0), 'who was kept had moved bytes later');
  }
  for (const { socket } of back) socket.end();
  await balancer.nextLines(12);
  balancer.assertIdle();
});

test('no more are closed each second than the group says, and none once the server fails again', async (t) => {
  const { balancer, setMode, held, come } = await scene(t, 3);
  const clients = await Promise.all(Array.from({ length: 20 }, () => come(t)));
  const readyMs = performance.now();
  await setMode('ready');
  for (const line of await balancer.nextLines(3)) assert.equal(line.reason, 'rebalanced');
  assert.equal(balancer.lb.rebalancer.remaining('web'), Math.floor(held()[0] / 2));
  await setMode('maintenance');
  await balancer.until((lb) => lb.rebalancer.remaining('web') === undefined);
  // One, but on a slow machine.
  const seconds = Math.floor((performance.now() - readyMs) / 1000);
  for (const { socket } of clients) if (!socket.destroyed) socket.write('still here');
  const answers = await Promise.allSettled(clients.map((client) => client.readUntil('still here')));
  const kept = answers.filter(({ status }) => status === 'fulfilled').length;
  assert.ok(kept <= 17 && kept >= 20 - 3 * seconds, `${kept} after ${seconds} s`);
  for (const { socket } of clients) socket.end();
  const reasons = (await balancer.nextLines(17)).map(({ reason }) => reason).sort();
  assert.deepEqual(reasons, [...Array(kept).fill('client_closed'), ...Array(17 - kept).fill('rebalanced')]);
  balancer.assertIdle();
});

test('connections stay where hashing puts them, and where a group asks for nothing', async (t) => {
  const { balancer, setMode, held, come } = await scene(t, 1000);
  const group = balancer.lb.snapshot.targetGroups.get('web') ?? assert.fail();
  const clients = await Promise.all(Array.from({ length: 6 }, () => come(t)));
  for (const changes of [{ algorithm: 'clientHash' as const }, { rebalance: undefined }]) {
    await balancer.lb.execute({ kind: 'updateTargetGroup', group: { ...group, ...changes } });
    await setMode('ready');
    // What was noted in this turn has been looked at by the end of the next.
    await new Promise((resolve) => setImmediate(() => setImmediate(resolve)));
    assert.equal(balancer.lb.rebalancer.remaining('web'), undefined);
    await setMode('maintenance');
  }
  assert.deepEqual(held(), [6, 0]);
  for (const { socket } of clients) socket.end();
  await balancer.nextLines(6);
  balancer.assertIdle();
});
