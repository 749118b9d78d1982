import assert from 'node:assert/strict';
import { createHash, X509Certificate } from 'node:crypto';
import { readFile, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { test } from 'node:test';
import { status as Code } from '@grpc/grpc-js';
import { AdminServiceService } from '../../src/gen/lb/admin/v1/admin.ts';
import { ask, refused } from '../support/admin-server.ts';
import { createTestCa } from '../support/certificates.ts';
import { startDaemon } from '../support/daemon.ts';
import { adminOf, connectTo, roundTrip } from '../support/daemon-clients.ts';
import { echoServer } from '../support/echo-servers.ts';
import { uncheckedGroup } from '../support/running-balancer.ts';
import { temporaryFolder } from '../support/temp-dir.ts';

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
      ocsp: undefined,
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
      /^listener "default": privateKey .*loadbalancer\.key: the key does not match the certificate in .*; the certificates in force stay$/,
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

test('a reload says how many connections it closed', async (t) => {
  const ca = await createTestCa();
  const folder = await temporaryFolder(t);
  const { caCert, lb } = await ca.writeTo(folder, { lb: await ca.issueServer() });
  const crl = path.join(folder, 'revoked.crl');
  await writeFile(crl, await ca.crl([]));
  const echo = await echoServer(t);
  const daemon = await startDaemon(t, {
    ca,
    config: {
      tlsParams: { ...lb, caCert, crl },
      targetGroups: [{ name: 'web', upstreamServers: [echo.address], healthCheck: { type: 'none' } }],
      clients: ['lost', 'kept'].map((clientId) => ({ clientId, allowedTargetGroup: 'web' })),
    },
  });
  const [lost, kept] = [await ca.issue({ cn: 'lost' }), await ca.issue({ cn: 'kept' })];
  for (const certificate of [lost, lost, kept]) await roundTrip(connectTo(t, daemon, certificate), 'here');
  const reload = () => ask(adminOf(t, daemon), AdminServiceService.reloadCertificates, { allowSelf: false });
  assert.equal((await reload()).connectionsClosed, 0n);
  await writeFile(crl, await ca.crl([lost]));
  assert.equal((await reload()).connectionsClosed, 2n);
});

test('the revocation lists in force are listed: whose, with how many entries, and when they end', async (t) => {
  const [ca, other] = [await createTestCa(), await createTestCa({ name: 'other CA' })];
  const folder = await temporaryFolder(t);
  const { caCert, lb } = await ca.writeTo(folder, { lb: await ca.issueServer() });
  await writeFile(caCert, `${ca.caPem}\n${other.caPem}`);
  const crl = path.join(folder, 'revoked.crl');
  const lost = await Promise.all(['one', 'two'].map((cn) => ca.issue({ cn })));
  await writeFile(crl, `${await ca.crl(lost)}\n${await other.crl([], { days: 7 })}`);
  const own = await ca.writeTo(path.join(folder, 'own'), { lb: await ca.issueServer() });
  const daemon = await startDaemon(t, {
    ca,
    config: { tlsParams: { ...lb, caCert, crl }, admin: { address: '127.0.0.1:0', tls: { ...own.lb, caCert: own.caCert } } },
  });
  const admin = adminOf(t, daemon);
  const lists = async () => {
    const { revocationLists } = await ask(admin, AdminServiceService.listCertificates, {});
    return revocationLists.map(({ thisUpdate, nextUpdate, ...same }) => {
      const days = Math.round(((nextUpdate?.getTime() ?? 0) - Date.now()) / 86_400_000);
      assert.ok(thisUpdate !== undefined && thisUpdate.getTime() <= Date.now());
      return { days, ...same };
    });
  };
  const before = [
    { usedBy: 'default', issuer: 'CN=test CA', entries: 2n, days: 1, file: crl, superseded: false },
    { usedBy: 'default', issuer: 'CN=other CA', entries: 0n, days: 7, file: crl, superseded: false },
  ];
  assert.deepEqual(await lists(), before, 'the admin API has none');
  await writeFile(crl, `${await ca.crl([...lost, await ca.issue({ cn: 'three' })], { days: 3 })}\n${await other.crl([])}`);
  assert.deepEqual(await lists(), before, 'what is listed is what is in force, not what the file holds');
  await ask(admin, AdminServiceService.reloadCertificates, { allowSelf: false });
  assert.deepEqual(
    (await lists()).map(({ entries, days }) => [entries, days]),
    [
      [3n, 3],
      [0n, 1],
    ],
  );
  await writeFile(crl, `${await ca.crl(lost)}\n${await ca.crl([], { days: 3 })}\n${await other.crl([])}`);
  await ask(admin, AdminServiceService.reloadCertificates, { allowSelf: false });
  assert.deepEqual(
    (await lists()).map(({ days, superseded }) => [days, superseded]),
    [
      [1, true],
      [3, false],
      [1, false],
    ],
  );
});

test('a reload says what may not be meant of the files', async (t) => {
  const [ca, other] = [await createTestCa(), await createTestCa({ name: 'other CA' })];
  const folder = await temporaryFolder(t);
  const { caCert, lb } = await ca.writeTo(folder, { lb: await ca.issueServer() });
  const crl = path.join(folder, 'revoked.crl');
  await writeFile(crl, await ca.crl([]));
  const daemon = await startDaemon(t, { ca, config: { tlsParams: { ...lb, caCert, crl } } });
  const reload = () => ask(adminOf(t, daemon), AdminServiceService.reloadCertificates, { allowSelf: false });
  const unlisted = async () => (await reload()).warnings.filter((warning) => warning.includes('there is no list of'));
  assert.deepEqual(await unlisted(), []);
  await writeFile(caCert, `${ca.caPem}\n${other.caPem}`);
  const warnings = await unlisted();
  assert.equal(warnings.length, 1, 'the listener and the admin API share the files');
  assert.match(
    warnings[0] ?? '',
    /^listener "default": crl .*revoked\.crl: there is no list of "CN=other CA".*its clients are all refused/,
  );
});

test('errors and warnings of a reload say whose file it is, once', async (t) => {
  const ca = await createTestCa();
  const folder = await temporaryFolder(t);
  const issue = () => ca.issue({ cn: 'short', dns: ['localhost'], server: true });
  const { caCert, shared, own, named, admin, upstream } = await ca.writeTo(folder, {
    shared: await issue(),
    own: await issue(),
    named: await ca.issue({ cn: 'named', dns: ['db.example.com'], server: true }),
    admin: await issue(),
    upstream: await ca.issue({ cn: 'lb', days: 90 }),
  });
  const upstreamCa = path.join(folder, 'servers.pem');
  await writeFile(upstreamCa, (await createTestCa({ name: 'servers' })).caPem);
  const listener = (name: string, tls?: object) => ({ name, address: '127.0.0.1:0', ...(tls === undefined ? {} : { tls }) });
  const daemon = await startDaemon(t, {
    ca,
    config: {
      tlsParams: { ...shared, caCert },
      listenAddress: undefined,
      listeners: [...['a', 'b', 'c', 'd'].map((name) => listener(name)), listener('own', { ...own, caCert, certificates: [named] })],
      admin: { address: '127.0.0.1:0', tls: { ...admin, caCert } },
      targetGroups: [
        { ...uncheckedGroup('web', []), upstreamTls: { ca: upstreamCa, insecureSkipVerify: true } },
        { ...uncheckedGroup('db', []), upstreamTls: { ca: upstreamCa, ...upstream } },
      ],
    },
  });
  const reload = () => ask(adminOf(t, daemon), AdminServiceService.reloadCertificates, { allowSelf: false });
  const told = (await reload()).warnings.map((warning) =>
    warning.replace(/( \/\S+)?: (the certificates|"CN=(short|named|test CA)" expires).*/, ''),
  );
  assert.deepEqual(
    told.filter((warning) => !warning.includes('.ca ')),
    [
      'admin API: certificate',
      'admin API: caCert',
      'listeners "a", "b", "c" and 1 more: certificate',
      'listeners "a", "b", "c" and 2 more: caCert',
      'listener "own": certificate',
      'listener "own": certificates[0].certificate',
      'target group "web": upstreamTls.insecureSkipVerify',
    ],
  );
  await daemon.waitForLog(
    ({ msg, admin: address }) => address !== undefined && String(msg).startsWith(`certificate ${admin.certificate}: `),
  );

  const whys: readonly (readonly [string, string])[] = [
    [admin.certificate, `admin API: certificate ${admin.certificate}`],
    [shared.certificate, `listeners "a", "b", "c" and 1 more: certificate ${shared.certificate}`],
    [named.certificate, `listener "own": certificates[0].certificate ${named.certificate}`],
    [upstream.certificate, `target group "db": upstreamTls.certificate ${upstream.certificate}`],
  ];
  for (const [file, says] of whys) {
    const text = await readFile(file);
    await writeFile(file, 'garbage');
    const { message } = await refused(reload());
    assert.ok(message.startsWith(`${says}: there is no PEM block in it; `), message);
    await writeFile(file, text);
  }
  await reload();
});
