import assert from 'node:assert/strict';
import { writeFile } from 'node:fs/promises';
import path from 'node:path';
import { type TestContext, test } from 'node:test';
import { parse } from 'yaml';
import { startAdmin } from '../support/admin-server.ts';
import { lbctl, lbctlEnv } from '../support/lbctl.ts';
import { temporaryFolder } from '../support/temp-dir.ts';

/** The real admin server, and lbctl with the certificate of an admin: with `run`, a command that fails fails the test, with `fail`, one that does not. */
async function start(t: TestContext) {
  const admin = await startAdmin(t);
  const files = await admin.ca.writeTo(await temporaryFolder(t), { admin: await admin.certificate('admin') });
  const env = lbctlEnv(admin.target, files.caCert, files.admin);
  const run = async (...args: readonly string[]): Promise<string> => {
    const { code, stdout, stderr } = await lbctl(args, { env });
    assert.deepEqual({ code, stderr }, { code: 0, stderr: '' }, args.join(' '));
    return stdout;
  };
  const fail = async (...args: readonly string[]): Promise<string> => {
    const { code, stderr } = await lbctl(args, { env });
    assert.equal(code, 1, args.join(' '));
    return stderr;
  };
  return { admin, run, fail };
}

test('problems of a configuration are told at their places in the file as it was named', async (t) => {
  const folder = await temporaryFolder(t);
  const admin = await startAdmin(t);
  const files = await admin.ca.writeTo(folder, { admin: await admin.certificate('admin') });
  const file = path.join(folder, 'new.yaml');
  await writeFile(file, 'listenAdress: x\nclients: [config]\n');
  for (const command of ['plan', 'apply', 'drift']) {
    const { code, stderr } = await lbctl([command, '-f', file], { env: lbctlEnv(admin.target, files.caCert, files.admin) });
    assert.equal(code, 1);
    assert.ok(stderr.startsWith(`lbctl: refused (INVALID_ARGUMENT): ${file}:1:1 listenAdress: `), stderr);
    assert.ok(stderr.includes(`; ${file}:2:11 clients[0]: `) && !stderr.includes('config:'), stderr);
  }
});

test('target groups come and go with every option they have', async (t) => {
  const { run } = await start(t);
  const added = await run(
    ...'add-target-group --name api --algorithm roundRobin --server 127.0.0.1:9001 --server 127.0.0.1:9002'.split(' '),
    ...'--health-check http --health-path /healthz --health-interval 1500ms --unhealthy-threshold 2 --health-status 200-204'.split(' '),
    ...'--connect-timeout 2s --retries 0 --on-unhealthy close'.split(' '),
  );
  assert.equal(added, 'added target group api (revision 2)\n');
  const { targetGroups } = JSON.parse(await run('list-target-groups', '--output', 'json'));
  const api = targetGroups.find((group: { readonly name: string }) => group.name === 'api');
  assert.deepEqual(api, {
    name: 'api',
    algorithm: 'roundRobin',
    servers: [
      { address: '127.0.0.1:9001', weight: 1, maxConnections: 0, backup: false, mode: 'ready' },
      { address: '127.0.0.1:9002', weight: 1, maxConnections: 0, backup: false, mode: 'ready' },
    ],
    healthCheck: {
      type: 'http',
      interval: '1.5s',
      timeout: '5s',
      unhealthyThreshold: 2,
      healthyThreshold: 3,
      maxInterval: '60s',
      http: { path: '/healthz', host: '', statusFrom: 200, statusTo: 204, body: '' },
    },
    connectTimeout: '2s',
    retries: 0,
    onUnhealthy: 'close',
    slowStart: '0s',
    panicThreshold: 0,
    outlierDetection: { consecutiveFailures: 5, baseEjectionTime: '30s', maxEjectionTime: '300s', maxEjectionPercent: 50 },
    hashBalanceFactor: 125,
    sendProxyProtocol: 'unspecified',
    resolveInterval: '30s',
  });
  assert.match(await run('list-target-groups'), /^api +roundRobin +2 +http \/healthz every 1\.5s +2s +0 +close$/m);
  assert.equal(await run('remove-target-group', '--target-group', 'api'), 'removed target group api (revision 3)\n');
});

