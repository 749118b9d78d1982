import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { writeFile } from 'node:fs/promises';
import path from 'node:path';
import { test } from 'node:test';
import { createTestCa } from '../support/certificates.ts';
import { lbd } from '../support/lbd.ts';
import { temporaryFolder } from '../support/temp-dir.ts';

const { version } = JSON.parse(readFileSync(path.join(import.meta.dirname, '../../package.json'), 'utf8'));

test('--version and --help answer on standard output', async () => {
  assert.deepEqual(await lbd(['--version']), { code: 0, stdout: `${version}\n`, stderr: '' });
  const help = await lbd(['--help']);
  assert.equal(help.code, 0);
  for (const command of ['start', 'check', 'schema', 'quickstart']) assert.match(help.stdout, new RegExp(`^  ${command} `, 'm'));
  assert.equal(help.stderr, '');
});

for (const { args, says } of [
  { args: [], says: /^Usage: lbd / },
  { args: ['begin'], says: /^lbd: unknown command 'begin'/ },
  { args: ['start'], says: /^lbd: required option '-c, --config <file>' not specified/ },
  { args: ['start', '--config'], says: /^lbd: option '-c, --config <file>' argument missing/ },
  { args: ['start', '--config', 'lb.yaml', '--loud'], says: /^lbd: unknown option '--loud'/ },
  { args: ['quickstart', '--port', '70000'], says: /'70000' is invalid.* expected a port, 0 to 65535/ },
]) {
  test(`lbd ${args.join(' ')}: bad usage ends with 2`, async () => {
    const { code, stdout, stderr } = await lbd(args);
    assert.equal(code, 2);
    assert.equal(stdout, '');
    assert.match(stderr, says);
  });
}

test('schema prints the JSON Schema', async () => {
  const { code, stdout, stderr } = await lbd(['schema']);
  assert.deepEqual({ code, stderr }, { code: 0, stderr: '' });
  assert.ok('targetGroups' in JSON.parse(stdout).properties);
});

test('check says ok, or every problem with files and all', async (t) => {
  const folder = await temporaryFolder(t);
  const ca = await createTestCa();
  const { loadbalancer, caCert } = await ca.writeTo(folder, { loadbalancer: await ca.issueServer() });
  const config = path.join(folder, 'lb.yaml');
  await writeFile(config, JSON.stringify({ listenAddress: '127.0.0.1:8080', tlsParams: { ...loadbalancer, caCert } }));
  const good = await lbd(['check', '--config', config]);
  assert.equal(good.code, 0);
  assert.equal(good.stdout, `${config}: ok\n`);
  assert.match(good.stderr, /^warning: listener "default": certificate \S+: "CN=loadbalancer" expires on /);

  await writeFile(config, JSON.stringify({ listenAddress: 'nowhere', tlsParams: { ...loadbalancer, caCert: 'missing.pem' } }));
  const bad = await lbd(['check', '--config', config]);
  assert.equal(bad.code, 1);
  assert.equal(bad.stdout, '');
  const [first, second, ...rest] = bad.stderr.trimEnd().split('\n');
  assert.match(first ?? '', /lb\.yaml:1:\d+: listenAddress: expected host:port/);
  assert.match(second ?? '', /lb\.yaml:1:\d+: tlsParams\.caCert: \S+missing\.pem: there is no such file$/);
  assert.deepEqual(rest, []);
});

test('check takes its file from a pipe, and waits for nobody who might write the files that it names', async (t) => {
  const folder = await temporaryFolder(t);
  const ca = await createTestCa();
  const { loadbalancer, caCert } = await ca.writeTo(folder, { loadbalancer: await ca.issueServer() });
  const [config, pipe] = [path.join(folder, 'lb.yaml'), path.join(folder, 'pipe')];
  execFileSync('mkfifo', [pipe]);
  const named = { listenAddress: '127.0.0.1:8080', tlsParams: { ...loadbalancer, caCert: pipe } };
  await writeFile(config, JSON.stringify(named));
  const refused = await lbd(['check', '--config', config]);
  assert.equal(refused.code, 1);
  assert.match(refused.stderr, /lb\.yaml:1:\d+: tlsParams\.caCert: \S+pipe: this is a pipe; expected a regular file: write what it gives/);

  const reading = lbd(['check', '--config', pipe]);
  await writeFile(pipe, JSON.stringify({ ...named, tlsParams: { ...loadbalancer, caCert } }));
  assert.deepEqual((await reading).stdout, `${pipe}: ok\n`);
});
