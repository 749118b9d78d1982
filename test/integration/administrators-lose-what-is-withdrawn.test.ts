import assert from 'node:assert/strict';
import { once } from 'node:events';
import { writeFile } from 'node:fs/promises';
import { connect as connectTcp } from 'node:net';
import path from 'node:path';
import { type TestContext, test } from 'node:test';
import { connect as connectTls } from 'node:tls';
import { status as Code } from '@grpc/grpc-js';
import type { KeyAndCertificate } from '../../certs/issuing.ts';
import { AdminServiceClient, AdminServiceService as rpc, SetLogLevelRequest, WatchStatsRequest } from '../../src/gen/lb/admin/v1/admin.ts';
import { ask, refusalIn, refused, startAdmin, type Watch, watch } from '../support/admin-server.ts';
import { certificate } from '../support/certificate-chains.ts';
import { createTestCa } from '../support/certificates.ts';
import { startDaemon } from '../support/daemon.ts';
import { grpcClient } from '../support/daemon-clients.ts';
import { temporaryFolder } from '../support/temp-dir.ts';

/** A daemon whose administrators are held against `admins.pem`, and `admins.crl` if there is one. */
async function start(t: TestContext, { admins, crl }: { readonly admins: string; readonly crl?: string }) {
  const [ca, folder] = [await createTestCa(), await temporaryFolder(t)];
  const [file, list] = [path.join(folder, 'admins.pem'), path.join(folder, 'admins.crl')];
  await writeFile(file, admins);
  if (crl !== undefined) await writeFile(list, crl);
  const served = { certificate: 'certs/loadbalancer.crt', privateKey: 'certs/loadbalancer.key', caCert: file };
  const tls = crl === undefined ? served : { ...served, crl: list };
  const daemon = await startDaemon(t, { ca, folder, config: { workers: 1, admin: { address: '127.0.0.1:0', tls } } });
  const as = (who: KeyAndCertificate) => grpcClient(t, AdminServiceClient, daemon, { as: who });
  const hangUp = async (times: number) => {
    let seen = 0;
    daemon.signal('SIGHUP');
    await daemon.waitForLog(({ msg }) => msg === 'certificates reloaded' && ++seen === times);
  };
  return { daemon, file, list, as, hangUp };
}

async function watching(client: AdminServiceClient): Promise<Watch<unknown>> {
  const stats = watch(client, rpc.watchStats, WatchStatsRequest.create());
  await stats.next();
  return stats;
}

const reload = (client: AdminServiceClient) => ask(client, rpc.reloadCertificates, { allowSelf: false });
const act = (client: AdminServiceClient) => ask(client, rpc.setLogLevel, SetLogLevelRequest.fromPartial({ level: 'debug' }));

async function assertShutOut(client: AdminServiceClient, stats: Watch<unknown>, reason: string, says: RegExp): Promise<void> {
  for (const { code, reason: given, message } of [refusalIn(await stats.ended()), await refused(act(client))]) {
    assert.deepEqual([code, given], [Code.PERMISSION_DENIED, reason]);
    assert.match(message, says);
  }
}

test('a reload that revokes an administrator ends his streams and refuses his calls, over the connection that he has', async (t) => {
  const admins = await createTestCa({ name: 'administrators' });
  const [boss, lost] = [await admins.issue({ cn: 'boss', ou: 'admin' }), await admins.issue({ cn: 'lost', ou: 'admin' })];
  const { daemon, list, as, hangUp } = await start(t, { admins: admins.caPem, crl: await admins.crl([]) });
  const [asBoss, asLost] = [as(boss), as(lost)];
  const [bossStats, lostStats] = [await watching(asBoss), await watching(asLost)];
  await reload(asBoss);
  await act(asLost);

  await writeFile(list, await admins.crl([lost]));
  await reload(asBoss);
  const shutOut = /^certificate "lost" opens nothing any more since a reload of the CA or the revocation list \(CERT_REVOKED: .*CN=lost\)$/;
  await assertShutOut(asLost, lostStats, 'CERTIFICATE_REVOKED', shutOut);
  const line = await daemon.waitForLog(({ msg }) => String(msg).startsWith('administrators who are connected are shut out'));
  assert.equal(line['connections'], 1);
  await bossStats.next();

  await writeFile(list, await admins.crl([]));
  await reload(asBoss);
  await act(asLost);
  const again = await watching(asLost);
  await writeFile(list, await admins.crl([lost]));
  await hangUp(4);
  await assertShutOut(asLost, again, 'CERTIFICATE_REVOKED', shutOut);
});

