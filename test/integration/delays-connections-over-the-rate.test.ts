import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createTestCa } from '../support/certificates.ts';
import { startUpstream } from '../support/echo-servers.ts';
import { startBalancer, uncheckedGroup } from '../support/running-balancer.ts';

const INTERVAL_MS = 150;

test('a client whose limit says delay waits for its turn', async (t) => {
  const arrivals: { readonly name: string; readonly atMs: number }[] = [];
  const upstream = await startUpstream(t, (socket) => {
    socket.on('data', (chunk: Buffer) => {
      arrivals.push({ name: chunk.toString(), atMs: performance.now() });
      socket.end(chunk);
    });
    socket.on('end', () => socket.end());
  });
  const ca = await createTestCa();
  const delayed = (clientId: string, rate: object, limits: object = {}) => ({
    clientId,
    allowedTargetGroup: 'web',
    limits: { connectionRate: { algorithm: 'tokenBucket', limit: 1, burst: 1, action: 'delay', ...rate }, ...limits },
  });
  const balancer = await startBalancer(t, {
    ca,
    config: {
      targetGroups: [uncheckedGroup('web', [upstream.address])],
      clients: [
        delayed('patient', { window: `${INTERVAL_MS}ms`, maxDelay: '1m' }),
        delayed('hasty', { window: '1d', maxDelay: '1m' }),
        delayed('leaving', { window: '29s', maxDelay: '1m' }, { concurrentConnections: 2 }),
      ],
    },
  });

  await t.test('in the order of arrival, at the pace of the limit', async (t) => {
    const certificate = await ca.issue({ cn: 'patient' });
    const startedMs = performance.now();
    const names = ['first', 'second', 'third', 'fourth'];
    const clients = [];
    for (const name of names) {
      const client = balancer.connect(t, { certificate });
      client.socket.write(name);
      clients.push(client);
      // It waits, or has been served, before the next one connects.
      await balancer.until(({ stats }) => stats.client('patient').accepted + stats.client('patient').delayed >= clients.length);
    }
    for (const client of clients) await client.readAll();
    // Each may be late by itself, and be overtaken in the other worker then, but none is early.
    for (const [index, name] of names.entries()) {
      const { atMs } = arrivals.find((arrival) => arrival.name === name) ?? assert.fail(name);
      assert.ok(atMs - startedMs >= index * INTERVAL_MS, `${name} came at ${atMs - startedMs} ms`);
    }
    for (const line of await balancer.nextLines(4)) assert.equal(line.reason, 'upstream_closed');
    balancer.assertIdle();
  });

  await t.test('and is refused at once where the wait would be too long', async (t) => {
    const certificate = await ca.issue({ cn: 'hasty' });
    const first = balancer.connect(t, { certificate });
    first.socket.write('hasty');
    await first.readAll();
    assert.equal((await balancer.nextLine()).reason, 'upstream_closed');
    const second = balancer.connect(t, { certificate });
    second.socket.write('hasty');
    assert.deepEqual(await second.ending, { how: 'reset' });
    const refused = { reason: 'rate_limited', client: 'hasty', detail: 'would wait longer than 60000 ms' };
    assert.partialDeepStrictEqual(await balancer.nextLine(), refused);
    balancer.assertIdle();
  });

  await t.test('and frees its place when it leaves, by an end or by a reset', async (t) => {
    const certificate = await ca.issue({ cn: 'leaving' });
    const first = balancer.connect(t, { certificate });
    first.socket.write('leaving');
    await first.readAll();
    assert.equal((await balancer.nextLine()).reason, 'upstream_closed');

    const ends = balancer.connect(t, { certificate });
    const resets = balancer.connect(t, { certificate });
    await Promise.all([ends.secured, resets.secured]);
    await balancer.until(({ stats }) => stats.client('leaving').active === 2);
    const tooMany = balancer.connect(t, { certificate });
    await tooMany.ending;
    assert.equal((await balancer.nextLine()).reason, 'too_many_connections');

    ends.socket.end();
    const gone = { reason: 'client_gone', client: 'leaving', detail: 'the client left while it waited for its turn' };
    assert.partialDeepStrictEqual(await balancer.nextLine(), gone);
    resets.tcp.resetAndDestroy();
    assert.partialDeepStrictEqual(await balancer.nextLine(), gone);
    balancer.assertIdle();
  });

  assert.equal(upstream.accepted, 6, 'no refused connection reached a server');
});

test('how many wait in a leaky bucket is bounded over both workers, and they leave it one interval apart', async (t) => {
  const arrivals: number[] = [];
  const upstream = await startUpstream(t, (socket) => {
    arrivals.push(performance.now());
    socket.resume();
    socket.end('welcome');
  });
  const ca = await createTestCa();
  const leaky = (clientId: string, window: string, burst: number) => ({
    clientId,
    allowedTargetGroup: 'web',
    limits: { connectionRate: { algorithm: 'leakyBucket', limit: 1, window, burst, action: 'delay', maxDelay: '1m' } },
  });
  const balancer = await startBalancer(t, {
    ca,
    config: {
      targetGroups: [uncheckedGroup('web', [upstream.address])],
      clients: [leaky('many', '15s', 3), leaky('spaced', '100ms', 20)],
    },
  });

  await t.test('bounded', async (t) => {
    const certificate = await ca.issue({ cn: 'many' });
    const clients = Array.from({ length: 12 }, () => balancer.connect(t, { certificate }));
    const lines = await balancer.nextLines(9);
    const served = lines.filter(({ reason }) => reason === 'upstream_closed');
    const refused = lines.filter(({ reason }) => reason === 'rate_limited');
    assert.deepEqual([served.length, refused.length], [1, 8]);
    for (const { detail } of refused) assert.equal(detail, 'too many are waiting already');
    assert.equal(balancer.lb.stats.client('many').active, 3);
    for (const { tcp } of clients) tcp.resetAndDestroy();
    for (const { reason } of await balancer.nextLines(3)) assert.equal(reason, 'client_gone');
    balancer.assertIdle();
  });

  await t.test('one interval apart', async (t) => {
    arrivals.length = 0;
    const certificate = await ca.issue({ cn: 'spaced' });
    const startedMs = performance.now();
    const clients = Array.from({ length: 8 }, () => balancer.connect(t, { certificate }));
    for (const client of clients) assert.equal((await client.readAll()).toString(), 'welcome');
    // Each may be late by itself, and none early: the first comes at the start at the earliest, the next an interval later.
    for (const [index, atMs] of arrivals.entries()) assert.ok(atMs >= startedMs + index * 100, `${index} came at ${atMs - startedMs} ms`);
    await balancer.nextLines(8);
    balancer.assertIdle();
  });
});
