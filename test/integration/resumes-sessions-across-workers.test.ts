import assert from 'node:assert/strict';
import { randomBytes, X509Certificate } from 'node:crypto';
import { writeFile } from 'node:fs/promises';
import path from 'node:path';
import { type TestContext, test } from 'node:test';
import type { KeyAndCertificate } from '../../certs/issuing.ts';
import { SESSION_LIFETIME_MS, type SessionTickets, withKey } from '../../src/domain/session-tickets.ts';
import { createTestCa, type TestCa } from '../support/certificates.ts';
import { bannerServer } from '../support/echo-servers.ts';
import { type ConnectionLine, type RunningBalancer, startBalancer, uncheckedGroup } from '../support/running-balancer.ts';
import { temporaryFolder } from '../support/temp-dir.ts';
import { tlsClient } from '../support/tls-client.ts';
import { materialOf, type Shaken, serveFront } from '../support/tls-front.ts';

const VERSIONS = ['TLSv1.2', 'TLSv1.3'] as const;
type Version = (typeof VERSIONS)[number];

interface Visit {
  readonly port: number;
  readonly ca: string;
  readonly certificate: KeyAndCertificate;
  readonly version: Version;
  readonly session?: Buffer | undefined;
}

/** Connects, reads until the end, and resolves with the last session that the server gave. */
async function visit(t: TestContext, { port, ca, certificate, version, session }: Visit): Promise<Buffer | undefined> {
  const tls = { minVersion: version, maxVersion: version, ...(session === undefined ? {} : { session }) };
  const client = tlsClient(t, { port, ca, certificate, tls });
  let given: Buffer | undefined;
  client.socket.on('session', (each: Buffer) => {
    given = each;
  });
  client.socket.once('data', () => client.socket.end());
  await client.ending;
  return given;
}

function tickets(changes: Partial<SessionTickets> = {}, madeAtMs = Date.now()): SessionTickets {
  return { keys: [{ bytes: randomBytes(48), madeAtMs }], turningPointsMs: [], ...changes };
}

function resumed(shaken: Shaken): boolean {
  assert.equal(shaken.refused, undefined);
  return shaken.refused === undefined && shaken.resumed;
}

