import assert from 'node:assert/strict';
import { X509Certificate } from 'node:crypto';
import { test } from 'node:test';
import type { KeyAndCertificate } from '../../certs/issuing.ts';
import { createTestCa, type TestCertificate } from '../support/certificates.ts';
import { echoServer } from '../support/echo-servers.ts';
import { startBalancer, uncheckedGroup } from '../support/running-balancer.ts';

test('a client is known by what its certificate proves', async (t) => {
  const upstream = await echoServer(t);
  const ca = await createTestCa();
  const pinned = await ca.issue({ cn: 'pinned' });
  const samePinnedName = await ca.issue({ cn: 'pinned' });
  const { fingerprint256 } = new X509Certificate(pinned.certPem);
  const named = (clientId: string, match?: object) => ({ clientId, match, allowedTargetGroup: 'web' });
  const balancer = await startBalancer(t, {
    ca,
    config: {
      targetGroups: [uncheckedGroup('web', [upstream.address])],
      clients: [
        named('clientA.bardomain.com'),
        named('spiffe://bardomain.com/a'),
        named('by-cn', { cn: 'Alice Example' }),
        named('by-dns', { dns: 'B.bardomain.com' }),
        named('by-uri', { uri: 'spiffe://bardomain.com/b' }),
        named('by-ou', { ou: 'billing' }),
        named('by-fingerprint', { fingerprint: fingerprint256 }),
        named('by-two', { cn: 'carol', ou: 'sales' }),
      ],
    },
  });

  const cases: readonly [what: string, TestCertificate | KeyAndCertificate, client: string, identity: string][] = [
    ['its id as common name', { cn: 'clientA.bardomain.com' }, 'clientA.bardomain.com', 'clientA.bardomain.com'],
    ['its id as DNS name', { dns: ['other.example', 'clienta.bardomain.com'] }, 'clientA.bardomain.com', 'other.example'],
    ['its id as URI', { uris: ['spiffe://bardomain.com/a'] }, 'spiffe://bardomain.com/a', 'spiffe://bardomain.com/a'],
    ['its common name', { cn: 'Alice Example' }, 'by-cn', 'Alice Example'],
    ['a DNS name', { cn: 'x', dns: ['b.bardomain.com'] }, 'by-dns', 'x'],
    ['a URI', { cn: 'x', uris: ['spiffe://bardomain.com/b'] }, 'by-uri', 'x'],
    ['an organizational unit', { cn: 'x', ou: ['other', 'billing'] }, 'by-ou', 'x'],
    ['the fingerprint', pinned, 'by-fingerprint', 'pinned'],
    ['all that is asked for', { cn: 'carol', ou: 'sales' }, 'by-two', 'carol'],
  ];
  for (const [what, certificate, clientId, identity] of cases) {
    await t.test(`by ${what}`, async (t) => {
      const client = balancer.connect(t, { certificate: 'certPem' in certificate ? certificate : await ca.issue(certificate) });
      client.socket.end('hello');
      assert.equal((await client.readAll()).toString(), 'hello');
      assert.partialDeepStrictEqual(await balancer.nextLine(), { reason: 'client_closed', client: clientId, identity });
      balancer.assertIdle();
    });
  }

  const strangers: readonly [what: string, TestCertificate | KeyAndCertificate][] = [
    ['the name of a pinned certificate alone', samePinnedName],
    ['half of what is asked for', { cn: 'carol' }],
    ['a common name where a DNS name is asked for', { cn: 'b.bardomain.com' }],
    ['a longer name', { cn: 'clientA.bardomain.com.example' }],
    ['a wildcard', { dns: ['*.bardomain.com'] }],
  ];
  for (const [what, certificate] of strangers) {
    await t.test(`but not by ${what}`, async (t) => {
      const client = balancer.connect(t, { certificate: 'certPem' in certificate ? certificate : await ca.issue(certificate) });
      assert.deepEqual(await client.ending, { how: 'reset' });
      assert.equal((await balancer.nextLine()).reason, 'unknown_client');
      balancer.assertIdle();
    });
  }
});
