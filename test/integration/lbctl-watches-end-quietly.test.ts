import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { startAdmin } from '../support/admin-server.ts';
import { faultyLink } from '../support/faulty-link.ts';
import { lbctl, lbctlEnv, startLbctl } from '../support/lbctl.ts';
import { temporaryFolder } from '../support/temp-dir.ts';

async function start(t: TestContext) {
  const admin = await startAdmin(t);
  const files = await admin.ca.writeTo(await temporaryFolder(t), { viewer: await admin.certificate('viewer') });
  return { admin, env: lbctlEnv(admin.target, files.caCert, files.viewer) };
}

test('Ctrl-C ends a watch with exit code 0', async (t) => {
  const { admin, env } = await start(t);
  admin.health.turn('web', '127.0.0.1:8081', 'healthy', 'connected');
  const watch = startLbctl(t, ['watch-health', '--target-group', 'web'], { env });
  assert.match(await watch.nextLine(), /^\S+Z +web +127\.0\.0\.1:8081 +healthy +connected$/);
  admin.health.turn('web', '127.0.0.1:8081', 'unhealthy', 'connection refused');
  assert.match(await watch.nextLine(), /^\S+Z +web +127\.0\.0\.1:8081 +healthy -> unhealthy +connection refused$/);
  watch.child.kill('SIGINT');
  assert.equal(await watch.exited, 0);
});

test('--count ends a watch by itself', async (t) => {
  const { admin, env } = await start(t);
  for (const reason of ['client_closed', 'rate_limited', 'rate_limited', 'no_route'] as const) admin.worker.countReason(reason);
  const table = await lbctl(['watch-stats', '--interval', '100ms', '--count', '2'], { env });
  assert.equal(table.code, 0);
  assert.match(table.stdout, /^the whole load balancer, since lbd started\nTIME +ACTIVE +ACCEPTED .*\n(?:\d\d:\d\d:\d\dZ +0 +0 .*\n){2}$/);
  assert.match(table.stdout, / refused: rate_limited 2, no_route 1; ended: client_closed 1$/m);
  const json = await lbctl(['watch-stats', '--interval', '100ms', '--count', '2', '-o', 'json'], { env });
  const messages = json.stdout
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line));
  assert.deepEqual(
    messages.map(({ activeConnections }) => activeConnections),
    [0, 0],
  );
  admin.worker.countAccepted(admin.slots.clientSlot('clientA') ?? assert.fail());
  const other = await lbctl(['watch-stats', '--target-group', 'web', '--count', '1'], { env });
  assert.match(other.stdout, /^target group web, all its servers, since lbd started\nTIME .*\n\S+ +0 +0 /);
  const client = await lbctl(['watch-stats', '--client', 'clientA', '--count', '1'], { env });
  assert.match(client.stdout, /^client clientA, since lbd started\nTIME .*\n\S+ +0 +1 /);
});

test('a health watch resumes after a revision it has seen', async (t) => {
  const { admin, env } = await start(t);
  admin.health.turn('web', '127.0.0.1:8081', 'healthy');
  const first = await lbctl(['watch-health', '--count', '1', '-o', 'json'], { env });
  const { revision } = JSON.parse(first.stdout);
  admin.health.turn('web', '127.0.0.1:8081', 'unhealthy', 'HTTP 503');
  const missed = await lbctl(['watch-health', '--since-revision', String(revision), '--count', '1', '-o', 'json'], { env });
  const { kind, from, to, cause } = JSON.parse(missed.stdout);
  assert.deepEqual({ kind, from, to, cause }, { kind: 'changed', from: 'healthy', to: 'unhealthy', cause: 'HTTP 503' });
  const tooOld = await lbctl(['watch-health', '--since-revision', '1'], { env });
  assert.match(tooOld.stderr, /^lbctl: refused \(OUT_OF_RANGE\): /);
  assert.equal(tooOld.code, 1);
});

test('a reader that has seen enough ends lbctl without a word', async (t) => {
  const { env } = await start(t);
  const watch = startLbctl(t, ['watch-stats', '--interval', '100ms', '-o', 'json'], { env });
  let complaints = '';
  watch.child.stderr?.on('data', (chunk) => {
    complaints += chunk;
  });
  await watch.nextLine();
  watch.child.stdout?.destroy();
  assert.equal(await watch.exited, 0);
  assert.equal(complaints, '');
});

test('with --no-reconnect a watch that loses its server says so with exit code 3', async (t) => {
  const { admin, env } = await start(t);
  const link = await faultyLink(t, admin.server.address.port);
  const watch = startLbctl(t, ['watch-stats', '--addr', link.address, '-o', 'json', '--no-reconnect'], { env });
  let complaints = '';
  watch.child.stderr?.on('data', (chunk) => {
    complaints += chunk;
  });
  await watch.nextLine();
  link.resetAll();
  assert.equal(await watch.exited, 3);
  assert.equal(complaints, `lbctl: lost the connection to ${link.address}; is lbd still running?\n`);
});
