import assert from 'node:assert/strict';
import { createHash, X509Certificate } from 'node:crypto';
import { readFile, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { test } from 'node:test';
import { status as Code } from '@grpc/grpc-js';
import { AdminServiceService } from '../../src/gen/lb/admin/v1/admin.ts';
import { ask, refused } from '../support/admin-server.ts';
import { startDaemon } from '../support/daemon.ts';
import { adminOf, connectTo } from '../support/daemon-clients.ts';

const fingerprintOf = (pem: string | Buffer) => createHash('sha256').update(new X509Certificate(pem).raw).digest('hex');

test('the certificates in force are listed, and taken anew from their files all together or not at all', async (t) => {
  const revoked = { fingerprint: 'ab'.repeat(32), comment: 'laptop lost', revokedAt: '2026-01-31T12:00:00Z' };
  const daemon = await startDaemon(t, { config: { revokedCertificates: [revoked] } });
  const admin = adminOf(t, daemon);
  const file = path.join(daemon.folder, 'certs/loadbalancer.crt');
  const key = path.join(daemon.folder, 'certs/loadbalancer.key');
  const list = () => ask(admin, AdminServiceService.listCertificates, {});
  const reload = () => ask(admin, AdminServiceService.reloadCertificates, { allowSelf: false });
  const servedNow = async () => {
    const client = connectTo(t, daemon, await daemon.ca.issue({ cn: 'x' }));
    await client.secured;
    return fingerprintOf(client.socket.getPeerCertificate(true).raw);
  };

  const before = new X509Certificate(await readFile(file));
  const { certificates, revoked: listed } = await list();
  assert.deepEqual(
    certificates.map(({ usedBy }) => usedBy),
    ['default', 'admin'],
  );
  for (const certificate of certificates) {
    assert.deepEqual(certificate, {
      usedBy: certificate.usedBy,
      subject: 'CN=loadbalancer',
      issuer: 'CN=test CA',
      serialNumber: before.serialNumber,
      notBefore: before.validFromDate,
      notAfter: before.validToDate,
      fingerprint: fingerprintOf(before.toString()),
      file,
    });
  }
  assert.deepEqual(listed, [{ fingerprint: revoked.fingerprint, comment: 'laptop lost', revokedAt: new Date(revoked.revokedAt) }]);

  await t.test('a bad file is named, and the old ones stay', async () => {
    const renewed = await daemon.ca.issueServer();
    await writeFile(file, renewed.certPem);
    const refusal = await refused(reload());
    assert.deepEqual([refusal.code, refusal.reason], [Code.FAILED_PRECONDITION, 'TLS_FILE_REFUSED']);
    assert.match(
      refusal.message,
      /^privateKey .*loadbalancer\.key: the key does not match the certificate in .*; the certificates in force stay$/,
    );
    assert.deepEqual((await list()).certificates, certificates, 'what is listed is what is served, not what the files hold');
    assert.equal(await servedNow(), fingerprintOf(before.toString()));
  });

  await t.test('good files are served at once', async () => {
    const renewed = await daemon.ca.issueServer();
    await writeFile(file, renewed.certPem);
    await writeFile(key, renewed.keyPem);
    const { certificates: now } = await reload();
    assert.deepEqual(new Set(now.map(({ fingerprint }) => fingerprint)), new Set([fingerprintOf(renewed.certPem)]));
    assert.deepEqual((await list()).certificates, now);
    assert.equal(await servedNow(), fingerprintOf(renewed.certPem));
  });
});
