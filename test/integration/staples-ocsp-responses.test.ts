import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { X509Certificate } from 'node:crypto';
import { writeFile } from 'node:fs/promises';
import path from 'node:path';
import { type TestContext, test } from 'node:test';
import type { KeyAndCertificate } from '../../certs/issuing.ts';
import { tlsEnds } from '../../src/config/tls-ends.ts';
import { loadTlsMaterial, type TlsFileOptions } from '../../src/config/tls-files.ts';
import type { TlsParams } from '../../src/domain/tls-material.ts';
import { watchEnds } from '../../src/end-watch.ts';
import { AdminServiceService } from '../../src/gen/lb/admin/v1/admin.ts';
import { ask, refused } from '../support/admin-server.ts';
import { createTestCa } from '../support/certificates.ts';
import { startDaemon } from '../support/daemon.ts';
import { adminOf } from '../support/daemon-clients.ts';
import { ocspResponder } from '../support/ocsp-responder.ts';
import { lintMetrics, parseMetrics, seriesValue } from '../support/prometheus.ts';
import { selfSignedRsa } from '../support/rsa-certificate.ts';
import { temporaryFolder } from '../support/temp-dir.ts';
import { materialOf, serveFront } from '../support/tls-front.ts';

const PARAMS: Omit<TlsParams, 'certificate' | 'privateKey' | 'caCert' | 'ocspResponse'> = {
  certificates: [],
  crl: undefined,
  minVersion: 'TLSv1.2',
  ciphers: 'TLS_AES_128_GCM_SHA256',
  sessionTickets: false,
};

/** What `openssl s_client` says of the stapled response: another implementation, which asks for one in each handshake. */
async function opensslClient(t: TestContext, { certPem, keyPem }: KeyAndCertificate, caPem: string) {
  const folder = await temporaryFolder(t);
  const [cert, key, ca] = ['client.crt', 'client.key', 'ca.pem'].map((name) => path.join(folder, name));
  assert.ok(cert !== undefined && key !== undefined && ca !== undefined);
  await Promise.all([writeFile(cert, certPem), writeFile(key, keyPem, { mode: 0o600 }), writeFile(ca, caPem)]);
  return (port: number | string, ...options: readonly string[]) =>
    new Promise<string>((resolve) => {
      const args = ['s_client', '-connect', `127.0.0.1:${port}`, '-cert', cert, '-key', key, '-CAfile', ca, '-status', ...options];
      const child = execFile('openssl', args, { timeout: 60_000 }, (_error, stdout, stderr) => resolve(`${stdout}${stderr}`));
      child.stdin?.end();
    });
}

const serialIn = (said: string) =>
  /OCSP Response Status: successful[\s\S]*Serial Number: ([\dA-F]+)[\s\S]*Cert Status: good/.exec(said)?.[1];
const serialOf = ({ certPem }: KeyAndCertificate) => new X509Certificate(certPem).serialNumber;
const NOTHING_STAPLED = /OCSP response: no response sent/;

test('each certificate has its own response, in both versions of TLS, until it ends', async (t) => {
  const ca = await createTestCa();
  const responder = await ocspResponder(t, ca);
  const [main, db, bare] = [await ca.issueServer(), ...(await Promise.all(['db', 'bare'].map((cn) => named(cn))))];
  assert.ok(db !== undefined && bare !== undefined);
  const endsAtMs = Date.now() + 86_400_000;
  const clock = { nowMs: Date.now() };
  const served = async (pair: KeyAndCertificate, isStapled: boolean) => ({
    certificatePem: pair.certPem,
    privateKeyPem: pair.keyPem,
    ocsp: isStapled ? { der: await responder.answer(pair), endsAtMs } : undefined,
  });
  const certificates = [await served(db, true), await served(bare, false)];
  const material = await materialOf(ca, { ...(await served(main, true)), certificates });
  const { port } = await serveFront(t, { material, wallMs: () => clock.nowMs });
  const visit = await opensslClient(t, await ca.issue({ cn: 'alice' }), ca.caPem);
  for (const version of ['-tls1_2', '-tls1_3']) {
    assert.equal(serialIn(await visit(port, version, '-noservername')), serialOf(main), version);
    assert.equal(serialIn(await visit(port, version, '-servername', 'db.example.com')), serialOf(db), version);
    assert.match(await visit(port, version, '-servername', 'bare.example.com'), NOTHING_STAPLED, version);
  }
  clock.nowMs = endsAtMs;
  const after = await visit(port);
  assert.match(after, NOTHING_STAPLED);
  assert.match(after, /Verify return code: 0 \(ok\)/);

  function named(cn: string) {
    return ca.issue({ cn, dns: [`${cn}.example.com`], server: true });
  }
});

