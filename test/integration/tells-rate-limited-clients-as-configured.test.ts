import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createTestCa } from '../support/certificates.ts';
import { echoServer } from '../support/echo-servers.ts';
import { startBalancer, uncheckedGroup } from '../support/running-balancer.ts';
import { tapRecords } from '../support/tls-records.ts';

test('a client over its rate is told in the manner of its limit', async (t) => {
  const upstream = await echoServer(t);
  const ca = await createTestCa();
  const limited = (action: string) => ({
    clientId: action,
    allowedTargetGroup: 'web',
    limits: { connectionRate: { limit: 1, window: '1d', action } },
  });
  const balancer = await startBalancer(t, {
    ca,
    config: { targetGroups: [uncheckedGroup('web', [upstream.address])], clients: [limited('reset'), limited('close')] },
  });

  const manners = [
    { action: 'reset', ending: { how: 'reset' }, last: 'handshake' },
    { action: 'close', ending: { how: 'closed' }, last: 'alert' },
  ] as const;
  for (const { action, ending, last } of manners) {
    await t.test(action, async (t) => {
      const certificate = await ca.issue({ cn: action });
      const first = balancer.connect(t, { certificate });
      first.socket.end('hello');
      await first.readAll();
      assert.equal((await balancer.nextLine()).reason, 'client_closed');

      // The last record before a reset is the end of the handshake; a TLS close is an alert.
      const tap = await tapRecords(t, balancer.port());
      const second = balancer.connect(t, { port: tap.port, certificate, tls: { maxVersion: 'TLSv1.2' } });
      second.socket.write('hello');
      assert.deepEqual(await second.ending, ending);
      assert.equal(tap.records().at(-1), last);
      assert.partialDeepStrictEqual(await balancer.nextLine(), { reason: 'rate_limited', client: action });
      balancer.assertIdle();
    });
  }

  await t.test('close, to a client that sends much', async (t) => {
    const client = balancer.connect(t, { certificate: await ca.issue({ cn: 'close' }) });
    client.socket.write(Buffer.alloc(4_000_000));
    assert.deepEqual(await client.ending, { how: 'closed' });
    assert.equal((await balancer.nextLine()).reason, 'rate_limited');
    balancer.assertIdle();
  });
  assert.equal(upstream.accepted, 2, 'no refused connection reached a server');
});
