import assert from 'node:assert/strict';
import { once } from 'node:events';
import { request } from 'node:http';
import { test } from 'node:test';
import { EMPTY_SNAPSHOT } from '../../src/domain/model.ts';
import { MAX_SHOWN } from '../../src/metrics/dashboard-parts.ts';
import type { DashboardState } from '../../src/metrics/dashboard-state.ts';
import { type ReadyDaemon, startDaemon } from '../support/daemon.ts';
import { connectTo, roundTrip } from '../support/daemon-clients.ts';
import { scriptedDashboard } from '../support/dashboard.ts';
import { echoServer } from '../support/echo-servers.ts';
import { uncheckedGroup } from '../support/running-balancer.ts';
import { sampleClient, sampleGroup } from '../support/sample-state.ts';

async function dashboardOf({ waitForLog }: ReadyDaemon): Promise<string> {
  const { metrics } = await waitForLog(({ msg }) => msg === 'ready');
  assert.ok(typeof metrics === 'string');
  return `http://${metrics}/`;
}

async function stateOf(url: string): Promise<DashboardState> {
  const response = await fetch(new URL('/api/state', url));
  assert.equal(response.headers.get('content-type'), 'application/json');
  // Test code: the server's own document, whose parts the test compares one by one.
  return (await response.json()) as DashboardState;
}

test('the daemon shows what happens on real connections, and nothing of files or keys', async (t) => {
  const upstream = await echoServer(t);
  const daemon = await startDaemon(t, {
    config: {
      metrics: { address: '127.0.0.1:0', dashboard: true },
      workers: 2,
      targetGroups: [uncheckedGroup('web', [upstream.address])],
      clients: [{ clientId: 'alice', allowedTargetGroup: 'web', limits: { connectionRate: { limit: 3, window: '1d' } } }],
    },
  });
  const url = await dashboardOf(daemon);
  const held = connectTo(t, daemon, await daemon.ca.issue({ cn: 'alice' }));
  await roundTrip(held, 'hello');
  await connectTo(t, daemon, await daemon.ca.issue({ cn: 'mallory' })).ending;
  await daemon.waitForLog(({ reason }) => reason === 'unknown_client');

  const state = await stateOf(url);
  assert.deepEqual(state.totals, { active: 1, accepted: 1, refused: 1, bytesUp: 6, bytesDown: 6 });
  assert.equal(state.refused.length, 1);
  assert.equal(state.refused[0]?.reason, 'unknown_client');
  const [listener] = state.listeners.shown;
  assert.deepEqual(listener, {
    name: 'default',
    address: daemon.listeners.get('default'),
    mode: 'TLS',
    isBehindProxy: false,
    targetGroup: null,
    ...{ active: 1, accepted: 1, refused: 1 },
  });
  assert.deepEqual(state.groups.shown, [{ name: 'web', algorithm: 'leastConnections', servers: 1, healthy: 1, active: 1, waiting: null }]);
  const [server] = state.servers.shown;
  assert.deepEqual(
    [server?.group, server?.address, server?.health, server?.active, server?.connected, server?.failed, server?.mode, server?.weight],
    ['web', upstream.address, 'healthy', 1, 1, 0, 'ready', 1],
  );
  const [client] = state.clients.shown;
  assert.deepEqual(client, {
    clientId: 'alice',
    targetGroups: ['web'],
    moreTargetGroups: 0,
    rate: { limit: 3, windowMs: 86_400_000, algorithm: client?.rate?.algorithm },
    headroom: 2,
    shadow: false,
    shadowed: [],
    upload: null,
    download: null,
    concurrentConnections: null,
    active: 1,
    accepted: 1,
    refused: [],
  });
  assert.deepEqual(
    state.events.map(({ group, to }) => [group, to]),
    [['web', 'healthy']],
  );
  const text = JSON.stringify(state);
  for (const secret of [daemon.folder, 'BEGIN', '.pem', '.key', '.crt']) assert.ok(!text.includes(secret), secret);
});

