import assert from 'node:assert/strict';
import { X509Certificate } from 'node:crypto';
import { once } from 'node:events';
import { type TestContext, test } from 'node:test';
import type { KeyAndCertificate } from '../../certs/issuing.ts';
import {
  AdminServiceClient,
  CloseMode,
  PlanConfigRequest,
  RevokeCertificateRequest,
  AdminServiceService as rpc,
  WatchHealthRequest,
} from '../../src/gen/lb/admin/v1/admin.ts';
import { ask, refusalIn, refused, watch } from '../support/admin-server.ts';
import { configWith } from '../support/apply-config.ts';
import { createTestCa } from '../support/certificates.ts';
import { connectTo, grpcClient, roundTrip } from '../support/daemon-clients.ts';
import { echoServer } from '../support/echo-servers.ts';
import { twinOf } from '../support/rewritten-certificates.ts';
import { startBalancer, uncheckedGroup } from '../support/running-balancer.ts';
import { assertReset, assertServed, startTwoGroups, type TwoGroupDaemon } from '../support/two-group-daemon.ts';

const TLS = { certificate: 'loadbalancer.crt', privateKey: 'loadbalancer.key', caCert: 'rootCA.pem', sessionTickets: true };

function fingerprintOf({ certPem }: KeyAndCertificate): string {
  return new X509Certificate(certPem).fingerprint256.replaceAll(':', '').toLowerCase();
}

/** A balancer with one place at its server, for which connections wait, and a client's certificate with its twin. */
async function scene(t: TestContext) {
  const [ca, upstream] = [await createTestCa(), await echoServer(t)];
  const alice = await ca.issue({ cn: 'alice' });
  const queue = { maxLength: 10, timeout: '10m' };
  const balancer = await startBalancer(t, {
    ca,
    config: {
      tlsParams: TLS,
      targetGroups: [uncheckedGroup('web', [{ address: upstream.address, maxConnections: 1 }], { queue })],
      clients: [{ clientId: 'alice', allowedTargetGroup: 'web' }],
    },
  });
  /** Resolves with how many live and waiting connections that has ended. */
  const revoke = async (certificate: KeyAndCertificate) => {
    const revocation = { fingerprint: fingerprintOf(certificate), comment: '', atMs: 0 };
    await balancer.lb.authority.execute({ kind: 'revokeCertificate', revocation }, { actor: 'test' });
    return balancer.lb.enforce('reset');
  };
  return { ca, balancer, alice, twin: twinOf(alice), revoke };
}

for (const meant of ['certificate', 'twin'] as const) {
  test(`when the ${meant} of a client is revoked, both are: live, waiting, new and resumed connections`, async (t) => {
    const { ca, balancer, alice, twin, revoke } = await scene(t);
    const [revoked, other] = meant === 'certificate' ? [alice, twin] : [twin, alice];
    const before = balancer.connect(t, { certificate: other, tls: { maxVersion: 'TLSv1.2' } });
    const given = once(before.socket, 'session');
    await roundTrip(before, 'as good as the other');
    const [session]: Buffer[] = await given;
    const waiting = balancer.connect(t, { certificate: other });
    await balancer.until(({ stats }) => stats.waiting('web') === 1);

    assert.deepEqual(await revoke(revoked), { served: 1, waiting: 1 });
    for (const each of [before, waiting]) assert.deepEqual(await each.ending, { how: 'reset' });
    const ended = await balancer.nextLines(2);
    assert.deepEqual(new Set(ended.map(({ reason }) => reason)), new Set(['revoked', 'certificate_revoked']));

    assert.ok(session);
    for (const [certificate, tls] of [
      [other, {}],
      [other, { session, maxVersion: 'TLSv1.2' }],
      [revoked, {}],
    ] as const) {
      assert.deepEqual(await balancer.connect(t, { certificate, tls }).ending, { how: 'reset' });
      const { reason, client, detail, resumed } = await balancer.nextLine();
      assert.deepEqual([reason, client, resumed], ['certificate_revoked', 'alice', 'session' in tls ? true : undefined]);
      const as = certificate === revoked ? '' : ` as ${fingerprintOf(revoked)}, the same certificate with another signature`;
      assert.equal(detail, `revoked at run time${as}; fingerprint ${fingerprintOf(certificate)}`);
    }
    await roundTrip(balancer.connect(t, { certificate: await ca.issue({ cn: 'alice' }) }), 'a certificate of its own');
  });
}

