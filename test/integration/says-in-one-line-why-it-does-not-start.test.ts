import assert from 'node:assert/strict';
import { chmod, mkdir, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { type TestContext, test } from 'node:test';
import { createTestCa } from '../support/certificates.ts';
import { startDaemon } from '../support/daemon.ts';
import { echoServer } from '../support/echo-servers.ts';
import { lbd } from '../support/lbd.ts';
import { temporaryFolder } from '../support/temp-dir.ts';

const ca = await createTestCa();

/** A folder with certificates and a configuration file, `changes` over what would start. */
async function prepared(t: TestContext, changes: object = {}) {
  const folder = await temporaryFolder(t);
  const files = await ca.writeTo(folder, { loadbalancer: await ca.issueServer(), other: await ca.issueServer() });
  const tlsParams = { ...files.loadbalancer, caCert: files.caCert };
  const config = path.join(folder, 'lb.yaml');
  const write = (more: object = {}) =>
    writeFile(
      config,
      JSON.stringify({ listenAddress: '127.0.0.1:0', tlsParams, admin: { address: '127.0.0.1:0' }, workers: 2, ...changes, ...more }),
    );
  await write();
  return { folder, files, tlsParams, config, write };
}

/** Starts it, and expects that it ends with exit code 1 and one line, which is returned without its end. */
async function refusal(config: string): Promise<string> {
  const { code, stderr } = await lbd(['start', '--config', config]);
  assert.equal(code, 1, stderr);
  assert.match(stderr, /^[^\n]+\n$/, 'one line');
  return stderr.trimEnd();
}

test('a port that another program has', async (t) => {
  const taken = await echoServer(t);
  const { config } = await prepared(t, { listenAddress: taken.address });
  assert.equal(
    await refusal(config),
    `lbd: listener "default": listen EADDRINUSE: address already in use ${taken.address}; stop the process that has the port (ss -ltnp shows it) or change its address in the config file`,
  );
});

test('a port that another lbd has, which would share it', async (t) => {
  const other = await startDaemon(t, { ca, config: { workers: 2 } });
  for (const host of ['127.0.0.1', '0.0.0.0']) {
    const { config } = await prepared(t, { listenAddress: `${host}:${other.port}` });
    assert.match(
      await refusal(config),
      /^lbd: listener "default": listen EADDRINUSE: address already in use [\d.]+:\d+; stop the process that has the port/,
    );
  }
});

test('an admin port that is taken', async (t) => {
  const taken = await echoServer(t);
  const { config } = await prepared(t, { admin: { address: taken.address } });
  assert.match(
    await refusal(config),
    new RegExp(
      `^lbd: the admin API cannot listen on ${taken.address}: listen EADDRINUSE: .*; stop the process .* or change admin\\.address$`,
    ),
  );
});

test('an address that this machine does not have', async (t) => {
  // TEST-NET-1 of RFC 5737: nobody's.
  const { config } = await prepared(t, { listenAddress: '192.0.2.1:8080' });
  assert.equal(
    await refusal(config),
    'lbd: listener "default": listen EADDRNOTAVAIL: address not available 192.0.2.1:8080; this machine does not have the address; change its address in the config file',
  );
});

test('a configuration that is not there', async (t) => {
  const missing = path.join(await temporaryFolder(t), 'missing.yaml');
  assert.equal(await refusal(missing), `${missing}: there is no such file`);
});

test('a configuration with several problems: one line for each', async (t) => {
  const { config } = await prepared(t, { workers: 0, logLevel: 'loud', clients: [{ clientId: 'a', allowedTargetGroup: 'web' }] });
  const { code, stderr } = await lbd(['start', '--config', config]);
  assert.equal(code, 1);
  assert.deepEqual(
    stderr
      .trimEnd()
      .split('\n')
      .map((line) => line.replace(/^.*lb\.yaml:1:\d+: /, '')),
    [
      'workers: expected a whole number from 1 to 64, found 0',
      'logLevel: expected one of trace, debug, info, warn, error, fatal, silent, found "loud"',
      'clients[0].allowedTargetGroup: expected the name of a target group, found "web"; there are none',
    ],
  );
});

test('a CA that is garbage', async (t) => {
  const { config, files } = await prepared(t);
  await writeFile(files.caCert, 'garbage');
  assert.match(
    await refusal(config),
    new RegExp(`^\\S*lb\\.yaml:1:\\d+: tlsParams\\.caCert: ${files.caCert}: there is no PEM block in it; expected CA certificates`),
  );
});

test('a key that does not match its certificate', async (t) => {
  const { config, write, tlsParams, files } = await prepared(t);
  await write({ tlsParams: { ...tlsParams, privateKey: files.other.privateKey } });
  assert.match(
    await refusal(config),
    new RegExp(`^\\S*lb\\.yaml:1:\\d+: tlsParams\\.privateKey: ${files.other.privateKey}: the key does not match the certificate`),
  );
});

test('a key that every user may read, unless that is allowed', async (t) => {
  const { config, tlsParams } = await prepared(t);
  await chmod(tlsParams.privateKey, 0o644);
  assert.equal(
    (await refusal(config)).replace(/^\S*lb\.yaml:1:\d+: /, ''),
    `tlsParams.privateKey: ${tlsParams.privateKey}: every user may read it (mode 0644); run chmod 600 ${tlsParams.privateKey}, or allow it with --insecure-key-permissions`,
  );
  await startDaemon(t, { ca, before: 'chmod 644 certs/*.key', args: ['--insecure-key-permissions'] });
});

test('a state file that is not one', async (t) => {
  const { config, folder } = await prepared(t);
  await writeFile(path.join(folder, 'lb.state.db'), 'not a database, and longer than the header of one would be'.repeat(10));
  assert.match(await refusal(config), /^lbd: the state file \S*lb\.state\.db is not usable \(.*\); nothing was read from it: move it away/);
});

test('a state file that another lbd holds', async (t) => {
  const { config, folder } = await prepared(t);
  await startDaemon(t, { ca, config: { store: { kind: 'sqlite', path: path.join(folder, 'lb.state.db') } } });
  assert.match(await refusal(config), /^lbd: the state file \S*lb\.state\.db is in use by another lbd \(process \d+\): stop that one, or /);
});

test('a folder for the state that is not there or may not be written', async (t) => {
  const { config, folder, write } = await prepared(t, { store: { kind: 'sqlite', path: 'missing/lb.state.db' } });
  assert.match(await refusal(config), /^lbd: the state file \S*missing\/lb\.state\.db cannot be opened: its folder must exist/);
  if (process.getuid?.() === 0) return;
  await mkdir(path.join(folder, 'sealed'), { mode: 0o500 });
  await write({ store: { kind: 'sqlite', path: 'sealed/lb.state.db' } });
  assert.match(
    await refusal(config),
    /^lbd: the state file \S*sealed\/lb\.state\.db cannot be opened: .* lbd must be allowed to write both/,
  );
});