test('the page, its script and its style come from here and may use nothing else; nothing can be changed', async (t) => {
  const url = await scriptedDashboard(EMPTY_SNAPSHOT).serve(t);
  const answers: readonly [path: string, method: string, status: number, type: string][] = [
    ['/', 'GET', 200, 'text/html; charset=utf-8'],
    ['/?x=y', 'GET', 200, 'text/html; charset=utf-8'],
    ['/dashboard.js', 'GET', 200, 'text/javascript; charset=utf-8'],
    ['/plots.js', 'GET', 200, 'text/javascript; charset=utf-8'],
    ['/recent.js', 'GET', 200, 'text/javascript; charset=utf-8'],
    ['/tables.js', 'GET', 200, 'text/javascript; charset=utf-8'],
    ['/dashboard.css', 'GET', 200, 'text/css; charset=utf-8'],
    ['/api/state', 'GET', 200, 'application/json'],
    ['/', 'POST', 405, 'text/plain; charset=utf-8'],
    ['/', 'HEAD', 200, 'text/html; charset=utf-8'],
    ['/api/state', 'PUT', 405, 'text/plain; charset=utf-8'],
    ['/api/state', 'DELETE', 405, 'text/plain; charset=utf-8'],
    ['/dashboard.html', 'GET', 404, 'text/plain; charset=utf-8'],
    ['/api', 'GET', 404, 'text/plain; charset=utf-8'],
    ['/%2e%2e/dashboard.ts', 'GET', 404, 'text/plain; charset=utf-8'],
    ['/constructor', 'GET', 404, 'text/plain; charset=utf-8'],
  ];
  for (const [path, method, status, type] of answers) {
    const response = await fetch(new URL(path, url), { method });
    const text = await response.text();
    const headers = Object.fromEntries(response.headers);
    assert.deepEqual([response.status, headers['content-type']], [status, type], `${method} ${path}`);
    if (method === 'HEAD') assert.deepEqual([text, Number(headers['content-length']) > 0], ['', true]);
    assert.equal(headers['x-content-type-options'], 'nosniff');
    assert.equal(headers['referrer-policy'], 'no-referrer');
    const policy = headers['content-security-policy'] ?? '';
    assert.match(policy, /default-src 'none'.*frame-ancestors 'none'/);
    assert.doesNotMatch(policy, /unsafe|https?:|\*/);
    assert.doesNotMatch(text.replaceAll('http://www.w3.org/2000/svg', ''), /https?:\/\//, `${path} refers to somewhere else`);
  }
});

test('a page from elsewhere whose name points here reads nothing', async (t) => {
  const { port } = new URL(await scriptedDashboard(EMPTY_SNAPSHOT).serve(t));
  const statusOf = async (path: string, host: string) => {
    const asked = request({ host: '127.0.0.1', port, path, headers: { host } }).end();
    const [{ statusCode, headers }] = await once(asked, 'response');
    assert.match(String(headers['content-type']), statusCode === 421 ? /^text\/plain/ : /./);
    return statusCode;
  };
  for (const path of ['/', '/metrics', '/api/state', '/nothing']) assert.equal(await statusOf(path, `evil.example:${port}`), 421, path);
  for (const host of [`127.0.0.1:${port}`, `localhost:${port}`, 'lb.example.com'])
    assert.equal(await statusOf('/api/state', host), 200, host);
});

test('what clients are called stays what they are called', async (t) => {
  const names = ['<img src=x onerror=alert(1)>', '</script><script>', '"},{"clientId":"x', '\u2028', '\u001b[31m', '__proto__'];
  const clients = new Map(names.map((name) => [name, sampleClient(name, ['web'])]));
  const { clients: shown } = await stateOf(await scriptedDashboard({ ...EMPTY_SNAPSHOT, clients }).serve(t));
  assert.deepEqual(shown.shown.map(({ clientId }) => clientId).toSorted(), names.toSorted());
});

test('of many servers and clients, those that need somebody are shown, and the sums of the rest', async (t) => {
  const count = 10_000;
  const addresses = Array.from({ length: count }, (_, index) => `127.0.0.1:${20_000 + index}`);
  const clientIds = Array.from({ length: count }, (_, index) => `client-${String(index).padStart(5, '0')}`);
  const dashboard = scriptedDashboard({
    ...EMPTY_SNAPSHOT,
    targetGroups: new Map([['web', sampleGroup('web', addresses)]]),
    clients: new Map(clientIds.map((clientId) => [clientId, sampleClient(clientId, ['web'])])),
  });
  for (const address of addresses) dashboard.setHealth('web', address, 'healthy', 'connected');
  dashboard.setHealth('web', '127.0.0.1:29999', 'unhealthy', 'connection refused');
  const { slots, lane } = dashboard;
  lane.countRefused(slots.clientSlot('client-09999') ?? assert.fail(), 'rate_limited');
  lane.countFailed(slots.serverSlot('web', '127.0.0.1:29998') ?? assert.fail());

  const url = await dashboard.serve(t);
  const { servers, clients, events } = await stateOf(url);
  assert.deepEqual([servers.total, servers.shown.length, clients.total, clients.shown.length], [count, MAX_SHOWN, count, MAX_SHOWN]);
  assert.equal(servers.shown[0]?.address, '127.0.0.1:29999');
  assert.deepEqual(servers.rest, { healthy: count - MAX_SHOWN, active: 0, connected: 0, failed: 1 });
  assert.deepEqual(clients.shown.at(-1)?.refused, [{ reason: 'rate_limited', count: 1 }]);
  assert.deepEqual(clients.rest, { active: 0, accepted: 0, refused: 0 });
  assert.equal(events.length, 50);
  assert.equal(events[0]?.server, '127.0.0.1:29999');
});

test('without dashboard in the configuration there is no page', async (t) => {
  const daemon = await startDaemon(t, { config: { metrics: { address: '127.0.0.1:0' } } });
  const url = await dashboardOf(daemon);
  for (const path of ['/', '/api/state', '/dashboard.js']) assert.equal((await fetch(new URL(path, url))).status, 404, path);
});
