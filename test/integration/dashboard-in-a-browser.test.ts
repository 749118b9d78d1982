import assert from 'node:assert/strict';
import { test } from 'node:test';
import { NO_LIMITS } from '../../src/domain/defaults.ts';
import { EMPTY_SNAPSHOT, type Snapshot } from '../../src/domain/model.ts';
import { noChromium, openPage } from '../support/chromium.ts';
import { scriptedDashboard } from '../support/dashboard.ts';
import { sampleClient, sampleGroup, sampleListener, sampleServer } from '../support/sample-state.ts';

const HOSTILE = '<img src=x onerror="document.title=\'taken\'">';
const LONG = `${'long-name-of-a-client-'.repeat(11)}.example.com`;
const SERVERS = ['10.0.0.1:8443', '10.0.0.2:8443', '[2001:db8:1234:5678:9abc:def0:1234:5678]:65535'];

const state: Snapshot = {
  ...EMPTY_SNAPSHOT,
  revision: 7,
  listeners: [
    sampleListener('front'),
    sampleListener('inside', { tls: undefined, acceptProxyProtocol: ['10.0.0.0/8'], targetGroup: 'mail' }),
  ],
  targetGroups: new Map([
    ['web', sampleGroup('web', SERVERS)],
    ['mail', sampleGroup('mail', [], { servers: [sampleServer('10.1.0.1:25', { mode: 'drain', maxConnections: 10, backup: true })] })],
  ]),
  clients: new Map(
    [
      sampleClient('alice', ['web', 'mail'], {
        limits: {
          ...NO_LIMITS,
          connectionRate: { algorithm: 'tokenBucket', limit: 20, windowMs: 1_000, burst: 20, action: 'reset', maxDelayMs: 5_000 },
          concurrentConnections: 5,
        },
      }),
      sampleClient(HOSTILE, ['web']),
      sampleClient(LONG, ['web']),
    ].map((client) => [client.clientId, client]),
  ),
};

function running() {
  const dashboard = scriptedDashboard(state);
  for (const server of SERVERS) dashboard.setHealth('web', server, 'healthy', 'connected');
  const { lane, slots } = dashboard;
  const alice = slots.clientSlot('alice') ?? assert.fail();
  const server = slots.serverSlot('web', '10.0.0.1:8443') ?? assert.fail();
  lane.countRefused(alice, 'rate_limited');
  lane.countReason('rate_limited');
  lane.reserveClient(alice, 5);
  lane.countAccepted(alice);
  lane.countConnected(server);
  lane.countBytesUp(alice, server, 1_500);
  return { ...dashboard, alice, server };
}

const bodyOf = (id: string) => `document.getElementById('${id}').innerText`;

test('the page shows who there is, follows what changes, and takes no name for markup', { skip: noChromium ?? false }, async (t) => {
  const dashboard = running();
  const page = await openPage(t, await dashboard.serve(t));
  await page.until(`${bodyOf('clients')}.includes('alice')`);
  const shown = String(await page.evaluate('document.body.innerText'));
  for (const text of [...SERVERS, 'web', 'mail', HOSTILE, LONG, '● healthy', '○ unknown', 'drain, backup', '1 rate_limited', '20 in 1 s'])
    assert.ok(shown.includes(text), `${text} is not in\n${shown}`);
  assert.equal(await page.evaluate('document.images.length'), 0);
  assert.equal(await page.evaluate('document.title'), 'Portcullis');

  dashboard.setHealth('web', '10.0.0.2:8443', 'unhealthy', 'connection refused');
  dashboard.change({ ...state, revision: 8, clients: new Map([...state.clients, ['bob', sampleClient('bob', ['web'])]]) });
  for (let times = 0; times < 10; times++) dashboard.lane.countAccepted(dashboard.alice);
  dashboard.lane.countBytesUp(dashboard.alice, dashboard.server, 5_000_000);
  await page.until(`${bodyOf('clients')}.includes('bob')`);
  await page.until(`/10\\.0\\.0\\.2:8443[\\s\\S]*▲ UNHEALTHY[\\s\\S]*connection refused/.test(${bodyOf('servers')})`);
  assert.match(String(await page.evaluate(bodyOf('events'))), /UNHEALTHY[\s\S]*connection refused/);
  assert.match(String(await page.evaluate(bodyOf('about'))), /revision 8/);
  const listeners = String(await page.evaluate(bodyOf('listeners')));
  assert.match(listeners, /front\s+127\.0\.0\.1:8080\s+TLS\s+by route or client/);
  assert.match(listeners, /inside\s+127\.0\.0\.1:8080\s+plain, PROXY protocol\s+mail/);
  const lane = dashboard.lane.listeners;
  lane.countAccepted(dashboard.slots.listenerSlot('inside'));
  for (let times = 0; times < 3; times++) lane.countRefused(dashboard.slots.listenerSlot('inside'));
  // Served, accepted, refused since the start and in the last minute.
  await page.until(`/inside[\\s\\S]*\\b1\\s+1\\s+3\\s+3\\b/.test(${bodyOf('listeners')})`);
  // A plot has a point for each look after the first, and its own words.
  await page.until(`document.querySelector('#plots polyline').getAttribute('points').trim().split(' ').length >= 2`);
  assert.match(String(await page.evaluate(`document.querySelector('#plots svg').getAttribute('aria-label')`)), /^Connections per second: /);
  assert.equal(await page.evaluate(`[...document.querySelectorAll('svg')].some((svg) => svg.outerHTML.includes('NaN'))`), false);

  dashboard.change({ ...state, revision: 9, clients: new Map() });
  await page.until(`document.getElementById('clients-rest').textContent === 'There are none.'`);
  assert.deepEqual(page.errors, []);
  const origins = new Set(
    page.requests
      .map((url) => new URL(url))
      .filter(({ protocol }) => protocol !== 'data:')
      .map(({ origin }) => origin),
  );
  assert.equal(origins.size, 1, [...origins].join());
});