for (const version of VERSIONS) {
  test(`a ticket is taken by every server with its key, and by no other, ${version}`, async (t) => {
    const ca = await createTestCa();
    const first = tickets();
    const material = await materialOf(ca, { sessionTickets: first });
    const [one, other] = [await serveFront(t, { material }), await serveFront(t, { material })];
    const client = { ca: ca.caPem, certificate: await ca.issue({ cn: 'alice' }), version };
    const session = await visit(t, { ...client, port: one.port });
    assert.equal(resumed(await one.next()), false);

    await visit(t, { ...client, port: other.port, session });
    assert.equal(resumed(await other.next()), true);

    const second = withKey(first, { bytes: randomBytes(48), madeAtMs: Date.now() });
    other.front.reload({ ...material, sessionTickets: second });
    await visit(t, { ...client, port: other.port, session });
    assert.equal(resumed(await other.next()), true, 'the key before the newest is taken');
    const later = await visit(t, { ...client, port: other.port });
    assert.equal(resumed(await other.next()), false);
    await visit(t, { ...client, port: one.port, session: later });
    assert.equal(resumed(await one.next()), false, 'a server that does not have the key shakes hands in full');

    other.front.reload({ ...material, sessionTickets: tickets() });
    await visit(t, { ...client, port: other.port, session });
    assert.equal(resumed(await other.next()), false, 'with other keys there is a handshake in full');
  });

  test(`without tickets nothing is resumed, ${version}`, async (t) => {
    const ca = await createTestCa();
    const served = await serveFront(t, { material: await materialOf(ca) });
    const client = { port: served.port, ca: ca.caPem, certificate: await ca.issue({ cn: 'alice' }), version };
    const session = await visit(t, client);
    assert.equal(resumed(await served.next()), false);
    await visit(t, { ...client, session });
    assert.equal(resumed(await served.next()), false);
  });

  test(`a resumed session is refused once its certificate has ended, ${version}`, async (t) => {
    const ca = await createTestCa();
    let nowMs = Date.now();
    const served = await serveFront(t, { material: await materialOf(ca, { sessionTickets: tickets() }), wallMs: () => nowMs });
    const client = { port: served.port, ca: ca.caPem, certificate: await ca.issue({ cn: 'alice' }), version };
    const session = await visit(t, client);
    await served.next();
    nowMs += 25 * 3_600_000;
    await visit(t, { ...client, session });
    assert.deepEqual(await served.next(), { refused: 'certificate_expired', detail: 'CERT_HAS_EXPIRED: CN=alice' });
  });

  test(`a ticket of before a CA or a list ended is not honoured after, ${version}`, async (t) => {
    const ca = await createTestCa();
    let nowMs = Date.now();
    const endsMs = nowMs + 60_000;
    const sessionTickets = tickets({ turningPointsMs: [nowMs - 60_000, endsMs] });
    const served = await serveFront(t, { material: await materialOf(ca, { sessionTickets }), wallMs: () => nowMs });
    const client = { port: served.port, ca: ca.caPem, certificate: await ca.issue({ cn: 'alice' }), version };
    const session = await visit(t, client);
    await served.next();
    nowMs = endsMs - 1;
    await visit(t, { ...client, session });
    assert.equal(resumed(await served.next()), true);
    nowMs = endsMs;
    await visit(t, { ...client, session });
    assert.equal(resumed(await served.next()), false);
  });

  test(`resuming makes no session last longer, ${version}`, async (t) => {
    const ca = await createTestCa();
    const served = await serveFront(t, { material: await materialOf(ca, { sessionTickets: tickets() }) });
    const client = { port: served.port, ca: ca.caPem, certificate: await ca.issue({ cn: 'alice' }), version };
    const session = await visit(t, client);
    await served.next();
    const renewed = await visit(t, { ...client, session });
    assert.equal(resumed(await served.next()), true);
    // With TLS 1.2 the client tells of the session that it had.
    assert.ok(renewed === undefined || (version === 'TLSv1.2' && renewed.equals(session ?? assert.fail())));
  });
}

test('a key is kept for as long as a ticket of it may live', () => {
  let ring = tickets({}, 0);
  const periodMs = SESSION_LIFETIME_MS;
  const madeAt = () => ring.keys.map(({ madeAtMs }) => madeAtMs / periodMs);
  for (const [period, expected] of [
    [1, [1, 0]],
    [2, [2, 1]],
    [3, [3, 2]],
  ] as const) {
    ring = withKey(ring, { bytes: randomBytes(48), madeAtMs: period * periodMs });
    assert.deepEqual(madeAt(), expected);
  }
});

interface Scene {
  readonly balancer: RunningBalancer;
  readonly ca: TestCa;
  readonly folder: string;
  readonly alice: KeyAndCertificate;
}

/** A balancer whose CA and revocation list the test can write anew. */
async function scene(t: TestContext): Promise<Scene> {
  const [ca, folder, upstream] = [await createTestCa(), await temporaryFolder(t), await bannerServer(t, 'hello')];
  const { lb, caCert } = await ca.writeTo(folder, { lb: await ca.issueServer() });
  const crl = path.join(folder, 'revoked.crl');
  await writeFile(crl, await ca.crl([]));
  const balancer = await startBalancer(t, {
    ca,
    config: {
      tlsParams: { ...lb, caCert, crl, sessionTickets: true },
      targetGroups: [uncheckedGroup('web', [upstream.address])],
      clients: [{ clientId: 'alice', allowedTargetGroup: 'web' }],
    },
  });
  return { balancer, ca, folder, alice: await ca.issue({ cn: 'alice' }) };
}

/** What the log says of each of so many visits with the session. */
async function visits(t: TestContext, { balancer, ca, alice }: Scene, version: Version, session: Buffer, times: number) {
  const lines: ConnectionLine[] = [];
  for (let n = 0; n < times; n++) {
    await visit(t, { port: balancer.port(), ca: ca.caPem, certificate: alice, version, session });
    lines.push(await balancer.nextLine());
  }
  return lines;
}

