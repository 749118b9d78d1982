import assert from 'node:assert/strict';
import { writeFile } from 'node:fs/promises';
import path from 'node:path';
import { type TestContext, test } from 'node:test';
import { startAdmin } from '../support/admin-server.ts';
import { lbctl, lbctlEnv, startLbctl } from '../support/lbctl.ts';
import { temporaryFolder } from '../support/temp-dir.ts';

async function start(t: TestContext) {
  const admin = await startAdmin(t);
  const folder = await temporaryFolder(t);
  const files = await admin.ca.writeTo(folder, { admin: await admin.certificate('admin') });
  return { admin, folder, env: lbctlEnv(admin.target, files.caCert, files.admin) };
}

test('a unary RPC, its request from the command line, a file or standard input', async (t) => {
  const { admin, folder, env } = await start(t);
  const request = (port: number) => JSON.stringify({ targetGroup: 'web', server: { address: `127.0.0.1:${port}`, weight: 7 } });
  const file = path.join(folder, 'request.json');
  await writeFile(file, request(2));
  assert.deepEqual(await lbctl(['call', 'AddUpstreamServer', '-d', request(1)], { env }), {
    code: 0,
    stdout: '{"revision":"2"}\n',
    stderr: '',
  });
  assert.equal((await lbctl(['call', 'AddUpstreamServer', '-d', `@${file}`], { env })).stdout, '{"revision":"3"}\n');
  const inFull = ['call', 'lb.admin.v1.AdminService/AddUpstreamServer', '-d', '-'];
  assert.equal((await lbctl(inFull, { env, stdin: request(3) })).stdout, '{"revision":"4"}\n');
  const added = admin.authority.snapshot.targetGroups.get('web')?.servers.filter(({ weight }) => weight === 7);
  assert.deepEqual(
    added?.map(({ address }) => address),
    ['127.0.0.1:1', '127.0.0.1:2', '127.0.0.1:3'],
  );
});

test('a reply is proto3 JSON on one line', async (t) => {
  const { admin, env } = await start(t);
  admin.health.turn('db', '127.0.0.1:8085', 'healthy', 'connected');
  const { stdout } = await lbctl(['call', 'ListUpstreamServers', '-d', '{"target_group": "db"}'], { env });
  assert.deepEqual(JSON.parse(stdout), {
    servers: [
      {
        targetGroup: 'db',
        server: { address: '127.0.0.1:8085', weight: 1, maxConnections: 0, backup: false, mode: 'SERVER_MODE_READY' },
        health: 'HEALTH_STATE_HEALTHY',
        lastProbe: 'connected',
        lastProbeLatency: '0.001500s',
        since: '2026-06-01T00:00:00Z',
        cause: 'connected',
        lastProbeAt: '2026-06-01T00:00:01Z',
        nextProbeAt: '2026-06-01T00:00:06Z',
        inPanic: false,
        counters: { active: '0', connected: '0', failed: '0', bytesToUpstream: '0', bytesFromUpstream: '0' },
      },
    ],
    revision: '1',
    nextPageToken: '',
  });
});

test('a server stream is a line for each message until Ctrl-C', async (t) => {
  const { env } = await start(t);
  const call = startLbctl(t, ['call', 'WatchStats', '-d', '{"interval": "0.1s"}'], { env });
  for (let line = 0; line < 2; line++) assert.equal(JSON.parse(await call.nextLine()).activeConnections, '0');
  call.child.kill('SIGINT');
  assert.equal(await call.exited, 0);
});

test('a stream of requests, and a service other than AdminService', async (t) => {
  const { env } = await start(t);
  const twice = '{"listServices": "*"}\n{"fileContainingSymbol": "lb.admin.v1.AdminService"}\n';
  const { code, stdout } = await lbctl(['call', 'grpc.reflection.v1.ServerReflection/ServerReflectionInfo', '-d', twice], { env });
  const [services, file] = stdout
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line));
  assert.ok(services.listServicesResponse.service.some(({ name }: { readonly name: string }) => name === 'lb.admin.v1.AdminService'));
  assert.match(file.fileDescriptorResponse.fileDescriptorProto[0], /^[A-Za-z0-9+/]+=*$/);
  assert.equal(code, 0);
  assert.equal((await lbctl(['call', 'Check'], { env })).stdout, '{"status":"SERVING"}\n');
  const { statuses } = JSON.parse((await lbctl(['call', 'grpc.health.v1.Health/List'], { env })).stdout);
  assert.deepEqual(statuses['lb.admin.v1.AdminService'], { status: 'SERVING' });
});

test('a refusal is told as for any command', async (t) => {
  const { env } = await start(t);
  const refused = await lbctl(['call', 'AddUpstreamServer', '-d', '{"targetGroup": "nope", "server": {"address": "a:1"}}'], { env });
  assert.match(refused.stderr, /^lbctl: refused \(NOT_FOUND\): there is no target group "nope"/);
  assert.equal(refused.code, 1);
  const misused = await lbctl(['call', 'AddUpstreamServer', '-d', '{"group": "web"}'], { env });
  assert.match(misused.stderr, /^lbctl: --data: group: AddUpstreamServerRequest has no such field; expected targetGroup, server/);
  assert.equal(misused.code, 2);
});
