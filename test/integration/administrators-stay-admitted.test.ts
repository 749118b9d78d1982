import assert from 'node:assert/strict';
import { X509Certificate } from 'node:crypto';
import { writeFile } from 'node:fs/promises';
import path from 'node:path';
import { test } from 'node:test';
import { status as Code } from '@grpc/grpc-js';
import {
  AddClientRequest,
  AdminServiceClient,
  RevokeCertificateRequest,
  AdminServiceService as rpc,
} from '../../src/gen/lb/admin/v1/admin.ts';
import { ask, refused } from '../support/admin-server.ts';
import { createTestCa } from '../support/certificates.ts';
import { startDaemon } from '../support/daemon.ts';
import { adminOf, grpcClient } from '../support/daemon-clients.ts';
import { temporaryFolder } from '../support/temp-dir.ts';

test('a client that would take in an administrator of an earlier run is refused, unless the role is gone', async (t) => {
  const [ca, folder] = [await createTestCa(), await temporaryFolder(t)];
  const olga = await ca.issue({ cn: 'olga', ou: 'operator' });
  const start = (operators: readonly object[]) =>
    startDaemon(t, {
      ca,
      folder,
      config: {
        workers: 1,
        targetGroups: [{ name: 'web', upstreamServers: [] }],
        store: { kind: 'sqlite', path: path.join(folder, 'lbd.state.db') },
        admin: { address: '127.0.0.1:0', roles: { admin: [{ cn: 'admin' }], operator: operators } },
      },
    });
  const add = AddClientRequest.fromPartial({ client: { clientId: 'x', match: { ou: 'operator' }, allowedTargetGroups: ['web'] } });

  const first = await start([{ cn: 'olga' }]);
  await ask(grpcClient(t, AdminServiceClient, first, { as: olga }), rpc.getLogLevel, {});
  await first.stop();

  const second = await start([{ cn: 'olga' }]);
  const { code, reason, message } = await refused(ask(adminOf(t, second), rpc.addClient, add));
  assert.deepEqual([code, reason], [Code.FAILED_PRECONDITION, 'ADMIN_LOCKOUT']);
  assert.match(message, /matches the certificate "olga" of another administrator/);
  await second.stop();

  const third = await start([]);
  assert.equal((await ask(adminOf(t, third), rpc.addClient, add)).revision, 2n, 'olga has no role any more');
});

test('a reload that shuts out the caller is refused unless meant, and one that shuts out others names them in the log', async (t) => {
  const [ca, folder] = [await createTestCa(), await temporaryFolder(t)];
  const [boss, other] = [await ca.issue({ cn: 'boss', ou: 'admin' }), await ca.issue({ cn: 'other', ou: 'operator' })];
  const tls = { certificate: 'certs/loadbalancer.crt', privateKey: 'certs/loadbalancer.key', caCert: 'certs/rootCA.pem', crl: 'list.crl' };
  const list = path.join(folder, 'list.crl');
  await writeFile(list, await ca.crl([]));
  const daemon = await startDaemon(t, { ca, folder, config: { workers: 1, tlsParams: tls } });
  const [asBoss, asOther] = [boss, other].map((as) => grpcClient(t, AdminServiceClient, daemon, { as }));
  assert.ok(asBoss !== undefined && asOther !== undefined);
  await ask(asOther, rpc.getLogLevel, {});

  await writeFile(list, await ca.crl([boss, other]));
  const { code, reason, message } = await refused(ask(asBoss, rpc.reloadCertificates, { allowSelf: false }));
  assert.deepEqual([code, reason], [Code.FAILED_PRECONDITION, 'ADMIN_LOCKOUT']);
  assert.match(message, /no longer take your own certificate "boss" .*--yes-lock-me-out/);
  // Nothing was taken: who is on the list still comes in anew.
  await ask(grpcClient(t, AdminServiceClient, daemon, { as: other }), rpc.getLogLevel, {});

  daemon.signal('SIGHUP');
  for (const admin of ['boss', 'other']) {
    const line = await daemon.waitForLog(
      (each) => each['admin'] === admin && String(each['msg']).startsWith('an administrator is shut out'),
    );
    assert.match(String(line['why']), /revoked/i);
  }

  await writeFile(list, await ca.crl([]));
  daemon.signal('SIGHUP');
  let reloads = 0;
  await daemon.waitForLog(({ msg }) => msg === 'certificates reloaded' && ++reloads === 2);
  await writeFile(list, await ca.crl([boss]));
  assert.ok(await ask(asBoss, rpc.reloadCertificates, { allowSelf: true }));
  assert.equal((await refused(ask(asBoss, rpc.getLogLevel, {}))).reason, 'CERTIFICATE_REVOKED');
});

test('what a revocation would do nothing about is refused, and a warning where a file has it', async (t) => {
  const [ca, folder] = [await createTestCa(), await temporaryFolder(t)];
  const daemon = await startDaemon(t, { ca, folder, config: { workers: 1 } });
  const admin = adminOf(t, daemon);
  const { certificates } = await ask(admin, rpc.listCertificates, {});
  const served = certificates[0]?.fingerprint ?? '';
  const root = new X509Certificate(ca.caPem).fingerprint256.replaceAll(':', '').toLowerCase();
  const foreign = (await createTestCa({ name: 'another' })).caPem;
  const revoke = (certificateId: NonNullable<RevokeCertificateRequest['certificateId']>) =>
    refused(ask(admin, rpc.revokeCertificate, RevokeCertificateRequest.fromPartial({ certificateId })));
  for (const [id, expected, message] of [
    [{ $case: 'fingerprint', value: served }, 'SERVED_CERTIFICATE', /loadbalancer\.crt \(used by default, admin\)/],
    [{ $case: 'fingerprint', value: root }, 'CA_CERTIFICATE', /the CA in .*rootCA\.pem .*remove the CA from caCert and reload/],
    [{ $case: 'certificate', value: ca.caPem }, 'CA_CERTIFICATE', /the CA in .*rootCA\.pem/],
    [{ $case: 'certificate', value: foreign }, 'CA_CERTIFICATE', /this is the certificate of a CA/],
  ] as const) {
    const refusal = await revoke(id);
    assert.deepEqual([refusal.code, refusal.reason], [Code.FAILED_PRECONDITION, expected]);
    assert.match(refusal.message, message);
  }
  const config = JSON.stringify({
    listenAddress: '127.0.0.1:0',
    tlsParams: { certificate: 'certs/loadbalancer.crt', privateKey: 'certs/loadbalancer.key', caCert: 'certs/rootCA.pem' },
    targetGroups: [
      { name: 'web', upstreamServers: [] },
      { name: 'db', upstreamServers: [] },
    ],
    clients: [{ clientId: 'both', allowedTargetGroups: ['web', 'db'] }],
    revokedCertificates: [{ fingerprint: root }],
  });
  const { warnings } = await ask(admin, rpc.planConfig, { config });
  assert.match(warnings.join('\n'), new RegExp(`revokedCertificates, ${root}: this is the CA in `));
  assert.match(warnings.join('\n'), /client "both" may reach 2 groups, .*\(no_route\)/);
});