test('the page fits on a telephone and on everything wider, in light and in dark', { skip: noChromium ?? false }, async (t) => {
  const page = await openPage(t, await running().serve(t));
  for (const width of [1280, 1000, 700, 320, 400]) {
    await page.send('Emulation.setDeviceMetricsOverride', { width, height: 800, deviceScaleFactor: 2, mobile: true });
    await page.until(`innerWidth === ${width} && ${bodyOf('clients')}.includes('alice')`);
    assert.equal(await page.evaluate('document.scrollingElement.scrollWidth'), width);
  }
  // Nothing is cut off either; the headings of the columns are there for screen readers alone.
  const outside = `[...document.querySelectorAll('main *, header *')].filter((element) => {
    const { left, right, width, height } = element.getBoundingClientRect();
    return !element.closest('thead') && width > 1 && height > 1 && (left < 0 || right > 400.5);
  }).map((element) => element.outerHTML.slice(0, 200))`;
  assert.deepEqual(await page.evaluate(outside), []);

  const backgroundIn = async (scheme: string) => {
    await page.send('Emulation.setEmulatedMedia', { features: [{ name: 'prefers-color-scheme', value: scheme }] });
    return page.evaluate('getComputedStyle(document.body).backgroundColor');
  };
  assert.equal(await backgroundIn('light'), 'rgb(246, 247, 249)');
  assert.equal(await backgroundIn('dark'), 'rgb(18, 21, 26)');
  assert.deepEqual(page.errors, []);
});

test('a page that nobody sees asks for nothing, and asks at once when it is seen', { skip: noChromium ?? false }, async (t) => {
  const page = await openPage(t, await running().serve(t));
  await page.until(`${bodyOf('clients')}.includes('alice')`);
  const looks = () => page.requests.filter((url) => url.endsWith('/api/state')).length;
  // What the browser says of a page in the background, without the background's own delays.
  const seen = (hidden: boolean) =>
    page.evaluate(`Object.defineProperty(document, 'hidden', { value: ${hidden}, configurable: true });
      document.dispatchEvent(new Event('visibilitychange'));`);
  await seen(true);
  const before = looks();
  // Longer than the page waits between two looks, by its own clock.
  await page.evaluate('new Promise((resolve) => setTimeout(resolve, 2500))');
  assert.ok(looks() <= before + 1, 'a look that was under way may end, and no other begins');
  const hidden = looks();
  await seen(false);
  while (looks() === hidden) await page.evaluate('0');
  assert.deepEqual(page.errors, []);
});

test('the page says when the load balancer does not answer, and keeps what it last knew', { skip: noChromium ?? false }, async (t) => {
  const stops: (() => Promise<void> | void)[] = [];
  const url = await running().serve({ after: (stop) => void stops.push(stop as () => Promise<void>) });
  const page = await openPage(t, url);
  await page.until(`${bodyOf('clients')}.includes('alice')`);
  for (const stop of stops) await stop();
  await page.until(`${bodyOf('trouble')} === 'The load balancer does not answer.'`);
  assert.match(String(await page.evaluate(bodyOf('clients'))), /alice/);
});
