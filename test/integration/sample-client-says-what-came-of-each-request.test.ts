import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { once } from 'node:events';
import { connect, createServer, type Socket } from 'node:net';
import path from 'node:path';
import { type TestContext, test } from 'node:test';
import { createServer as createTlsServer } from 'node:tls';
import { promisify } from 'node:util';
import { ensureDevelopmentCertificates } from '../../certs/development-ca.ts';
import { runSampleClient } from '../../src/quickstart/sample-client.ts';
import { startSampleServers } from '../../src/quickstart/sample-servers.ts';
import { createTestCa } from '../support/certificates.ts';
import { freePort } from '../support/free-port.ts';
import { temporaryFolder } from '../support/temp-dir.ts';

const run = promisify(execFile);
const program = (name: string) => path.join(import.meta.dirname, `../../src/quickstart/${name}.ts`);

/** A mutual-TLS server that does `serve` with each connection, and options for a client of it. */
async function tlsServer(t: TestContext, serve: (plain: NodeJS.ReadWriteStream, raw: Socket) => void) {
  const ca = await createTestCa();
  const [server, client] = [await ca.issueServer(), await ca.issue({ cn: 'a' })];
  const raws = createServer((raw) => {
    const tls = createTlsServer({ cert: server.certPem, key: server.keyPem, ca: ca.caPem, requestCert: true });
    raw.on('error', () => undefined);
    tls.on('secureConnection', (socket) => {
      socket.on('error', () => undefined);
      serve(socket, raw);
    });
    tls.emit('connection', raw);
  });
  raws.listen(0, '127.0.0.1');
  await once(raws, 'listening');
  t.after(() => raws.close());
  const address = raws.address();
  assert.ok(address !== null && typeof address === 'object');
  const { port } = address;
  return { requests: 1, server: { host: '127.0.0.1', port }, cert: client.certPem, key: client.keyPem, ca: ca.caPem, intervalMs: 0 };
}

test('each answer is a line, and the summary says who gave how many', async (t) => {
  const servers = await startSampleServers({ count: 2, ip: '127.0.0.1', startPort: 0 });
  t.after(servers.close);
  let turn = 0;
  const options = await tlsServer(t, (plain) => {
    const port = Number(servers.addresses[turn++ % 2]?.split(':')[1]);
    const upstream = connect(port, '127.0.0.1');
    plain.pipe(upstream).pipe(plain);
  });
  const lines: string[] = [];
  assert.equal(await runSampleClient({ ...options, requests: 5 }, (line) => lines.push(line)), true);
  const [first, second] = servers.addresses;
  assert.deepEqual(lines.slice(0, 5), [
    `request 1: server ${first}, call 1`,
    `request 2: server ${second}, call 1`,
    `request 3: server ${first}, call 2`,
    `request 4: server ${second}, call 2`,
    `request 5: server ${first}, call 3`,
  ]);
  assert.match(lines[5] ?? '', new RegExp(`^5 of 5 requests served in \\d+ ms: 3 by ${first}, 2 by ${second}$`));
});

const REFUSALS: readonly (readonly [string, (plain: NodeJS.ReadWriteStream, raw: Socket) => void, string])[] = [
  ['a reset', (_plain, raw) => raw.resetAndDestroy(), 'the connection was reset'],
  ['a close', (plain) => plain.end(), 'the connection was closed without an answer'],
  [
    'an HTTP error',
    (plain) => plain.end('HTTP/1.1 503 Service Unavailable\r\n\r\n'),
    'the server answered HTTP/1.1 503 Service Unavailable',
  ],
];

for (const [what, serve, why] of REFUSALS) {
  test(`${what} is named, and the program says that not all was served`, async (t) => {
    const lines: string[] = [];
    const options = await tlsServer(t, serve);
    assert.equal(await runSampleClient(options, (line) => lines.push(line)), false);
    assert.equal(lines[0], `request 1: refused: ${why}`);
    assert.match(lines[1] ?? '', /^0 of 1 requests served in \d+ ms$/);
  });
}

test('a certificate that the server does not accept is named as TLS names it', async (t) => {
  const options = await tlsServer(t, (plain) => plain.end());
  const stranger = await (await createTestCa({ name: 'another CA' })).issue({ cn: 'a' });
  const lines: string[] = [];
  await runSampleClient({ ...options, cert: stranger.certPem, key: stranger.keyPem }, (line) => lines.push(line));
  assert.match(lines[0] ?? '', /^request 1: refused: [a-z\d ]*(?:unknown ca|closed)[a-z ]*$/);
});

test('as a program it ends with 1 when nothing listens, and with 2 and the usage for a wrong flag', async (t) => {
  const folder = await temporaryFolder(t);
  await ensureDevelopmentCertificates(path.join(folder, 'certs'));
  const fails = async (args: readonly string[], cwd = folder) => {
    const failure: unknown = await run(process.execPath, [program('sample-client'), ...args], { cwd }).catch((error: unknown) => error);
    assert.ok(failure instanceof Error && 'code' in failure && 'stdout' in failure && 'stderr' in failure);
    return { code: failure.code, stdout: String(failure.stdout), stderr: String(failure.stderr) };
  };
  const unanswered = await fails(['--requests', '1', '--server', `127.0.0.1:${await freePort()}`]);
  assert.equal(unanswered.code, 1);
  assert.match(unanswered.stdout, /^request 1: refused: nothing listens there\n/);
  for (const args of [['--nope'], ['--requests', '0'], ['--server', 'nowhere']]) {
    const misused = await fails(args);
    assert.equal(misused.code, 2, args.join(' '));
    assert.match(misused.stderr, /^sample-client: .+\nusage: sample-client /);
  }
  const withoutCertificates = await fails([], await temporaryFolder(t));
  assert.equal(withoutCertificates.code, 1);
  assert.match(withoutCertificates.stderr, /^sample-client: certs\/\w+\.\w+ cannot be read: .* npm run certs.*\n$/);
});

test('the sample servers say who they are and how often each was called; a taken port is one line', async (t) => {
  const servers = await startSampleServers({ count: 2, ip: '127.0.0.1', startPort: 0 });
  t.after(servers.close);
  const [first = '', second = ''] = servers.addresses;
  const get = async (address: string) => (await fetch(`http://${address}/`)).text();
  assert.deepEqual(
    [await get(first), await get(first), await get(second)],
    [`server ${first}, call 1\n`, `server ${first}, call 2\n`, `server ${second}, call 1\n`],
  );
  const port = first.split(':')[1] ?? '';
  await assert.rejects(
    run(process.execPath, [program('sample-servers'), '--count', '1', '--start-port', port]),
    (error: { stderr?: string }) => {
      assert.match(error.stderr ?? '', new RegExp(`^sample-servers: port ${port} is in use: .*--start-port\n$`));
      return true;
    },
  );
});
