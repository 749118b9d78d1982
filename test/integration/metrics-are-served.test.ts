import assert from 'node:assert/strict';
import { connect } from 'node:net';
import { test } from 'node:test';
import { AdminServiceService } from '../../src/gen/lb/admin/v1/admin.ts';
import { ask } from '../support/admin-server.ts';
import { launchDaemon, type ReadyDaemon, startDaemon } from '../support/daemon.ts';
import { adminOf, connectTo, roundTrip } from '../support/daemon-clients.ts';
import { echoServer } from '../support/echo-servers.ts';
import { lintMetrics, parseMetrics, seriesValue } from '../support/prometheus.ts';
import { uncheckedGroup } from '../support/running-balancer.ts';
import { takenPort } from '../support/taken-port.ts';

async function metricsOf({ waitForLog }: ReadyDaemon): Promise<string> {
  const { metrics } = await waitForLog(({ msg }) => msg === 'ready');
  assert.ok(typeof metrics === 'string');
  return `http://${metrics}/metrics`;
}

test('what happens on real connections is in the metrics, by name and by convention', async (t) => {
  const upstream = await echoServer(t);
  const daemon = await startDaemon(t, {
    config: {
      metrics: { address: '127.0.0.1:0' },
      workers: 2,
      targetGroups: [uncheckedGroup('web', [upstream.address])],
      clients: [{ clientId: 'alice', allowedTargetGroup: 'web', limits: { connectionRate: { limit: 3, window: '1d' } } }],
    },
  });
  const url = await metricsOf(daemon);
  const [alice, mallory] = [await daemon.ca.issue({ cn: 'alice' }), await daemon.ca.issue({ cn: 'mallory' })];
  const held = connectTo(t, daemon, alice);
  await roundTrip(held, 'hello');
  const ended = connectTo(t, daemon, alice);
  await roundTrip(ended, 'hello');
  ended.socket.end();
  await daemon.waitForLog(({ reason }) => reason === 'client_closed');
  await connectTo(t, daemon, mallory).ending;
  await daemon.waitForLog(({ reason }) => reason === 'unknown_client');
  const admin = adminOf(t, daemon);
  await ask(admin, AdminServiceService.getState, {});
  await assert.rejects(ask(admin, AdminServiceService.removeClient, { ...removal, clientId: 'nobody' }));
  await ask(admin, AdminServiceService.addUpstreamServer, {
    targetGroup: 'web',
    server: { address: '127.0.0.1:1', weight: 0, maxConnections: 0, backup: false, mode: 'SERVER_MODE_UNSPECIFIED' },
    expectedRevision: 0n,
    requestId: '',
  });

  const response = await fetch(url);
  assert.equal(response.status, 200);
  assert.match(response.headers.get('content-type') ?? '', /^text\/plain; version=0\.0\.4/);
  const families = parseMetrics(await response.text());
  assert.deepEqual(lintMetrics(families), []);
  const server = { target_group: 'web', server: upstream.address };
  const expected: readonly [name: string, labels: Readonly<Record<string, string>>, value: number][] = [
    ['portcullis_connections_active', server, 1],
    ['portcullis_connections_total', {}, 2],
    ['portcullis_upstream_connections_total', server, 2],
    ['portcullis_upstream_sent_bytes_total', server, 12],
    ['portcullis_server_healthy', server, 1],
    ['portcullis_refused_total', { reason: 'unknown_client' }, 1],
    ['portcullis_closed_total', { reason: 'client_closed' }, 1],
    ['portcullis_client_connections_active', { client: 'alice' }, 1],
    ['portcullis_client_rate_headroom', { client: 'alice' }, 1],
    ['portcullis_client_received_bytes_total', { client: 'alice' }, 12],
    ['portcullis_handshake_duration_seconds_count', {}, 3],
    ['portcullis_upstream_connect_duration_seconds_count', {}, 2],
    ['portcullis_store_failures_total', {}, 0],
    ['portcullis_admin_rpcs_total', { method: 'lb.admin.v1.AdminService/GetState', code: 'OK' }, 1],
    ['portcullis_admin_rpcs_total', { method: 'lb.admin.v1.AdminService/RemoveClient', code: 'NOT_FOUND' }, 1],
    ['portcullis_workers', {}, 2],
  ];
  for (const [name, labels, value] of expected)
    assert.equal(seriesValue(families, name, labels), value, `${name} ${JSON.stringify(labels)}`);
  // The first change took the configuration in.
  assert.equal(seriesValue(families, 'portcullis_store_changes_total'), 2);
  assert.ok(seriesValue(families, 'portcullis_store_last_write_duration_seconds') > 0);
  assert.ok(seriesValue(families, 'portcullis_handshake_duration_seconds_sum') > 0);
});

const removal = { clientId: '', expectedRevision: 0n, requestId: '', mode: 'CLOSE_MODE_UNSPECIFIED', deadline: undefined } as const;

test('the endpoint answers nothing but GET /metrics, and many at once get the same', async (t) => {
  const daemon = await startDaemon(t, { config: { metrics: { address: '127.0.0.1:0' } } });
  const url = await metricsOf(daemon);
  const answers: readonly [path: string, method: string, status: number][] = [
    ['/', 'GET', 404],
    ['/metrics/../etc/passwd', 'GET', 404],
    ['/metrics', 'POST', 405],
    ['/metrics', 'DELETE', 405],
    ['/metrics', 'HEAD', 200],
    ['/', 'HEAD', 404],
    ['/metrics?x=y', 'GET', 200],
  ];
  for (const [path, method, status] of answers) {
    const response = await fetch(new URL(path, url), { method });
    const text = await response.text();
    assert.equal(response.status, status, `${method} ${path}`);
    if (method === 'HEAD') assert.equal(text, '');
  }
  const all = await Promise.all(Array.from({ length: 20 }, () => fetch(url).then((response) => response.status)));
  assert.deepEqual(new Set(all), new Set([200]));

  // One who asks over and over and never reads holds up nobody.
  const staller = connect(Number(new URL(url).port), '127.0.0.1');
  t.after(() => staller.destroy());
  staller.pause();
  staller.on('error', () => undefined);
  staller.write('GET /metrics HTTP/1.1\r\nhost: x\r\n\r\n'.repeat(500));
  assert.equal((await fetch(url)).status, 200);
  assert.deepEqual(await daemon.stop(), { code: 0, signal: null });
});

test('without metrics in the configuration nothing listens', async (t) => {
  const daemon = await startDaemon(t);
  const ready = await daemon.waitForLog(({ msg }) => msg === 'ready');
  assert.equal('metrics' in ready, false);
});

test('a metrics address that is taken is one line, and nothing runs', async (t) => {
  const { port } = await takenPort(t);
  const daemon = await launchDaemon(t, { config: { metrics: { address: `127.0.0.1:${port}` } } });
  assert.deepEqual(await daemon.exited, { code: 1, signal: null });
  assert.deepEqual(daemon.output, [
    `lbd: the metrics endpoint cannot listen on 127.0.0.1:${port}: listen EADDRINUSE: address already in use 127.0.0.1:${port}; stop the process that has the port (ss -ltnp shows it) or change metrics.address`,
  ]);
});