test('upstream servers come and go', async (t) => {
  const { admin, run } = await start(t);
  const server = ['--target-group', 'web', '--server', '127.0.0.1:8083'];
  assert.equal(await run('add-upstream-server', ...server, '--weight', '5', '--backup'), 'added 127.0.0.1:8083 to web (revision 2)\n');
  admin.health.turn('web', '127.0.0.1:8083', 'unhealthy', 'connection refused');
  const table = await run('list-upstream-servers', '--target-group', 'web');
  assert.match(table, /^TARGET GROUP +SERVER +HEALTH +FOR +WEIGHT/);
  assert.match(table, /^web +127\.0\.0\.1:8083 +unhealthy +\S+ +5 +0 +0 +0 +- +yes +1\.5ms +connection refused$/m);
  assert.doesNotMatch(table, /^db /m);
  const { servers } = parse(await run('list-upstream-servers', '-o', 'yaml'));
  assert.equal(servers.length, 4);
  const removed = await run('remove-upstream-server', ...server, '--deadline', '0s', '--reset', '--output', 'json');
  assert.deepEqual(JSON.parse(removed), { revision: 3, connectionsLeft: 0, done: true, connectionsReset: 0 });
});

test('clients come and go with their limits', async (t) => {
  const { admin, run } = await start(t);
  const routes = [{ sni: 'db.test', alpn: undefined, targetGroup: 'db' }];
  const listeners = admin.authority.snapshot.listeners.map((listener) => ({ ...listener, routes }));
  await admin.authority.execute({ kind: 'setListeners', listeners }, { actor: 'library' });
  const added = await run(
    ...'add-client --client billing --allowed-target-group web --target-group db --match-cn billing --match-ou billing --concurrent-connections 7'.split(
      ' ',
    ),
    ...'--limit 100 --window 1m --algorithm tokenBucket --burst 20 --action delay --max-delay 0s --output json'.split(' '),
  );
  assert.equal(added, '{"revision":3,"warnings":[]}\n');
  const billing = admin.authority.snapshot.clients.get('billing');
  assert.deepEqual([...(billing?.allowedTargetGroups ?? [])].sort(), ['db', 'web']);
  assert.equal(billing?.match.ou, 'billing');
  assert.equal(billing?.limits.concurrentConnections, 7);
  assert.deepEqual(billing?.limits.connectionRate, {
    algorithm: 'tokenBucket',
    limit: 100,
    windowMs: 60_000,
    burst: 20,
    action: 'delay',
    maxDelayMs: 0,
  });
  assert.match(await run('list-clients'), /^billing +\S+, \S+ +100 per 1m burst 20 tokenBucket delay +7 +0 +0 +0 +cn=billing ou=billing$/m);
  admin.onEnforce = () => 2;
  assert.equal(await run('remove-client', '--client', 'billing'), 'removed client billing, 2 connections closed (revision 4)\n');
});

test('the bounds that the help of a limit says are those of the server', async (t) => {
  const { run, fail } = await start(t);
  const help = (await run('update-client', '--help')).replaceAll(/\s+/g, ' ');
  await run('add-client', '--client', 'c', '--target-group', 'web', '--limit', '1', '--action', 'delay');
  for (const [option, said, taken, refused] of [
    ['--max-delay', 'at most 60s', '60s', '60001ms'],
    ['--bandwidth-up', 'at least 1KiB', '1KiB', '1023'],
    ['--bandwidth-down', 'at least 1KiB', '1KiB', '1023'],
  ] as const) {
    assert.match(help, new RegExp(`${option} <\\w+> [^<]*${said}`));
    await run('update-client', '--client', 'c', option, taken);
    assert.match(await fail('update-client', '--client', 'c', option, refused), /refused \(INVALID_ARGUMENT\)/);
  }
});

test('--requests-per-second is a fixed window of one second', async (t) => {
  const { admin, run } = await start(t);
  await run('add-client', '--client', 'c', '--target-group', 'web', '--requests-per-second', '10');
  const rate = admin.authority.snapshot.clients.get('c')?.limits.connectionRate;
  assert.deepEqual([rate?.algorithm, rate?.limit, rate?.windowMs, rate?.action], ['fixedWindow', 10, 1_000, 'reset']);
});

test('a change is made once for its request id, and not at all at another revision', async (t) => {
  const { admin, run } = await start(t);
  const change = ['add-upstream-server', '--target-group', 'web', '--server', '127.0.0.1:8083', '--request-id', 'once', '-o', 'json'];
  assert.equal(await run(...change, '--expected-revision', '1'), '{"revision":2}\n');
  assert.equal(await run(...change, '--expected-revision', '1'), '{"revision":2}\n');
  assert.equal(admin.authority.snapshot.revision, 2);
  await assert.rejects(run('remove-client', '--client', 'clientA', '--expected-revision', '1'), /ABORTED/);
  assert.equal(admin.authority.snapshot.revision, 2);
});

