import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setTimeout } from 'node:timers/promises';
import { createTestCa } from '../support/certificates.ts';
import { blackholeServer, echoServer, halfClosingServer } from '../support/echo-servers.ts';
import { startBalancer, uncheckedGroup } from '../support/running-balancer.ts';

const clients = [{ clientId: 'alice', allowedTargetGroup: 'web' }];

test('a connection on which no byte moves is closed at idleTimeout, and one that moves is not', async (t) => {
  const upstream = await echoServer(t);
  const ca = await createTestCa();
  const certificate = await ca.issue({ cn: 'alice' });
  const timeouts = { idleTimeout: '2s' };
  const balancer = await startBalancer(t, { ca, config: { targetGroups: [uncheckedGroup('web', [upstream.address])], clients, timeouts } });

  const silent = balancer.connect(t, { certificate });
  const talking = balancer.connect(t, { certificate });
  let isSilentOver = false;
  const first = balancer.nextLine().finally(() => {
    isSilentOver = true;
  });
  // Longer than idleTimeout, and until the other one is told of: its worker may be slower.
  for (let said = 1; said <= 24 || !isSilentOver; said++) {
    talking.socket.write(`${said}.`);
    await talking.readUntil(`${said}.`);
    await setTimeout(100);
  }
  const line = await first;
  assert.partialDeepStrictEqual(line, { reason: 'idle_timeout', bytesUp: 0, bytesDown: 0 });
  assert.ok(line.durationMs >= 1999, `after ${line.durationMs} ms`);
  await silent.ending;
  talking.socket.end();
  await talking.readAll();
  assert.equal((await balancer.nextLine()).reason, 'client_closed');
  await upstream.idle();
  balancer.assertIdle();
});

test('one side that has ended waits for the other for halfCloseTimeout', async (t) => {
  const [deaf, ended] = await Promise.all([blackholeServer(t), halfClosingServer(t, 'bye')]);
  const ca = await createTestCa();
  const timeouts = { halfCloseTimeout: '150ms' };
  const balancer = await startBalancer(t, {
    ca,
    config: {
      timeouts,
      targetGroups: [uncheckedGroup('deaf', [deaf.address]), uncheckedGroup('ended', [ended.address])],
      clients: ['deaf', 'ended'].map((name) => ({ clientId: name, allowedTargetGroup: name })),
    },
  });

  await t.test('the client first', async (t) => {
    const client = balancer.connect(t, { certificate: await ca.issue({ cn: 'deaf' }) });
    client.socket.end('hello');
    await client.ending;
    assert.partialDeepStrictEqual(await balancer.nextLine(), { reason: 'half_close_timeout', client: 'deaf', bytesUp: 5 });
    balancer.assertIdle();
  });

  await t.test('the server first', async (t) => {
    const client = balancer.connect(t, { certificate: await ca.issue({ cn: 'ended' }), halfOpen: true });
    await client.readUntil('bye');
    assert.partialDeepStrictEqual(await balancer.nextLine(), { reason: 'half_close_timeout', client: 'ended', bytesDown: 3 });
    balancer.assertIdle();
  });
});

test('a connection ends at maxDuration, however busy', async (t) => {
  const upstream = await echoServer(t);
  const ca = await createTestCa();
  const timeouts = { maxDuration: '200ms' };
  const balancer = await startBalancer(t, { ca, config: { targetGroups: [uncheckedGroup('web', [upstream.address])], clients, timeouts } });
  const client = balancer.connect(t, { certificate: await ca.issue({ cn: 'alice' }) });
  client.socket.write('hello');
  const talk = setInterval(() => client.socket.write('hello'), 10);
  t.after(() => clearInterval(talk));
  await client.ending;
  const line = await balancer.nextLine();
  assert.equal(line.reason, 'max_duration');
  assert.ok(line.durationMs >= 199 && line.bytesUp > 0);
  await upstream.idle();
  balancer.assertIdle();
});