test('a reload without the CA of an administrator shuts him out, and is refused to himself, intermediates or not', async (t) => {
  const admins = await createTestCa({ name: 'administrators' });
  const root = await certificate({ name: 'former CA', ca: true });
  const intermediate = await certificate({ name: 'between', issuer: root, ca: true });
  const leaf = await certificate({ name: 'admin', issuer: intermediate });
  const former = { keyPem: leaf.keyPem, certPem: `${leaf.certPem}\n${intermediate.certPem}` };
  const { file, as, hangUp } = await start(t, { admins: `${admins.caPem}\n${root.certPem}` });
  const [asFormer, asBoss] = [as(former), as(await admins.issue({ cn: 'boss', ou: 'admin' }))];
  const [formerStats, bossStats] = [await watching(asFormer), await watching(asBoss)];

  await writeFile(file, admins.caPem);
  const lockout = await refused(reload(asFormer));
  assert.deepEqual([lockout.code, lockout.reason], [Code.FAILED_PRECONDITION, 'ADMIN_LOCKOUT']);
  await formerStats.next();

  await hangUp(1);
  await assertShutOut(
    asFormer,
    formerStats,
    'CERTIFICATE_UNTRUSTED',
    /^certificate "admin" opens nothing any more since a reload of the CA/,
  );
  await bossStats.next();
});

test('an administrator whose certificate ends loses his streams at that moment, and his calls', async (t) => {
  const admins = await createTestCa({ name: 'administrators' });
  const { as } = await start(t, { admins: admins.caPem });
  const bossStats = await watching(as(await admins.issue({ cn: 'boss', ou: 'admin' })));
  // Its time must do for two calls on a slow machine.
  const asShort = as(await admins.issue({ cn: 'short', ou: 'admin', days: 10 / 86_400 }));
  const shortStats = await watching(asShort);
  await act(asShort);
  await assertShutOut(asShort, shortStats, 'CERTIFICATE_EXPIRED', /^certificate "short" ended at 20\S+Z; connect with a renewed one$/);
  await bossStats.next();
});

test('a handshake that began before a reload is held to the list of after', async (t) => {
  const admin = await startAdmin(t);
  const { port } = admin.server.address;
  const { keyPem: key, certPem: cert } = await admin.certificate('viewer');
  const tcp = connectTcp(port, '127.0.0.1');
  await once(tcp, 'connect');
  // Whoever came later has been answered, so this one has been accepted.
  await ask(await admin.as('operator'), rpc.getLogLevel, {});
  const judged = Promise.withResolvers<string | undefined>();
  await admin.server.reload(await admin.material(), async (connection) => {
    const subject = connection.getPeerX509Certificate()?.subject;
    if (subject !== 'CN=viewer') return undefined;
    judged.resolve(subject);
    return { reason: 'certificate_revoked', message: 'CERT_REVOKED' };
  });
  const late = connectTls({ socket: tcp, servername: 'localhost', ca: admin.ca.caPem, ALPNProtocols: ['h2'], key, cert });
  late.on('error', () => undefined);
  await once(late, 'close');
  assert.equal(await judged.promise, 'CN=viewer');
  const refusals = admin.lines.filter(({ msg }) => msg === 'admin handshake failed').map(({ error }) => error);
  assert.deepEqual(refusals, ['CERT_REVOKED']);
});
