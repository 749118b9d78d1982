import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { DEFAULT_GROUP, DEFAULT_HEALTH_CHECK, NO_LIMITS } from '../../src/domain/defaults.ts';
import { ANY_NAME_MATCH, type Client, type TargetGroup } from '../../src/domain/model.ts';
import { startAdmin } from '../support/admin-server.ts';
import { lbctl, lbctlEnv } from '../support/lbctl.ts';
import { temporaryFolder } from '../support/temp-dir.ts';

/** The real admin server, and lbctl with the certificate of an admin; a command that fails fails the test. */
async function start(t: TestContext) {
  const admin = await startAdmin(t);
  const files = await admin.ca.writeTo(await temporaryFolder(t), { admin: await admin.certificate('admin') });
  const env = lbctlEnv(admin.target, files.caCert, files.admin);
  const run = async (...args: readonly string[]): Promise<string> => {
    const { code, stdout, stderr } = await lbctl(args, { env });
    assert.deepEqual({ code, stderr }, { code: 0, stderr: '' }, args.join(' '));
    return stdout;
  };
  return {
    run,
    group: (name: string): TargetGroup => admin.authority.snapshot.targetGroups.get(name) ?? assert.fail(`no group ${name}`),
    client: (id: string): Client => admin.authority.snapshot.clients.get(id) ?? assert.fail(`no client ${id}`),
  };
}

test('a target group has every option from the start, and keeps what an update does not say', async (t) => {
  const { run, group } = await start(t);
  await run(
    ...'add-target-group --name api --algorithm resource --slow-start 90s --panic-threshold 40 --hash-balance-factor 0'.split(' '),
    ...'--outlier-failures 3 --outlier-max-percent 10 --queue-length 100 --queue-timeout 2s --rebalance 5'.split(' '),
    ...'--agent-port 9999 --agent-interval 2s --send-proxy-protocol v2 --resolve-interval 10s'.split(' '),
    ...'--upstream-tls-ca /ca.pem --upstream-tls-server-name db.internal --upstream-tls-insecure'.split(' '),
    ...'--health-check sendExpect --health-send PING\\r\\n --health-expect +PONG --health-interval 3s'.split(' '),
  );
  const added: TargetGroup = {
    ...DEFAULT_GROUP,
    name: 'api',
    servers: [],
    algorithm: 'resource',
    healthCheck: { ...DEFAULT_HEALTH_CHECK, type: 'sendExpect', intervalMs: 3000, sendExpect: { send: 'PING\r\n', expect: '+PONG' } },
    slowStartMs: 90_000,
    panicThreshold: 40,
    hashBalanceFactor: 0,
    outlierDetection: { consecutiveFailures: 3, baseEjectionMs: 30_000, maxEjectionMs: 300_000, maxEjectionPercent: 10 },
    queue: { maxLength: 100, timeoutMs: 2000 },
    rebalance: { perSecond: 5 },
    agentCheck: { port: 9999, intervalMs: 2000, timeoutMs: 5000 },
    sendProxyProtocol: 'v2',
    upstreamTls: { ca: '/ca.pem', serverName: 'db.internal', clientCertificate: undefined, insecureSkipVerify: true },
    resolveIntervalMs: 10_000,
  };
  assert.deepEqual(group('api'), added);

  const table = await run('list-target-groups');
  assert.match(table, /^NAME .* SETTINGS$/m);
  assert.match(table, /^api +resource +0 +sendExpect "PING\\r\\n" -> "\+PONG" every 3s .* slowStart 1m30s, panicThreshold 40%, /m);
  assert.match(table, /^web .* -$/m, 'what is the default is not told');
  const { targetGroups } = JSON.parse(await run('list-target-groups', '--output', 'json'));
  assert.partialDeepStrictEqual(
    targetGroups.find(({ name }: { readonly name: string }) => name === 'api'),
    { sendProxyProtocol: 'v2', queue: { maxLength: 100, timeout: '2s' }, hashBalanceFactor: 0, slowStart: '90s' },
  );

  await run(
    ...'update-target-group --name api --queue-length 7 --agent-timeout 1s --outlier-ejection 10s --health-expect PONG'.split(' '),
    ...'--no-upstream-tls-insecure --upstream-tls-certificate /lb.crt --upstream-tls-key /lb.key'.split(' '),
  );
  const updated: TargetGroup = {
    ...added,
    queue: { maxLength: 7, timeoutMs: 2000 },
    agentCheck: { port: 9999, intervalMs: 2000, timeoutMs: 1000 },
    outlierDetection: { ...added.outlierDetection, baseEjectionMs: 10_000 },
    healthCheck: { ...added.healthCheck, sendExpect: { send: 'PING\r\n', expect: 'PONG' } },
    upstreamTls: {
      ca: '/ca.pem',
      serverName: 'db.internal',
      clientCertificate: { certificate: '/lb.crt', privateKey: '/lb.key' },
      insecureSkipVerify: false,
    },
  };
  assert.deepEqual(group('api'), updated);

  await run(
    ...'update-target-group --name api --algorithm leastLatency --no-queue --no-agent --no-rebalance --no-upstream-tls'.split(' '),
    ...'--send-proxy-protocol none --slow-start 0s --panic-threshold 0 --health-check grpc --health-grpc-service shop.Cart'.split(' '),
  );
  assert.deepEqual(group('api'), {
    ...updated,
    algorithm: 'leastLatency',
    queue: undefined,
    agentCheck: undefined,
    rebalance: undefined,
    upstreamTls: undefined,
    sendProxyProtocol: undefined,
    slowStartMs: 0,
    panicThreshold: 0,
    healthCheck: { ...updated.healthCheck, type: 'grpc', grpc: { service: 'shop.Cart', authority: undefined }, sendExpect: undefined },
  });
});

