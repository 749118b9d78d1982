/** The admin API as Python's gRPC sees it. The packages are installed once, into node_modules/.cache; where they cannot be had the tests are skipped. */
import assert from 'node:assert/strict';
import { execFile, spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { mkdir, mkdtemp, rename, rm } from 'node:fs/promises';
import path from 'node:path';
import { createInterface } from 'node:readline';
import { type TestContext, test } from 'node:test';
import { promisify } from 'node:util';
import { type ReadyDaemon, startDaemon } from '../support/daemon.ts';
import { echoServer } from '../support/echo-servers.ts';
import { faultyLink } from '../support/faulty-link.ts';
import { freePort } from '../support/free-port.ts';
import { temporaryFolder } from '../support/temp-dir.ts';

const ROOT = path.join(import.meta.dirname, '../..');
const CLIENT = path.join(ROOT, 'test/support/watch-health.py');
const PACKAGES = ['grpcio==1.85.1', 'grpcio-tools==1.85.1', 'grpcio-status==1.85.1'];
const INSTALL_WITHIN_MS = 180_000;
/** Of servers that go away and come back: nobody else takes a port of it meanwhile. */
const HOST = '127.0.88.2';

const run = promisify(execFile);

interface Python {
  readonly python: string;
  /** Where the stubs are that were generated from our .proto file. */
  readonly stubs: string;
}

/** Python with gRPC and stubs of the admin API; the test is skipped, and undefined returned, where that cannot be had. */
async function pythonWithStubs(t: TestContext): Promise<Python | undefined> {
  const python = await installed().catch((error: Error) => {
    t.skip(`no Python with grpcio here: ${error.message.split('\n')[0]}`);
  });
  if (python === undefined) return undefined;
  const stubs = await temporaryFolder(t);
  const proto = path.join(ROOT, 'proto');
  const output = [`--python_out=${stubs}`, `--grpc_python_out=${stubs}`];
  await run(python, ['-m', 'grpc_tools.protoc', `-I${proto}`, ...output, path.join(proto, 'lb/admin/v1/admin.proto')]);
  return { python, stubs };
}

/** The interpreter of a virtual environment that has the packages, made when there is none yet. */
async function installed(): Promise<string> {
  const cache = path.join(ROOT, 'node_modules/.cache/portcullis');
  const environment = path.join(cache, PACKAGES.join('-').replaceAll('==', '-'));
  const python = path.join(environment, 'bin/python');
  if (existsSync(python)) return python;
  await mkdir(cache, { recursive: true });
  // Made beside it and moved when complete: one that was interrupted is never taken for whole.
  const unfinished = await mkdtemp(path.join(cache, 'unfinished-'));
  try {
    const bounded = { timeout: INSTALL_WITHIN_MS };
    await run('python3', ['-m', 'venv', unfinished], bounded);
    await run(path.join(unfinished, 'bin/python'), ['-m', 'pip', 'install', '--quiet', '--only-binary=:all:', ...PACKAGES], bounded);
    await rename(unfinished, environment);
  } finally {
    await rm(unfinished, { recursive: true, force: true });
  }
  return python;
}

type Said = Readonly<Record<string, unknown>>;

/** Runs the client; `next` is the next thing that it says. @throws when it ends instead */
function pythonClient(t: TestContext, { python, stubs }: Python, what: string, address: string, daemon: ReadyDaemon) {
  const { certificate, privateKey } = daemon.operator;
  const child = spawn(python, [CLIENT, what, address, daemon.caCert, certificate, privateKey], {
    env: { ...process.env, PYTHONPATH: stubs },
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  t.after(() => child.kill('SIGKILL'));
  const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
  const next = async (): Promise<Said> => {
    const { done, value } = await lines.next();
    if (done === true) throw new Error('the Python client has ended');
    return JSON.parse(value);
  };
  return { next };
}

/** Without its revision, which is another one in each run. */
function withoutRevision({ revision, ...said }: Said): Said {
  assert.ok(Number(revision) > 0, `revision ${revision}`);
  return said;
}

test('a Python client watches health through a lost connection and a restart of the daemon, and misses nothing', {
  timeout: 300_000,
}, async (t) => {
  const python = await pythonWithStubs(t);
  if (python === undefined) return;
  const first = await echoServer(t, { host: HOST });
  const admin = `127.0.0.1:${await freePort()}`;
  // Two failures, because a probe that is under way when the server goes is reset: the next one is refused.
  const healthCheck = { interval: '100ms', maxInterval: '100ms', healthyThreshold: 1, unhealthyThreshold: 2 };
  const config = {
    admin: { address: admin },
    store: { kind: 'sqlite' },
    targetGroups: [{ name: 'web', upstreamServers: [first.address], healthCheck }],
  };
  const daemon = await startDaemon(t, { config });
  const link = await faultyLink(t, Number(admin.split(':')[1]));
  const client = pythonClient(t, python, 'watch', link.address, daemon);
  const server = first.address;
  const up = { server, to: 'HEALTH_STATE_HEALTHY', cause: 'connected' };
  const down = { kind: 'KIND_CHANGED', server, to: 'HEALTH_STATE_UNHEALTHY', cause: 'connection refused' };
  const synced = { kind: 'KIND_SYNCED', server: '', to: 'HEALTH_STATE_UNSPECIFIED', cause: '' };
  const lost = async () => assert.equal((await client.next())['code'], 'UNAVAILABLE');
  const beginsAnew = async () => {
    assert.deepEqual(await client.next(), { since: 0 });
    assert.deepEqual(withoutRevision(await client.next()), { ...up, kind: 'KIND_STATE' });
    const said = await client.next();
    assert.deepEqual(withoutRevision(said), synced);
    return said['revision'];
  };

  const known = await beginsAnew();
  link.pause();
  link.resetAll();
  await lost();
  await first.close();
  await daemon.waitForLog(({ msg }) => msg === 'upstream server is unhealthy');
  link.resume();
  assert.deepEqual(await client.next(), { since: known });
  assert.deepEqual(withoutRevision(await client.next()), down, 'what happened meanwhile, and not the state again');

  const second = await echoServer(t, { host: HOST, port: first.port });
  const recovered = await client.next();
  assert.deepEqual(withoutRevision(recovered), { ...up, kind: 'KIND_CHANGED' });
  daemon.signal('SIGKILL');
  await lost();
  await startDaemon(t, { config, folder: daemon.folder, ca: daemon.ca });
  assert.deepEqual(await client.next(), { since: recovered['revision'] });
  let said = await client.next();
  // Connections that were refused while nobody listened: the call may be told so before the next attempt.
  for (; said['code'] === 'UNAVAILABLE'; said = await client.next()) {
    assert.deepEqual(await client.next(), { since: recovered['revision'] });
  }
  assert.deepEqual(said, { code: 'OUT_OF_RANGE', reason: 'COMPACTED' });
  await beginsAnew();
  await second.close();
  assert.deepEqual(withoutRevision(await client.next()), down, 'an ejection after the restart');
});

test('a Python client reads which field of a refused change is wrong', { timeout: 300_000 }, async (t) => {
  const python = await pythonWithStubs(t);
  if (python === undefined) return;
  const daemon = await startDaemon(t, { config: { targetGroups: [{ name: 'web', upstreamServers: [] }] } });
  const client = pythonClient(t, python, 'add-client', daemon.admin, daemon);
  assert.deepEqual(await client.next(), {
    code: 'INVALID_ARGUMENT',
    reason: 'INVALID_FIELD',
    fields: ['client.limits.connection_rate.limit'],
  });
  assert.deepEqual(await client.next(), { revision: 2 });
});