test('nothing is stapled where OpenSSL chooses between certificates of two kinds', async (t) => {
  const ca = await createTestCa();
  const ec = await ca.issue({ dns: ['localhost'], server: true });
  const { certPem, keyPem } = await selfSignedRsa(['localhost']);
  const ocsp = { der: await (await ocspResponder(t, ca)).answer(ec), endsAtMs: undefined };
  const certificates = [{ certificatePem: certPem, privateKeyPem: keyPem, ocsp: undefined }];
  const material = { ...(await materialOf(ca)), certificatePem: ec.certPem, privateKeyPem: ec.keyPem, ocsp };
  const visit = await opensslClient(t, await ca.issue({ cn: 'alice' }), ca.caPem);
  const alone = await serveFront(t, { material });
  assert.equal(serialIn(await visit(alone.port)), serialOf(ec));
  const twins = await serveFront(t, { material: { ...material, certificates } });
  assert.match(await visit(twins.port), NOTHING_STAPLED);
});

test('files are held against their certificates at the start and at each reload, and listed', async (t) => {
  const [ca, folder] = [await createTestCa(), await temporaryFolder(t)];
  const responder = await ocspResponder(t, ca);
  const [main, db] = [await ca.issueServer(), await ca.issue({ cn: 'db', dns: ['db.example.com'], server: true })];
  const { caCert, ...files } = await ca.writeTo(folder, { main, db });
  const [forMain, forDb] = [path.join(folder, 'main.ocsp'), path.join(folder, 'db.ocsp')];
  await writeFile(forMain, await responder.answer(main, { days: 2 }));
  await writeFile(forDb, await responder.answer(db, { days: 0 }));
  const tlsParams = { ...files.main, caCert, ocspResponse: forMain, certificates: [{ ...files.db, ocspResponse: forDb }] };
  const daemon = await startDaemon(t, { ca, config: { tlsParams } });
  const admin = adminOf(t, daemon);
  const visit = await opensslClient(t, await ca.issue({ cn: 'alice' }), ca.caPem);
  assert.equal(serialIn(await visit(daemon.port)), serialOf(main));
  const { certificates } = await ask(admin, AdminServiceService.listCertificates, {});
  const shown = certificates.map(({ usedBy, subject, ocsp }) => [usedBy, subject, ocsp?.stapled, ocsp?.nextUpdate !== undefined]);
  assert.deepEqual(shown, [
    ['default', 'CN=loadbalancer', true, true],
    ['default', 'CN=db', true, false],
    ['admin', 'CN=loadbalancer', undefined, false],
  ]);

  await writeFile(forDb, await responder.answer(db, { status: 'revoked' }));
  const refusal = await refused(ask(admin, AdminServiceService.reloadCertificates, { allowSelf: false }));
  assert.equal(refusal.reason, 'TLS_FILE_REFUSED');
  assert.match(refusal.message, /^listener "default": certificates\[0\]\.ocspResponse .*db\.ocsp: it says that the certificate is revoked/);
  assert.equal(serialIn(await visit(daemon.port, '-servername', 'db.example.com')), serialOf(db), 'the one from before stays');

  // A renewed certificate needs a response of its own.
  const renewed = await ca.issueServer();
  await ca.writeTo(folder, { main: renewed });
  await writeFile(forDb, await responder.answer(db));
  assert.match(
    (await refused(ask(admin, AdminServiceService.reloadCertificates, { allowSelf: false }))).message,
    /^listener "default": ocspResponse .*not for this certificate/,
  );
  await writeFile(forMain, await responder.answer(renewed, { days: 1 }));
  await ask(admin, AdminServiceService.reloadCertificates, { allowSelf: false });
  assert.equal(serialIn(await visit(daemon.port)), serialOf(renewed));
});

