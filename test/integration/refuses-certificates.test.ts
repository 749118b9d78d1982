import assert from 'node:assert/strict';
import { X509Certificate } from 'node:crypto';
import { once } from 'node:events';
import { test } from 'node:test';
import type { Reason } from '../../src/domain/reasons.ts';
import { forgery } from '../support/certificate-chains.ts';
import { createTestCa } from '../support/certificates.ts';
import { echoServer } from '../support/echo-servers.ts';
import { startBalancer, uncheckedGroup } from '../support/running-balancer.ts';
import type { TlsClientOptions } from '../support/tls-client.ts';

const DAY_MS = 86_400_000;

test('a certificate that does not hold is refused with a reset, under either version of TLS', async (t) => {
  const upstream = await echoServer(t);
  const [ca, otherCa] = await Promise.all([createTestCa(), createTestCa()]);
  const good = await ca.issue({ cn: 'alice' });
  const revoked = await ca.issue({ cn: 'alice' });
  const expired = await ca.issue({ cn: 'alice', expired: true });
  const balancer = await startBalancer(t, {
    ca,
    crl: await ca.crl([revoked]),
    config: { targetGroups: [uncheckedGroup('web', [upstream.address])], clients: [{ clientId: 'alice', allowedTargetGroup: 'web' }] },
  });

  const refusals: readonly [what: string, Partial<TlsClientOptions>, reason: Reason, detail: RegExp, countedOn?: string][] = [
    ['none', {}, 'no_client_certificate', /^the client presented no certificate$/],
    [
      'one that another CA signed',
      { certificate: await otherCa.issue({ cn: 'alice' }) },
      'certificate_untrusted',
      /^UNABLE_TO_VERIFY_LEAF_SIGNATURE: CN=/,
    ],
    [
      'one that signed itself',
      { certificate: { certPem: otherCa.caPem, keyPem: otherCa.caKeyPem } },
      'certificate_untrusted',
      // Which of its faults OpenSSL names depends on whether there is a revocation list.
      /^(DEPTH_ZERO_SELF_SIGNED_CERT|UNABLE_TO_GET_CRL): CN=/,
    ],
    [
      'one for servers',
      { certificate: await ca.issue({ cn: 'alice', server: true }) },
      'certificate_untrusted',
      /^INVALID_PURPOSE: CN=alice$/,
    ],
    ['one that has expired', { certificate: expired }, 'certificate_expired', /^CERT_HAS_EXPIRED: CN=alice$/, 'alice'],
    [
      'one that is not valid yet',
      { certificate: await ca.issue({ cn: 'alice', days: 2, notBefore: new Date(Date.now() + DAY_MS) }) },
      'certificate_expired',
      /^CERT_NOT_YET_VALID: CN=/,
      'alice',
    ],
    ['one that was revoked', { certificate: revoked }, 'certificate_revoked', /^CERT_REVOKED: CN=/, 'alice'],
    [
      'a forgery of one that was revoked',
      { certificate: await forgery(revoked.certPem) },
      'certificate_untrusted',
      /^CERT_SIGNATURE_FAILURE: CN=alice$/,
    ],
    // OpenSSL finds the end of its validity last, and says only that.
    ['a forgery of one that has expired', { certificate: await forgery(expired.certPem) }, 'certificate_expired', /^CERT_HAS_EXPIRED: CN=/],
  ];
  for (const [what, options, reason, detail, countedOn] of refusals) {
    for (const version of ['TLSv1.2', 'TLSv1.3'] as const) {
      await t.test(`${what}, ${version}`, async (t) => {
        const client = balancer.connect(t, { ...options, tls: { minVersion: version, maxVersion: version } });
        // Clients speak as soon as they think that they may.
        client.socket.write('hello');
        assert.deepEqual(await client.ending, { how: 'reset' });
        const line = await balancer.nextLine();
        assert.partialDeepStrictEqual(line, { reason, msg: 'connection refused', bytesUp: 0, bytesDown: 0 });
        assert.match(line.detail ?? '', detail);
        assert.equal(line.client, countedOn, 'whoever proves nothing is counted on nobody');
        balancer.assertIdle();
      });
    }
  }

  for (const version of ['TLSv1.2', 'TLSv1.3'] as const) {
    await t.test(`a good one is served, and verified anew with an old session, ${version}`, async (t) => {
      const tls = { minVersion: version, maxVersion: version };
      const first = balancer.connect(t, { certificate: good, tls });
      const session = version === 'TLSv1.3' ? once(first.socket, 'session').then(([ticket]): Buffer => ticket) : undefined;
      first.socket.write('hello');
      await first.readUntil('hello');
      const old = (await session) ?? first.socket.getSession();
      first.socket.end();
      await first.readAll();

      const second = balancer.connect(t, { certificate: good, tls: { ...tls, ...(old === undefined ? {} : { session: old }) } });
      await second.secured;
      assert.equal(second.socket.isSessionReused(), false);
      second.socket.end('hello again');
      assert.equal((await second.readAll()).toString(), 'hello again');
      for (const line of await balancer.nextLines(2)) assert.partialDeepStrictEqual(line, { reason: 'client_closed', identity: 'alice' });
      balancer.assertIdle();
    });
  }

  assert.equal(upstream.accepted, 4, 'no refused connection reached a server');
});

test('a certificate that is revoked at run time is counted on its client, and one of its name by another CA is not', async (t) => {
  const upstream = await echoServer(t);
  const [ca, otherCa] = await Promise.all([createTestCa(), createTestCa()]);
  const [stolen, foreign] = await Promise.all([ca.issue({ cn: 'alice' }), otherCa.issue({ cn: 'alice' })]);
  const clients = ['alice', 'bob'].map((clientId) => ({ clientId, allowedTargetGroup: 'web' }));
  const balancer = await startBalancer(t, { ca, config: { targetGroups: [uncheckedGroup('web', [upstream.address])], clients } });
  const fingerprint = new X509Certificate(stolen.certPem).fingerprint256.replaceAll(':', '').toLowerCase();
  await balancer.lb.execute({ kind: 'revokeCertificate', revocation: { fingerprint, comment: 'stolen', atMs: 0 } });
  for (const certificate of [stolen, foreign, stolen]) {
    const client = balancer.connect(t, { certificate });
    assert.deepEqual(await client.ending, { how: 'reset' });
    await balancer.nextLine();
  }
  assert.deepEqual(balancer.lb.stats.client('alice').refused, new Map([['certificate_revoked', 2]]));
  assert.deepEqual(balancer.lb.stats.client('bob').refused, new Map());
  balancer.assertIdle();
});