test('a client has its bandwidth, its shadow and its network, and keeps what an update does not say', async (t) => {
  const { run, client } = await start(t);
  await run(
    ...'add-client --client batch --target-group web --match-cidr 10.0.0.0/24 --bandwidth-up 512KiB --bandwidth-down 10MB'.split(' '),
    ...'--shadow --requests-per-second 5'.split(' '),
  );
  const rate = { algorithm: 'fixedWindow', limit: 5, windowMs: 1000, burst: undefined, action: 'reset', maxDelayMs: 5000 } as const;
  const added: Client = {
    clientId: 'batch',
    match: { ...ANY_NAME_MATCH, cidr: '10.0.0.0/24' },
    allowedTargetGroups: ['web'],
    limits: {
      ...NO_LIMITS,
      connectionRate: rate,
      bandwidth: { uploadBytesPerSecond: 524_288, downloadBytesPerSecond: 10_000_000 },
      shadow: true,
    },
  };
  assert.deepEqual(client('batch'), added);
  const table = await run('list-clients');
  assert.match(table, /^CLIENT .* BANDWIDTH +SHADOW /m);
  assert.match(table, /^batch +web .* 524 KB\/s up, 10\.0 MB\/s down +yes +0 +0 +0 +cidr=10\.0\.0\.0\/24$/m);

  await run(...'update-client --client batch --bandwidth-up 0 --no-shadow'.split(' '));
  const bandwidth = { uploadBytesPerSecond: undefined, downloadBytesPerSecond: 10_000_000 };
  assert.deepEqual(client('batch'), { ...added, limits: { ...added.limits, bandwidth, shadow: false } });

  await run(...'update-client --client batch --no-bandwidth --match-cidr 10.0.1.0/24'.split(' '));
  assert.deepEqual(client('batch'), {
    ...added,
    match: { ...ANY_NAME_MATCH, cidr: '10.0.1.0/24' },
    limits: { ...NO_LIMITS, connectionRate: rate },
  });
});

test('a burst that was given stays whatever the limit becomes, and one that was not follows it', async (t) => {
  const { run, client } = await start(t);
  const steps: readonly (readonly [command: string, burst: number | undefined, rate: string])[] = [
    ['add-client --client b --target-group web --limit 2 --algorithm leakyBucket --burst 20', 20, '2 per 1s burst 20'],
    ['update-client --client b --limit 20', 20, '20 per 1s burst 20'],
    ['update-client --client b --limit 2', 20, '2 per 1s burst 20'],
    ['update-client --client b --burst 2', 2, '2 per 1s burst 2'],
    ['update-client --client b --requests-per-second 30', 2, '30 per 1s burst 2'],
    ['update-client --client b --burst 0', undefined, '30 per 1s'],
    ['update-client --client b --limit 40', undefined, '40 per 1s'],
  ];
  for (const [command, burst, rate] of steps) {
    await run(...command.split(' '));
    assert.equal(client('b').limits.connectionRate?.burst, burst, command);
    assert.match(await run('list-clients'), new RegExp(`^b +web +${rate} leakyBucket reset `, 'm'), command);
  }
});