test('what the file revokes is refused with another signature too, and Explain says so', async (t) => {
  const ca = await createTestCa();
  const alice = await ca.issue({ cn: 'alice' });
  const balancer = await startBalancer(t, {
    ca,
    config: {
      targetGroups: [uncheckedGroup('web', ['127.0.0.1:1'])],
      clients: [{ clientId: 'alice', allowedTargetGroup: 'web' }],
      revokedCertificates: [{ fingerprint: fingerprintOf(alice) }],
    },
  });
  const twin = twinOf(alice);
  await balancer.connect(t, { certificate: twin }).ending;
  assert.equal((await balancer.nextLine()).reason, 'certificate_revoked');
  const listener = balancer.lb.listeners()[0]?.name ?? assert.fail();
  const peer = { kind: 'certificate', chainPem: [twin.certPem] } as const;
  const explained = await balancer.lb.explain({ peer, listener, sni: undefined, alpn: undefined });
  assert.equal(explained?.refusal, 'certificate_revoked');
});

test('what is permitted to a fingerprint is not permitted to the twin', async (t) => {
  const ca = await createTestCa();
  const [alice, upstream] = [await ca.issue({ cn: 'alice' }), await echoServer(t)];
  const balancer = await startBalancer(t, {
    ca,
    config: {
      targetGroups: [uncheckedGroup('web', [upstream.address])],
      clients: [{ clientId: 'pinned', match: { fingerprint: fingerprintOf(alice) }, allowedTargetGroup: 'web' }],
    },
  });
  await roundTrip(balancer.connect(t, { certificate: alice }), 'the one that is meant');
  await balancer.connect(t, { certificate: twinOf(alice) }).ending;
  assert.equal((await balancer.nextLine()).reason, 'unknown_client');
});

/** So many connections that are served. */
async function held(t: TestContext, { daemon }: TwoGroupDaemon, certificate: KeyAndCertificate, count: number) {
  const options = { servername: 'web.test', tls: { checkServerIdentity: () => undefined } };
  const clients = Array.from({ length: count }, () => connectTo(t, daemon, certificate, options));
  await assertServed(clients, 'hello');
  return clients;
}

function revocationOf(certificate: KeyAndCertificate, more: Partial<RevokeCertificateRequest> = {}): RevokeCertificateRequest {
  const certificateId = { $case: 'fingerprint', value: fingerprintOf(certificate) } as const;
  return RevokeCertificateRequest.fromPartial({ certificateId, ...more });
}

test('a plan and RevokeCertificate count the connections of the twin, and end them as the last call says', async (t) => {
  const running = await startTwoGroups(t);
  const { admin, certificate, daemon, hold } = running;
  const stolen = await certificate('clientB');
  const twin = twinOf(stolen);
  const [own, others, rest] = [await hold('clientB', 'web', 2), await held(t, running, twin, 3), await hold('clientA', 'web', 1)];

  const config = configWith(daemon, { revokedCertificates: [{ fingerprint: fingerprintOf(stolen) }] });
  const { blastRadius } = await ask(admin, rpc.planConfig, PlanConfigRequest.fromPartial({ config }));
  assert.equal(blastRadius?.connectionsClosing, 5n);
  const counts = new Map(blastRadius.revoked.map(({ fingerprint, connections }) => [fingerprint, connections]));
  assert.deepEqual(counts, new Map([stolen, twin].map((each, index) => [fingerprintOf(each), [2n, 3n][index]])));

  const deadline = { seconds: 3600n, nanos: 0 };
  const drained = await ask(admin, rpc.revokeCertificate, revocationOf(stolen, { mode: CloseMode.DRAIN, deadline }));
  assert.equal(drained.connectionsClosed, 5n);
  await assertServed([...own, ...others], 'until the deadline');
  assert.equal((await ask(admin, rpc.revokeCertificate, revocationOf(stolen))).connectionsClosed, 5n);
  await assertReset([...own, ...others]);
  await assertServed(rest, 'not meant');
});

test('the admin API opens nothing to the twin, ends its streams, and takes it for the certificate of its caller', async (t) => {
  const { admin, ca, daemon } = await startTwoGroups(t);
  const [auditor, boss] = [await ca.issue({ cn: 'auditor', ou: 'viewer' }), await ca.issue({ cn: 'boss', ou: 'admin' })];
  const theirs = grpcClient(t, AdminServiceClient, daemon, { as: twinOf(auditor) });
  const stream = watch(theirs, rpc.watchHealth, WatchHealthRequest.create());
  await stream.next();
  await ask(admin, rpc.revokeCertificate, revocationOf(auditor));
  assert.equal(refusalIn(await stream.ended()).reason, 'CERTIFICATE_REVOKED');
  assert.equal((await refused(ask(theirs, rpc.getState, {}))).reason, 'CERTIFICATE_REVOKED');

  const asTwin = grpcClient(t, AdminServiceClient, daemon, { as: twinOf(boss) });
  assert.equal((await refused(ask(asTwin, rpc.revokeCertificate, revocationOf(boss)))).reason, 'ADMIN_LOCKOUT');
  await ask(asTwin, rpc.revokeCertificate, revocationOf(boss, { allowSelf: true }));
  assert.equal((await refused(ask(asTwin, rpc.getState, {}))).reason, 'CERTIFICATE_REVOKED');
});
