import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { generateKeyPairSync, X509Certificate } from 'node:crypto';
import { mkdir, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { type TestContext, test } from 'node:test';
import { promisify } from 'node:util';
import { ensureDevelopmentCertificates } from '../../certs/development-ca.ts';
import { temporaryFolder } from '../support/temp-dir.ts';

const run = promisify(execFile);
const SCRIPT = path.join(import.meta.dirname, '../../certs/development-ca.ts');
const EVERYTHING = ['rootCA', 'loadbalancer', 'clientA', 'clientB', 'operator'];

const emptyFolder = async (t: TestContext) => path.join(await temporaryFolder(t), 'certs');
const contents = async (folder: string) =>
  new Map(await Promise.all((await readdir(folder)).map(async (name) => [name, await readFile(path.join(folder, name), 'utf8')] as const)));
const certificate = async (folder: string, name: string) => new X509Certificate(await readFile(path.join(folder, name)));

test('the script makes a root, a server, two client and one operator certificate, which OpenSSL accepts', async (t) => {
  const folder = await emptyFolder(t);
  await run(process.execPath, [SCRIPT, folder]);
  const verify = (purpose: string, name: string) =>
    run('openssl', [
      'verify',
      '-x509_strict',
      '-purpose',
      purpose,
      '-CAfile',
      path.join(folder, 'rootCA.pem'),
      path.join(folder, `${name}.crt`),
    ]);
  await verify('sslserver', 'loadbalancer');
  await Promise.all(['clientA', 'clientB', 'operator'].map((name) => verify('sslclient', name)));
  await assert.rejects(verify('sslserver', 'clientA'), 'a client certificate must not pass for a server');
});

test('names: the server answers for loopback, clients carry their id, the operator is admin by name and unit', async (t) => {
  const folder = await emptyFolder(t);
  await ensureDevelopmentCertificates(folder);
  const server = await certificate(folder, 'loadbalancer.crt');
  for (const name of ['localhost', 'loadbalancer']) assert.equal(server.checkHost(name), name);
  for (const address of ['127.0.0.1', '::1']) assert.equal(server.checkIP(address), address);
  const clientA = await certificate(folder, 'clientA.crt');
  assert.equal(clientA.subject, 'CN=clientA.bardomain.com');
  assert.equal(clientA.subjectAltName, 'DNS:clientA.bardomain.com');
  assert.equal((await certificate(folder, 'operator.crt')).subject, 'OU=admin\nCN=admin');
});

test('keys are readable by their owner alone, whatever the umask and the mode of an older file', async (t) => {
  const folder = await emptyFolder(t);
  await mkdir(folder);
  await writeFile(path.join(folder, 'clientA.key'), 'left over', { mode: 0o644 });
  const previous = process.umask(0);
  try {
    await ensureDevelopmentCertificates(folder);
  } finally {
    process.umask(previous);
  }
  for (const name of EVERYTHING) assert.equal((await stat(path.join(folder, `${name}.key`))).mode & 0o777, 0o600, name);
});

test('a second run keeps every file, --force renews every file', async (t) => {
  const folder = await emptyFolder(t);
  assert.deepEqual((await ensureDevelopmentCertificates(folder)).made, EVERYTHING);
  const first = await contents(folder);
  assert.deepEqual((await ensureDevelopmentCertificates(folder)).kept, EVERYTHING);
  assert.deepEqual(await contents(folder), first);
  await run(process.execPath, [SCRIPT, folder, '--force']);
  for (const [name, text] of await contents(folder)) assert.notEqual(text, first.get(name), name);
});

test('what is missing, expired or of another root is made anew, and nothing else', async (t) => {
  const folder = await emptyFolder(t);
  await ensureDevelopmentCertificates(folder);
  await rm(path.join(folder, 'clientA.key'));
  await rm(path.join(folder, 'clientB.crt'));
  assert.deepEqual((await ensureDevelopmentCertificates(folder)).made, ['clientA', 'clientB']);
  await writeFile(path.join(folder, 'operator.crt'), await readFile(path.join(folder, 'clientA.crt')));
  assert.deepEqual((await ensureDevelopmentCertificates(folder)).made, ['operator'], 'a certificate of another key');
  await rm(path.join(folder, 'rootCA.pem'));
  assert.deepEqual((await ensureDevelopmentCertificates(folder)).made, EVERYTHING, 'leaves of a root that is gone');
  const inTwoYears = Date.now() + 2 * 365 * 86_400_000;
  assert.deepEqual((await ensureDevelopmentCertificates(folder, { nowMs: inTwoYears })).made, EVERYTHING.slice(1), 'expired leaves');
});

test("somebody's own root without its key is never replaced unasked", async (t) => {
  const folder = await emptyFolder(t);
  await ensureDevelopmentCertificates(folder);
  await rm(path.join(folder, 'rootCA.key'));
  assert.deepEqual((await ensureDevelopmentCertificates(folder)).kept, EVERYTHING, 'nothing needs to be signed');
  await rm(path.join(folder, 'clientA.crt'));
  const before = await readFile(path.join(folder, 'rootCA.pem'), 'utf8');
  await assert.rejects(ensureDevelopmentCertificates(folder), /rootCA\.pem has no rootCA\.key .* --force$/);
  const otherKey = generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey.export({ type: 'pkcs8', format: 'pem' });
  await writeFile(path.join(folder, 'rootCA.key'), otherKey, { mode: 0o600 });
  await assert.rejects(ensureDevelopmentCertificates(folder), /rootCA\.key is not the key of .*rootCA\.pem/);
  assert.equal(await readFile(path.join(folder, 'rootCA.pem'), 'utf8'), before);
});

test('an RSA root made with openssl signs what is missing', async (t) => {
  const folder = await emptyFolder(t);
  await mkdir(folder);
  const [key, cert] = [path.join(folder, 'rootCA.key'), path.join(folder, 'rootCA.pem')];
  await run('openssl', [
    'req',
    '-x509',
    '-newkey',
    'rsa:2048',
    '-nodes',
    '-keyout',
    key,
    '-out',
    cert,
    '-days',
    '30',
    '-subj',
    '/CN=Own root',
  ]);
  assert.deepEqual((await ensureDevelopmentCertificates(folder)).kept, ['rootCA']);
  await run('openssl', ['verify', '-CAfile', cert, path.join(folder, 'clientA.crt')]);
});

test('a file that is no PEM is one line that names it', async (t) => {
  const folder = await emptyFolder(t);
  await mkdir(folder);
  await writeFile(path.join(folder, 'rootCA.pem'), 'garbage');
  await assert.rejects(run(process.execPath, [SCRIPT, folder]), (error: { stderr?: string; code?: number }) => {
    assert.equal(error.code, 1);
    assert.match(error.stderr ?? '', /^certs: .*rootCA\.pem cannot be read as PEM; .*\n$/);
    return true;
  });
});