test('the log level, the counters and the whole state are there to see', async (t) => {
  const { run } = await start(t);
  assert.equal(await run('set-log-level', '--level', 'debug'), 'log level is debug now, it was info\n');
  assert.equal(await run('get-log-level'), 'debug\n');
  assert.equal(await run('get-log-level', '--output', 'json'), '{"level":"debug"}\n');
  assert.match(await run('get-active-connections', '--target-group', 'db'), /^db +127\.0\.0\.1:8085 +0\ntotal: 0\n$/m);
  assert.equal(await run('get-dropped-requests', '--client', 'clientA'), 'total: 0\n');
  assert.deepEqual(JSON.parse(await run('get-failed-connections', '--server', '127.0.0.1:8085', '-o', 'json')), {
    total: 0,
    servers: [{ targetGroup: 'db', server: '127.0.0.1:8085', count: 0 }],
  });
  const state = await run('get-state');
  assert.match(state, /^revision 1, lbd 1\.2\.3-test, 2 workers, up /);
  assert.match(
    state,
    /^main +127\.0\.0\.1:43210 +mutual TLS, ALPN h2, PROXY from 10\.0\.0\.0\/8 +50\/s \(burst 100\) +- +sni=\*\.db -> db$/m,
  );
});

test('what lbd warns of is on standard error, and what it refuses says how it is meant after all', async (t) => {
  const admin = await startAdmin(t);
  const files = await admin.ca.writeTo(await temporaryFolder(t), {
    admin: await admin.certificate('admin'),
    viewer: await admin.certificate('viewer'),
  });
  const env = lbctlEnv(admin.target, files.caCert, files.admin);
  const run = (...args: readonly string[]) => lbctl(args, { env });
  const added = await run('add-client', '--client', 'team', '--target-group', 'web', '--match-ou', 'Payments');
  assert.deepEqual([added.code, added.stdout], [0, 'added client team (revision 2)\n']);
  assert.match(added.stderr, /^lbctl: warning: client "team" is every certificate of the organizational unit "Payments".*\n$/);
  const overlap = await run('update-client', '--client', 'team', '--match-cn', 'clientA');
  assert.equal(overlap.code, 1);
  assert.match(
    overlap.stderr,
    /^lbctl: refused \(FAILED_PRECONDITION\): every certificate of client "team" would be one of client "clientA" too/,
  );

  const viewer = ['revoke', '--certificate', files.viewer.certificate];
  assert.equal((await run(...viewer)).code, 0);
  const again = await run(...viewer);
  assert.match(again.stdout, /^revoked already since [\d-]+T[\d:.]+Z; 0 connections closed \(revision 3\)\n$/);
  const own = ['revoke', '--certificate', files.admin.certificate];
  const refused = await run(...own);
  assert.deepEqual([refused.code, /--yes-lock-me-out/.test(refused.stderr)], [1, true]);
  assert.equal((await run(...own, '--yes-lock-me-out')).code, 0);
  assert.match((await run('list-clients')).stderr, /is revoked and opens nothing/);
});

test('a name that nothing has is said so, and not answered with nothing', async (t) => {
  const admin = await startAdmin(t);
  const files = await admin.ca.writeTo(await temporaryFolder(t), { admin: await admin.certificate('admin') });
  const env = lbctlEnv(admin.target, files.caCert, files.admin);
  const asked: readonly [args: readonly string[], stderr: RegExp][] = [
    [['audit', '--method', 'Nope'], /refused \(NOT_FOUND\): there is no method "Nope"/],
    [['list-connections', '--client', 'nope'], /refused \(NOT_FOUND\): there is no client "nope"/],
    [['list-connections', '--target-group', 'nope'], /refused \(NOT_FOUND\): there is no target group "nope"/],
    [['list-connections', '--server', '127.0.0.1:1'], /refused \(NOT_FOUND\): there is no server "127\.0\.0\.1:1"/],
    [['close-connections', '--client', 'nope'], /refused \(NOT_FOUND\): there is no client "nope"/],
    [['audit', '--actor', 'nope'], /^lbctl: warning: no entry by "nope"; an actor is the name in an admin certificate\n$/],
  ];
  for (const [args, stderr] of asked) assert.match((await lbctl(args, { env })).stderr, stderr, args.join(' '));
});
