import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createTestCa } from '../support/certificates.ts';
import { bannerServer, halfClosingServer, replyAfterEndServer } from '../support/echo-servers.ts';
import { startBalancer, uncheckedGroup } from '../support/running-balancer.ts';

test('either side may speak first, and end first', async (t) => {
  const [banner, replying, farewell] = await Promise.all([
    bannerServer(t, '220 mail.example ready\r\n'),
    replyAfterEndServer(t),
    halfClosingServer(t, 'goodbye\r\n'),
  ]);
  const ca = await createTestCa();
  const groups = { banner: banner.address, replying: replying.address, farewell: farewell.address };
  const balancer = await startBalancer(t, {
    ca,
    config: {
      targetGroups: Object.entries(groups).map(([name, address]) => uncheckedGroup(name, [address])),
      clients: Object.keys(groups).map((name) => ({ clientId: name, allowedTargetGroup: name })),
    },
  });

  for (const version of ['TLSv1.2', 'TLSv1.3'] as const) {
    const tls = { minVersion: version, maxVersion: version };

    await t.test(`a server that speaks first is heard by a client that says nothing, ${version}`, async (t) => {
      const client = balancer.connect(t, { certificate: await ca.issue({ cn: 'banner' }), tls });
      assert.equal(await client.readUntil('\n'), '220 mail.example ready\r\n');
      client.socket.end();
      await client.readAll();
      assert.partialDeepStrictEqual(await balancer.nextLine(), { reason: 'client_closed', bytesUp: 0, bytesDown: 24 });
      balancer.assertIdle();
    });

    await t.test(`a client that has ended still gets the whole answer, ${version}`, async (t) => {
      const question = 'q'.repeat(300_000);
      const client = balancer.connect(t, { certificate: await ca.issue({ cn: 'replying' }), tls });
      client.socket.end(question);
      assert.equal((await client.readAll()).toString(), question);
      assert.partialDeepStrictEqual(await balancer.nextLine(), { reason: 'client_closed', bytesUp: 300_000, bytesDown: 300_000 });
      balancer.assertIdle();
    });
  }

  await t.test('a client that ends before it says anything still gets what the server says', async (t) => {
    const client = balancer.connect(t, { certificate: await ca.issue({ cn: 'banner' }) });
    await client.secured;
    client.socket.end();
    assert.equal((await client.readAll()).toString(), '220 mail.example ready\r\n');
    assert.partialDeepStrictEqual(await balancer.nextLine(), { reason: 'client_closed', bytesUp: 0, bytesDown: 24 });
    balancer.assertIdle();
  });

  await t.test('a server that has ended still gets all that the client says', async (t) => {
    const client = balancer.connect(t, { certificate: await ca.issue({ cn: 'farewell' }), halfOpen: true });
    await client.readUntil('goodbye\r\n');
    const more = 'm'.repeat(300_000);
    client.socket.end(more);
    await farewell.peerEnded;
    assert.equal(farewell.received(), more);
    assert.equal((await client.readAll()).toString(), 'goodbye\r\n');
    assert.partialDeepStrictEqual(await balancer.nextLine(), { reason: 'upstream_closed', bytesUp: 300_000, bytesDown: 9 });
    balancer.assertIdle();
  });
});
