/** The admin API as grpcurl sees it, which knows nothing but what it learns by reflection. Taken from the PATH, or built with Go where that is; skipped otherwise. */
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { existsSync } from 'node:fs';
import path from 'node:path';
import { type TestContext, test } from 'node:test';
import { promisify } from 'node:util';
import { type ReadyDaemon, startDaemon } from '../support/daemon.ts';
import { echoServer } from '../support/echo-servers.ts';

const VERSION = 'v1.9.4';
const BUILT = path.join(import.meta.dirname, '../../node_modules/.cache/portcullis', `grpcurl-${VERSION}`);
const BUILD_WITHIN_MS = 180_000;

const run = promisify(execFile);

/** Where grpcurl is; the test is skipped, and undefined returned, where it cannot be had. */
async function grpcurlOr(t: TestContext): Promise<string | undefined> {
  const found = await run('grpcurl', ['-version']).then(
    () => true,
    () => false,
  );
  if (found) return 'grpcurl';
  const built = path.join(BUILT, 'grpcurl');
  if (existsSync(built)) return built;
  try {
    const env = { ...process.env, GOBIN: BUILT, GOFLAGS: '' };
    await run('go', ['install', `github.com/fullstorydev/grpcurl/cmd/grpcurl@${VERSION}`], { env, timeout: BUILD_WITHIN_MS });
    return built;
  } catch (error) {
    t.skip(`no grpcurl here, and it cannot be built: ${String(error).split('\n')[0]}`);
    return undefined;
  }
}

/** Runs grpcurl as the daemon's operator: flags before the address, and what is asked of it after. */
async function ask(grpcurl: string, daemon: ReadyDaemon, flags: readonly string[], what: readonly string[]) {
  const { certificate, privateKey } = daemon.operator;
  const tls = ['-cacert', daemon.caCert, '-cert', certificate, '-key', privateKey];
  return run(grpcurl, [...tls, ...flags, daemon.admin, ...what], { timeout: 60_000 }).then(
    ({ stdout }) => ({ code: 0, stdout, stderr: '' }),
    ({ code, stdout, stderr }: { code: number; stdout: string; stderr: string }) => ({ code, stdout, stderr }),
  );
}

async function start(t: TestContext) {
  const grpcurl = await grpcurlOr(t);
  if (grpcurl === undefined) return undefined;
  const { address } = await echoServer(t);
  const daemon = await startDaemon(t, { config: { targetGroups: [{ name: 'web', upstreamServers: [address] }] } });
  return { address, grpc: (flags: readonly string[], ...what: readonly string[]) => ask(grpcurl, daemon, flags, what) };
}

const SERVICE = 'lb.admin.v1.AdminService';

test('grpcurl lists and describes what is served', { timeout: 300_000 }, async (t) => {
  const daemon = await start(t);
  if (daemon === undefined) return;
  const services = await daemon.grpc([], 'list');
  assert.deepEqual(services.stdout.trim().split('\n'), [
    'grpc.health.v1.Health',
    'grpc.reflection.v1.ServerReflection',
    'grpc.reflection.v1alpha.ServerReflection',
    SERVICE,
  ]);
  const methods = await daemon.grpc([], 'list', SERVICE);
  assert.match(methods.stdout, new RegExp(`^${SERVICE}\\.WatchHealth$`, 'm'));
  const method = await daemon.grpc([], 'describe', `${SERVICE}.WatchHealth`);
  assert.match(
    method.stdout,
    /rpc WatchHealth \( \.lb\.admin\.v1\.WatchHealthRequest \) returns \( stream \.lb\.admin\.v1\.WatchHealthResponse \);/,
  );
  const message = await daemon.grpc(['-msg-template'], 'describe', 'lb.admin.v1.SetUpstreamServerRequest');
  assert.match(message.stdout, /optional uint32 weight = 3;/);
  assert.match(message.stdout, /"targetGroup": ""/);
});

test('grpcurl makes a change, reads it back and shows why another one is refused', { timeout: 300_000 }, async (t) => {
  const daemon = await start(t);
  if (daemon === undefined) return;
  const client = (limit: number) =>
    JSON.stringify({ client: { clientId: 'a', allowedTargetGroups: ['web'], limits: { connectionRate: { limit } } } });
  const added = await daemon.grpc(['-d', client(7)], `${SERVICE}/AddClient`);
  assert.equal(added.stderr, '');
  assert.deepEqual(JSON.parse(added.stdout), { revision: '2' });
  const listed = await daemon.grpc([], `${SERVICE}/ListClients`);
  assert.equal(JSON.parse(listed.stdout).clients[0].client.limits.connectionRate.limit, 7);

  const refused = await daemon.grpc(['-d', client(2_000_000)], `${SERVICE}/AddClient`);
  assert.notEqual(refused.code, 0);
  assert.match(refused.stderr, /Code: InvalidArgument/);
  assert.match(refused.stderr, /google\.rpc\.BadRequest/);
  assert.match(refused.stderr, /"field": ?"client\.limits\.connection_rate\.limit"/);
  assert.match(refused.stderr, /"domain": ?"portcullis"/);
});

test('grpcurl streams the health of every server until its time is up', { timeout: 300_000 }, async (t) => {
  const daemon = await start(t);
  if (daemon === undefined) return;
  const watched = await daemon.grpc(['-max-time', '6'], `${SERVICE}/WatchHealth`);
  assert.match(watched.stderr, /DeadlineExceeded/);
  const [state, synced] = watched.stdout
    .trim()
    .split(/\n(?=\{)/)
    .map((message) => JSON.parse(message));
  assert.equal(state.kind, 'KIND_STATE');
  assert.equal(state.server, daemon.address);
  assert.equal(state.to, 'HEALTH_STATE_HEALTHY');
  assert.equal(synced.kind, 'KIND_SYNCED');
  assert.equal(synced.revision, state.revision);
});
