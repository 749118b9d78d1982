import assert from 'node:assert/strict';
import { X509Certificate } from 'node:crypto';
import { readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { type TestContext, test } from 'node:test';
import { checkConfigFile, loadConfigFile } from '../../../src/config/check.ts';
import { ConfigError, formatProblem } from '../../../src/config/problems.ts';
import { createTestCa } from '../../support/certificates.ts';
import { temporaryFolder } from '../../support/temp-dir.ts';

const TLS = 'tlsParams: {certificate: lb.crt, privateKey: lb.key, caCert: rootCA.pem}\n';

async function fileWith(t: TestContext, text: string | Buffer): Promise<string> {
  const folder = await temporaryFolder(t);
  const ca = await createTestCa();
  await ca.writeTo(folder, { lb: await ca.issue({ cn: 'lb', server: true, days: 90 }), other: await ca.issueServer() });
  const file = path.join(folder, 'lb.yaml');
  writeFileSync(file, text);
  return file;
}

function problemsOf(file: string): string[] {
  const checked = checkConfigFile(file, { allowInsecureKeyPermissions: false });
  const folder = `${path.dirname(file)}${path.sep}`;
  return 'problems' in checked ? checked.problems.map((problem) => formatProblem(problem).replaceAll(folder, '')) : [];
}

test('a file that can be served has no problem', async (t) => {
  const file = await fileWith(t, `listenAddress: "127.0.0.1:0"\n${TLS}`);
  const checked = checkConfigFile(file, { allowInsecureKeyPermissions: false });
  assert.ok('config' in checked);
  assert.equal(checked.config.file, file);
});

test('faults of the file and of the TLS files are listed in one run, each at its place', async (t) => {
  const file = await fileWith(
    t,
    `listenAddress: "127.0.0.1:0"
tlsParams:
  certificate: lb.crt
  privateKey: other.key
  caCert: missing.pem
workers: 0
admin:
  tls: {certificate: lb.crt, privateKey: lb.crt, caCert: rootCA.pem}
`,
  );
  assert.deepEqual(problemsOf(file), [
    'lb.yaml:4:15: tlsParams.privateKey: other.key: the key does not match the certificate in lb.crt; name the key that the certificate was made for',
    'lb.yaml:5:11: tlsParams.caCert: missing.pem: there is no such file',
    'lb.yaml:6:10: workers: expected a whole number from 1 to 64, found 0',
    'lb.yaml:8:42: admin.tls.privateKey: lb.crt: there is no private key in it; expected a private key as -----BEGIN PRIVATE KEY-----',
  ]);
});

test('a certificate that soon expires is a warning, told once', async (t) => {
  const file = await fileWith(
    t,
    `listenAddress: "127.0.0.1:0"\n${TLS}listeners: [{name: b, address: "127.0.0.1:0", tls: {certificate: lb.crt, privateKey: lb.key, caCert: rootCA.pem}}]`,
  );
  const checked = checkConfigFile(file, { allowInsecureKeyPermissions: false, nowMs: Date.now() + 100 * 86_400_000 });
  assert.ok('warnings' in checked);
  const [told, ...more] = checked.warnings.filter((line) => line.includes('"CN=lb" expired'));
  assert.match(told ?? '', /^listeners "default", "b": certificate \S+lb\.crt: "CN=lb" expired on /);
  assert.deepEqual(more, []);
});

test('a warning says whose file it is', async (t) => {
  const file = await fileWith(
    t,
    `listenAddress: "127.0.0.1:0"
${TLS}listeners: [{name: own, address: "127.0.0.1:0", tls: {certificate: other.crt, privateKey: other.key, caCert: rootCA.pem}}]
admin: {tls: {certificate: lb.crt, privateKey: lb.key, caCert: rootCA.pem, certificates: [{certificate: other.crt, privateKey: other.key}]}}
targetGroups:
  - {name: web, upstreamServers: ["127.0.0.1:1"], upstreamTls: {certificate: other.crt, privateKey: other.key}}
`,
  );
  const checked = checkConfigFile(file, { allowInsecureKeyPermissions: false });
  assert.ok('warnings' in checked);
  const prefixes = checked.warnings.filter((line) => line.includes('expires on')).map((line) => line.replace(/ \S+\.(crt|pem): .*/, ''));
  assert.deepEqual(prefixes.toSorted(), [
    'admin API: certificates[0].certificate',
    'listener "own": certificate',
    'listeners "default", "own": caCert',
    'target group "web": upstreamTls.certificate',
  ]);
});

test('a client that no listener leads anywhere and a revocation that would do nothing are warnings', async (t) => {
  const file = await fileWith(t, '');
  const ca = new X509Certificate(readFileSync(path.join(path.dirname(file), 'rootCA.pem')));
  const groups = 'targetGroups: [{name: web, upstreamServers: []}, {name: db, upstreamServers: []}]';
  const clients = 'clients: [{clientId: both, allowedTargetGroups: [web, db]}]';
  const revoked = `revokedCertificates: [{fingerprint: "${ca.fingerprint256}"}]`;
  writeFileSync(file, ['listenAddress: "127.0.0.1:0"', TLS, groups, clients, revoked].join('\n'));
  const checked = checkConfigFile(file, { allowInsecureKeyPermissions: false });
  assert.ok('warnings' in checked);
  const said = checked.warnings.join('\n');
  assert.match(said, /^client "both" may reach 2 groups, .*\(no_route\)$/m);
  assert.match(said, /^revokedCertificates, [\da-f]{64}: this is the CA in \S+rootCA\.pem \(used by tlsParams\)/m);
});

test('a file that is not there, a folder, bytes that are no text, and a file too large are one problem each', async (t) => {
  const file = await fileWith(t, Buffer.from([0x61, 0x3a, 0xff, 0xfe]));
  const folder = path.dirname(file);
  assert.deepEqual(problemsOf(file), ['lb.yaml: the file is not UTF-8 text; save it as UTF-8']);
  assert.deepEqual(problemsOf(path.join(folder, 'none.yaml')), ['none.yaml: there is no such file']);
  assert.deepEqual(problemsOf(path.join(file, 'x')), ['x: there is no such file']);
  assert.match(problemsOf(folder).join(), /: this is a folder; expected a file$/);
  writeFileSync(file, Buffer.alloc(16 * 1024 * 1024 + 1, '#'));
  assert.deepEqual(problemsOf(file), ['lb.yaml: the file is larger than 16 MiB; is it the right one?']);
});

test('loading throws the problems of the file, and leaves the TLS files for later', async (t) => {
  const file = await fileWith(t, `listenAddress: "127.0.0.1:0"\n${TLS.replace('lb.key', 'missing.key')}`);
  assert.equal(loadConfigFile(file).admin.tls.privateKey, path.join(path.dirname(file), 'missing.key'));
  assert.throws(
    () => loadConfigFile(`${file}.none`),
    new ConfigError([{ file: `${file}.none`, path: '', expected: 'there is no such file' }]),
  );
});

test('the files of upstreamTls are looked at too, and insecureSkipVerify is a warning', async (t) => {
  const file = await fileWith(
    t,
    `listenAddress: "127.0.0.1:0"
${TLS}targetGroups:
  - name: a
    upstreamServers: ["127.0.0.1:1"]
    upstreamTls: {ca: lb.crt}
  - name: b
    upstreamServers: ["127.0.0.1:1"]
    upstreamTls: {ca: rootCA.pem, certificate: lb.crt, privateKey: other.key}
`,
  );
  assert.deepEqual(problemsOf(file), [
    'lb.yaml:6:23: targetGroups[0].upstreamTls.ca: lb.crt: the certificate in line 1 is not a CA certificate (CA:TRUE); name the CA that signs the certificates',
    'lb.yaml:9:68: targetGroups[1].upstreamTls.privateKey: other.key: the key does not match the certificate in lb.crt; name the key that the certificate was made for',
  ]);
  writeFileSync(
    file,
    `listenAddress: "127.0.0.1:0"\n${TLS}targetGroups: [{name: a, upstreamServers: ["127.0.0.1:1"], upstreamTls: {insecureSkipVerify: true}}]\n`,
  );
  const checked = checkConfigFile(file, { allowInsecureKeyPermissions: false });
  assert.ok('config' in checked);
  assert.deepEqual(
    checked.warnings.filter((warning) => warning.includes('SkipVerify')).map((warning) => warning.replace(/;.*/, '')),
    ['target group "a": upstreamTls.insecureSkipVerify: the certificates of the upstream servers are not verified'],
  );
});
