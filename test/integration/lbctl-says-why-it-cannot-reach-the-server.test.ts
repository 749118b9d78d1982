import assert from 'node:assert/strict';
import { generateKeyPairSync } from 'node:crypto';
import { once } from 'node:events';
import { writeFile } from 'node:fs/promises';
import { createServer, type Server } from 'node:net';
import path from 'node:path';
import { type TestContext, test } from 'node:test';
import { createServer as createTlsServer } from 'node:tls';
import { startAdmin } from '../support/admin-server.ts';
import { createTestCa } from '../support/certificates.ts';
import { freePort } from '../support/free-port.ts';
import { lbctl, lbctlEnv } from '../support/lbctl.ts';
import { temporaryFolder } from '../support/temp-dir.ts';

/** Certificates of one CA and of another, and a run of list-clients with what the case changes. */
async function prepare(t: TestContext) {
  const ca = await createTestCa();
  const other = await createTestCa();
  const folder = await temporaryFolder(t);
  const files = await ca.writeTo(folder, {
    operator: await ca.issue({ cn: 'operator' }),
    expired: await ca.issue({ cn: 'operator', expired: true }),
    loadbalancer: await ca.issueServer(),
  });
  const foreign = await other.writeTo(path.join(folder, 'other'), { operator: await other.issue({ cn: 'operator' }) });
  const env = (addr: string) => lbctlEnv(addr, files.caCert, files.operator);
  return { ca, files, foreign, folder, env };
}

async function fails(exitCode: number, expected: RegExp, env: Readonly<Record<string, string>>, ...args: readonly string[]): Promise<void> {
  const { code, stdout, stderr } = await lbctl([...args, 'list-clients'], { env });
  assert.match(stderr, expected);
  assert.match(stderr, /^lbctl: [^\n]+\n$/);
  assert.deepEqual([code, stdout], [exitCode, '']);
}

async function listening(t: TestContext, server: Server): Promise<string> {
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  t.after(() => server.close());
  const address = server.address();
  if (address === null || typeof address === 'string') throw new Error('no port');
  return `127.0.0.1:${address.port}`;
}

test('nothing listens', async (t) => {
  const { env } = await prepare(t);
  const addr = `127.0.0.1:${await freePort()}`;
  await fails(3, new RegExp(`cannot reach ${addr}: connection refused; is lbd running, and is --addr right\\?`), env(addr));
});

test('something listens that is no admin API', async (t) => {
  const { ca, env } = await prepare(t);
  const talkative = createServer((socket) => socket.on('error', () => {}).end('SSH-2.0-server\r\n'));
  await fails(3, /it does not speak TLS; is --addr the address of the admin API\?/, env(await listening(t, talkative)));

  const { certPem, keyPem } = await ca.issueServer();
  const otherTls = createTlsServer({ cert: certPem, key: keyPem }, (socket) => socket.on('error', () => {}));
  await fails(3, /it speaks TLS but not gRPC; is --addr the address of the admin API\?/, env(await listening(t, otherTls)));

  const silent = createServer((socket) => {
    socket.on('error', () => {}).resume();
    t.after(() => socket.destroy());
  });
  await fails(3, /it accepts connections but says nothing within 200ms/, env(await listening(t, silent)), '--timeout', '200ms');
});

test('the server cannot be trusted', async (t) => {
  const admin = await startAdmin(t);
  const { foreign } = await prepare(t);
  const files = await admin.ca.writeTo(await temporaryFolder(t), { admin: await admin.certificate('admin') });
  const env = lbctlEnv(admin.target, files.caCert, files.admin);
  await fails(3, /the server's certificate is not signed by the CA in .*other\/rootCA\.pem/, env, '--ca', foreign.caCert);
  await fails(3, /the server's certificate is not signed by a public CA; give its CA with --ca/, { ...env, LBCTL_CA: '' });
  await fails(
    3,
    /is not for wrong\.example \(it is for DNS:localhost.*\); give the name it has with --server-name/,
    env,
    '--server-name',
    'wrong.example',
  );
  const { code } = await lbctl(['list-clients', '--server-name', 'localhost'], { env });
  assert.equal(code, 0);
});

test('the server does not trust us', async (t) => {
  const admin = await startAdmin(t);
  const { foreign } = await prepare(t);
  const files = await admin.ca.writeTo(await temporaryFolder(t), {
    expired: await admin.ca.issue({ cn: 'admin', expired: true }),
    client: await admin.certificate('clientA'),
    viewer: await admin.certificate('viewer'),
  });
  const as = (certificate: { readonly certificate: string; readonly privateKey: string }) =>
    lbctlEnv(admin.target, files.caCert, certificate);
  await fails(3, /it does not accept the client certificate in .*other\/operator\.crt/, as(foreign.operator));
  await fails(3, /it does not accept the client certificate in .*expired\.crt/, as(files.expired));
  await fails(1, /refused \((?:PERMISSION_DENIED|UNAUTHENTICATED)\): .*--cert and --key/, as(files.client));
  const { code, stderr } = await lbctl(['remove-client', '--client', 'clientA'], { env: as(files.viewer) });
  assert.match(stderr, /refused \(PERMISSION_DENIED\): .*needs admin.*use a certificate whose role allows it/);
  assert.equal(code, 1);
});

test('the certificate files cannot be used', async (t) => {
  const { foreign, folder, env } = await prepare(t);
  const garbage = path.join(folder, 'garbage.pem');
  await writeFile(garbage, 'not a certificate');
  const usable = env('127.0.0.1:1');
  await fails(2, /no client certificate: give --cert and --key/, { LBCTL_ADDR: '127.0.0.1:1' });
  await fails(
    2,
    /cannot read the CA .*missing\.pem: there is no such file; give it with --ca/,
    usable,
    '--ca',
    path.join(folder, 'missing.pem'),
  );
  await fails(2, /there is no PEM certificate in .*garbage\.pem; give the CA with --ca/, usable, '--ca', garbage);
  await fails(2, /the key in .* does not belong to the certificate in/, usable, '--key', foreign.operator.privateKey);
  const otherKind = path.join(folder, 'rsa.key');
  const { privateKey } = generateKeyPairSync('rsa', { modulusLength: 2048 });
  await writeFile(otherKind, privateKey.export({ type: 'pkcs8', format: 'pem' }));
  await fails(2, /the key in .*rsa\.key does not belong to the certificate in/, usable, '--key', otherKind);
  await fails(2, /cannot use .*; expected a PEM certificate and its unencrypted PEM key/, usable, '--key', garbage);
  await fails(2, /cannot read the key .*: it is a folder/, usable, '--key', folder);
  await fails(2, /LBCTL_ADDR is "nonsense"; expected host:port/, { ...usable, LBCTL_ADDR: 'nonsense' });
});