test('while lbd runs it reminds of a response that ends, and the metrics say when', async (t) => {
  const [ca, folder] = [await createTestCa(), await temporaryFolder(t)];
  const main = await ca.issueServer();
  const { caCert, ...files } = await ca.writeTo(folder, { main });
  const [ocspResponse, crl] = [path.join(folder, 'main.ocsp'), path.join(folder, 'revoked.crl')];
  await writeFile(ocspResponse, await (await ocspResponder(t, ca)).answer(main, { days: 2 }));
  await writeFile(crl, (await ca.crl([])) + (await ca.crl([], { days: 3 })));
  const daemon = await startDaemon(t, {
    ca,
    config: { tlsParams: { ...files.main, caCert, ocspResponse, crl }, metrics: { address: '127.0.0.1:0' } },
  });
  const { metrics } = await daemon.waitForLog(({ msg }) => msg === 'ready');
  const families = parseMetrics(await (await fetch(`http://${metrics}/metrics`)).text());
  assert.deepEqual(lintMetrics(families), []);
  const endOf = (kind: string, usedBy = 'default') =>
    seriesValue(families, 'portcullis_tls_end_timestamp_seconds', { kind, used_by: usedBy }) * 1000;
  const { validToDate } = new X509Certificate(main.certPem);
  assert.deepEqual([endOf('certificate'), endOf('certificate', 'admin')], [validToDate.getTime(), validToDate.getTime()]);
  assert.equal(endOf('ca'), new X509Certificate(ca.caPem).validToDate.getTime());
  const { certificates } = await ask(adminOf(t, daemon), AdminServiceService.listCertificates, {});
  assert.equal(endOf('ocsp_response'), certificates[0]?.ocsp?.nextUpdate?.getTime());
  assert.ok(endOf('crl') > Date.now() + 2 * 86_400_000, 'the first list has a successor');

  // The same files, minute by minute.
  const params: TlsParams = { ...PARAMS, ...files.main, caCert, ocspResponse, crl };
  const { material } = loadTlsMaterial(params, { allowInsecureKeyPermissions: false });
  const ends = tlsEnds(params, material).filter(({ kind }) => kind === 'ocsp_response');
  t.mock.timers.enable({ apis: ['setInterval'] });
  const told: [file: unknown, line: string][] = [];
  const tell = (level: string) => (facts: object, line: string) => told.push([Reflect.get(facts, 'file'), `${level}: ${line}`]);
  const clock = { nowMs: Date.now() };
  const stop = watchEnds({
    ends: () => ends.map((end) => ({ usedBy: 'default', ...end })),
    log: { warn: tell('warn'), error: tell('error') },
    nowMs: () => clock.nowMs,
  });
  for (let minute = 0; minute < 72 * 60; minute++) {
    clock.nowMs += 60_000;
    t.mock.timers.tick(60_000);
  }
  stop();
  const lines = told.map(([file, line]) => `${path.basename(String(file))}: ${line.replace(/at \S+: /, '')}`);
  const consequence = 'it is not stapled from then on; fetch a new one and reload';
  assert.deepEqual(lines, [
    `main.ocsp: warn: an OCSP response ends ${consequence}`,
    `main.ocsp: error: an OCSP response ended ${consequence}`,
    `main.ocsp: error: an OCSP response ended ${consequence}`,
  ]);
});

test('a response is warned of a day before its end, and refused from then on', async (t) => {
  const [ca, folder] = [await createTestCa(), await temporaryFolder(t)];
  const main = await ca.issueServer();
  const { caCert, ...files } = await ca.writeTo(folder, { main });
  const ocspResponse = path.join(folder, 'main.ocsp');
  await writeFile(ocspResponse, await (await ocspResponder(t, ca)).answer(main, { days: 7 }));
  const load = (inDays: number) => {
    const options: TlsFileOptions = { allowInsecureKeyPermissions: false, nowMs: Date.now() + inDays * 86_400_000 };
    return loadTlsMaterial({ ...PARAMS, ...files.main, caCert, ocspResponse }, options).warnings.filter((line) => line.startsWith('ocsp'));
  };
  assert.deepEqual(load(5.9), []);
  assert.match(load(6.1).join(), /^ocspResponse .*main\.ocsp: the response ends at 20.* and is not stapled from then on; fetch a new one/);
  assert.throws(() => load(7.1), /^TlsFileError: ocspResponse .*main\.ocsp: it ended at 20/);
});