/** A session that both workers have resumed. */
async function sessionOfBoth(t: TestContext, at: Scene, version: Version): Promise<Buffer> {
  const session = await visit(t, { port: at.balancer.port(), ca: at.ca.caPem, certificate: at.alice, version });
  const first = await at.balancer.nextLine();
  assert.equal(first.resumed, undefined);
  assert.ok(session !== undefined);
  const lanes = new Set<string>();
  for (let n = 0; n < 60 && lanes.size < 2; n++) {
    const [line] = await visits(t, at, version, session, 1);
    assert.deepEqual([line?.resumed, line?.client, line?.reason], [true, 'alice', 'client_closed']);
    lanes.add(line?.id.split('-')[0] ?? '');
  }
  assert.equal(lanes.size, 2, 'a worker resumes what another began');
  assert.ok(at.balancer.lb.stats.resumedSessions() >= 2);
  return session;
}

/** Enough that each of two workers gets some. */
const MANY = 12;

for (const version of VERSIONS) {
  test(`workers take each other's tickets, and none carries what was withdrawn, ${version}`, async (t) => {
    const at = await scene(t);
    const { balancer, ca, folder, alice } = at;
    const reasons = async (session: Buffer) => new Set((await visits(t, at, version, session, MANY)).map(({ reason }) => reason));

    await t.test('and tickets of before a change of keys count on', async () => {
      const session = await sessionOfBoth(t, at, version);
      await balancer.lb.rotateTicketKeys();
      assert.ok((await visits(t, at, version, session, MANY)).every((line) => line.resumed));
      await balancer.lb.reloadCertificates();
      assert.ok((await visits(t, at, version, session, MANY)).every((line) => line.resumed === undefined));
    });

    await t.test('a permission', async () => {
      const session = await sessionOfBoth(t, at, version);
      await balancer.lb.removeClient('alice');
      assert.deepEqual(await reasons(session), new Set(['unknown_client']));
      await balancer.lb.addClient({ clientId: 'alice', allowedTargetGroup: 'web' });
      assert.deepEqual(await reasons(session), new Set(['client_closed']));
    });

    await t.test('a certificate that a new revocation list names', async () => {
      const session = await sessionOfBoth(t, at, version);
      await writeFile(path.join(folder, 'revoked.crl'), await ca.crl([alice]));
      await balancer.lb.reloadCertificates();
      assert.deepEqual(await reasons(session), new Set(['certificate_revoked']));
      await writeFile(path.join(folder, 'revoked.crl'), await ca.crl([]));
      await balancer.lb.reloadCertificates();
      const again = await visits(t, at, version, session, MANY);
      assert.ok(
        again.every((line) => line.resumed === undefined && line.reason === 'client_closed'),
        'no ticket of before a reload counts',
      );
    });

    await t.test('a CA that is trusted no more', async () => {
      const session = await sessionOfBoth(t, at, version);
      const other = await createTestCa({ name: 'other' });
      await writeFile(path.join(folder, 'rootCA.pem'), other.caPem);
      await writeFile(path.join(folder, 'revoked.crl'), await other.crl([]));
      await balancer.lb.reloadCertificates();
      assert.deepEqual(await reasons(session), new Set(['certificate_untrusted']));
      await writeFile(path.join(folder, 'rootCA.pem'), ca.caPem);
      await writeFile(path.join(folder, 'revoked.crl'), await ca.crl([]));
      await balancer.lb.reloadCertificates();
    });

    await t.test('a certificate that was revoked at run time', async () => {
      const session = await sessionOfBoth(t, at, version);
      const fingerprint = fingerprintOf(alice);
      await balancer.lb.execute({ kind: 'revokeCertificate', revocation: { fingerprint, comment: '', atMs: 0 } });
      assert.deepEqual(await reasons(session), new Set(['certificate_revoked']));
    });
  });
}

function fingerprintOf({ certPem }: KeyAndCertificate): string {
  return new X509Certificate(certPem).fingerprint256.replaceAll(':', '').toLowerCase();
}
