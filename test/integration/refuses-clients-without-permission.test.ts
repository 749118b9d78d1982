import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createTestCa, type TestCertificate } from '../support/certificates.ts';
import { echoServer } from '../support/echo-servers.ts';
import { type ConnectionLine, startBalancer, uncheckedGroup } from '../support/running-balancer.ts';

test('a certificate that is good, but of nobody who may go there, is refused with a reset', async (t) => {
  const upstream = await echoServer(t);
  const ca = await createTestCa();
  const balancer = await startBalancer(t, {
    ca,
    config: {
      listenAddress: undefined,
      listeners: [
        { name: 'open', address: '127.0.0.1:0' },
        { name: 'db', address: '127.0.0.1:0', targetGroup: 'db' },
      ],
      targetGroups: [uncheckedGroup('web', [upstream.address]), uncheckedGroup('db', [upstream.address])],
      clients: [
        { clientId: 'alice', allowedTargetGroup: 'web' },
        { clientId: 'billing', match: { ou: 'billing' }, allowedTargetGroup: 'web' },
        { clientId: 'wanderer', allowedTargetGroups: ['web', 'db'] },
      ],
    },
  });

  const refusals: readonly [what: string, TestCertificate, listener: string, Partial<ConnectionLine>][] = [
    ['a name that no client has', { cn: 'mallory' }, 'open', { reason: 'unknown_client', identity: 'mallory' }],
    ['a name in other letters', { cn: 'Alice' }, 'open', { reason: 'unknown_client', identity: 'Alice' }],
    [
      'two common names',
      { cns: ['alice', 'wanderer'] },
      'open',
      { reason: 'ambiguous_identity', detail: 'the certificate has more than one common name' },
    ],
    [
      'a certificate that is two clients',
      { cn: 'alice', ou: 'billing' },
      'open',
      { reason: 'ambiguous_identity', identity: 'alice', detail: 'the certificate matches more than one client: alice, billing' },
    ],
    [
      'a client of several groups where nothing says which',
      { cn: 'wanderer' },
      'open',
      { reason: 'no_route', client: 'wanderer', detail: 'no route of listener open matches, and wanderer may reach 2 groups' },
    ],
    [
      "a client on another group's listener",
      { cn: 'alice' },
      'db',
      { reason: 'not_authorized', client: 'alice', detail: 'listener db serves db; alice may reach only web' },
    ],
  ];
  for (const [what, certificate, listener, expected] of refusals) {
    await t.test(what, async (t) => {
      const client = balancer.connect(t, { port: balancer.port(listener), certificate: await ca.issue(certificate) });
      client.socket.write('hello');
      assert.deepEqual(await client.ending, { how: 'reset' });
      const line = await balancer.nextLine();
      assert.partialDeepStrictEqual(line, { ...expected, listener, msg: 'connection refused', bytesUp: 0, bytesDown: 0 });
      assert.equal(line.client, expected.client);
      balancer.assertIdle();
    });
  }

  await t.test('a common name with control characters in it names nobody', async (t) => {
    const cn = `\u001b[2J"\n\u2028${'x'.repeat(50)}`;
    const client = balancer.connect(t, { certificate: await ca.issue({ cn, dns: ['a.example'] }) });
    await client.ending;
    assert.partialDeepStrictEqual(await balancer.nextLine(), { reason: 'unknown_client', identity: 'a.example' });
    balancer.assertIdle();
  });

  assert.equal(upstream.accepted, 0, 'no refused connection reached a server');
});
