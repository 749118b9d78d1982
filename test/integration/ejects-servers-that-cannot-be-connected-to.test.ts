import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { DEFAULT_GROUP, DEFAULT_OUTLIER_DETECTION } from '../../src/domain/defaults.ts';
import type { TargetGroup } from '../../src/domain/model.ts';
import { createTestCa } from '../support/certificates.ts';
import { echoServer } from '../support/echo-servers.ts';
import { freePort } from '../support/free-port.ts';
import { type RunningBalancer, startBalancer } from '../support/running-balancer.ts';

interface Scene {
  readonly balancer: RunningBalancer;
  readonly good: string;
  readonly bad: string;
  /** Every event of the bad server so far, as `kind: cause`. */
  readonly events: readonly string[];
  /** What was so at each of these events: asked later, an ejection of some milliseconds may be over. */
  readonly facts: readonly { readonly ejectedUntilMs: number | undefined; readonly atMs: number }[];
  /** Resolves with the next event of the bad server that nobody has waited for. */
  next(): Promise<string>;
  /** One connection, there and back; gives the server that it came to, or why it was refused. */
  once(): Promise<string>;
  update(changes: Partial<TargetGroup>): Promise<void>;
  explained(): Promise<Readonly<Record<string, string>>>;
}

/** Two workers in front of a server that echoes and one that refuses. */
async function scene(
  t: TestContext,
  group: object,
  servers: (good: string, bad: string) => readonly unknown[] = (good, bad) => [bad, good],
): Promise<Scene> {
  const ca = await createTestCa();
  const certificate = await ca.issue({ cn: 'app' });
  const [echo, port] = [await echoServer(t), await freePort()];
  const [good, bad] = [echo.address, `127.0.0.1:${port}`];
  const targetGroups = [
    { name: 'web', algorithm: 'roundRobin', healthCheck: { type: 'none' }, upstreamServers: servers(good, bad), ...group },
  ];
  const balancer = await startBalancer(t, { ca, config: { targetGroups, clients: [{ clientId: 'app', allowedTargetGroup: 'web' }] } });
  const { lb } = balancer;
  const events: string[] = [];
  const facts: Scene['facts'][number][] = [];
  let seen = 0;
  let wake: () => void = () => undefined;
  lb.journal.subscribe(({ kind, server, cause }) => {
    if (server !== bad || kind === 'changed') return;
    events.push(`${kind}: ${cause}`);
    facts.push({ ejectedUntilMs: lb.outliers.statusOf('web', bad)?.ejectedUntilMs, atMs: Date.now() });
    wake();
  });
  return {
    balancer,
    good,
    bad,
    events,
    facts,
    next: async () => {
      while (events[seen] === undefined)
        await new Promise<void>((resolve) => {
          wake = resolve;
        });
      return events[seen++] ?? '';
    },
    once: async () => {
      const client = balancer.connect(t, { certificate });
      client.socket.on('error', () => undefined);
      client.socket.end('hello');
      const line = await balancer.nextLine();
      return line.reason === 'client_closed' ? (line.server ?? '') : line.reason;
    },
    update: async (changes) => {
      const before = lb.snapshot.targetGroups.get('web') ?? assert.fail('no group');
      const { revision: _, targetGroups: groups, clients, listeners, revocations } = lb.snapshot;
      assert.ok(groups.has('web'));
      await lb.execute({
        kind: 'replaceAll',
        listeners,
        targetGroups: [{ ...before, ...changes }],
        clients: [...clients.values()],
        revocations: [...revocations.values()],
      });
    },
    explained: async () => {
      const identity = { commonName: 'app', dnsNames: [], uriNames: [], organizationalUnits: [], fingerprint: '' };
      const listener = lb.listeners()[0]?.name ?? '';
      const explanation = await lb.explain({ peer: { kind: 'identity', identity }, listener, sni: undefined, alpn: undefined });
      return Object.fromEntries(
        (explanation?.candidates ?? []).map(({ server, usable, why }) => [server, `${usable ? 'in' : 'out'}: ${why}`]),
      );
    },
  };
}

test('a server is ejected at the failure that its group says, over two workers, and is back in time', { timeout: 60_000 }, async (t) => {
  const outlierDetection = { consecutiveFailures: 7, baseEjectionTime: '300ms', maxEjectionTime: '1s' };
  const { balancer, good, bad, events, facts, next, once, explained } = await scene(t, { outlierDetection });
  const { lb } = balancer;
  while (lb.stats.server('web', bad).failed < 6) assert.equal(await once(), good, 'another server took the connection');
  assert.deepEqual(events, []);
  assert.equal(lb.outliers.statusOf('web', bad)?.failuresInARow, 6, 'as counted over both workers');
  while (lb.stats.server('web', bad).failed < 7) await once();
  assert.equal(await next(), `ejected: 7 connects in a row failed, at last ${bad}: ECONNREFUSED`);
  assert.equal(await next(), 'returned: its time is over');
  assert.equal(lb.outliers.statusOf('web', bad)?.ejections, 1);
  const [ejected, returned] = facts;
  assert.ok(ejected?.ejectedUntilMs !== undefined && returned !== undefined);
  assert.ok(ejected.ejectedUntilMs <= ejected.atMs + 300);
  assert.ok(returned.atMs >= ejected.ejectedUntilMs - 50, 'the clocks of the day and of timers differ a little');
  assert.equal(returned.ejectedUntilMs, undefined);
  assert.equal(lb.stats.server('web', bad).failed, 7, 'and none while it was ejected');
  assert.equal((await explained())[bad], 'in: healthy');
  balancer.assertIdle();
});

test('a connect that succeeds ends the row of failures', { timeout: 60_000 }, async (t) => {
  const { balancer, bad, next, once } = await scene(t, { outlierDetection: { consecutiveFailures: 3 } });
  const { stats } = balancer.lb;
  const failTo = async (failed: number) => {
    while (stats.server('web', bad).failed < failed) await once();
  };
  await failTo(2);
  const back = await echoServer(t, { port: Number(bad.split(':')[1]) });
  while (stats.server('web', bad).connected === 0) await once();
  await back.close();
  await failTo(5);
  assert.equal(await next(), `ejected: 3 connects in a row failed, at last ${bad}: ECONNREFUSED`);
  assert.equal(stats.server('web', bad).failed, 5);
});

test('the last server that can be used is never ejected, and its connections are refused by itself', { timeout: 60_000 }, async (t) => {
  const policy = { consecutiveFailures: 2, maxEjectionPercent: 100 };
  const { balancer, events, bad, once } = await scene(t, { outlierDetection: policy }, (_, bad) => [bad]);
  for (let times = 0; times < 6; times++) assert.equal(await once(), 'upstream_connect_failed');
  assert.equal(balancer.lb.stats.server('web', bad).failed, 6);
  assert.deepEqual(events, []);
});

test('an ejection ends when no other server is left, when it is turned off, and when the server is set ready', {
  timeout: 60_000,
}, async (t) => {
  const outlierDetection = { consecutiveFailures: 1, baseEjectionTime: '1h' };
  const { balancer, good, bad, next, once, update, explained } = await scene(t, { outlierDetection });
  const { lb } = balancer;
  const ejected = `ejected: 1 connects in a row failed, at last ${bad}: ECONNREFUSED`;
  const eject = async () => {
    const { failed } = lb.stats.server('web', bad);
    while (lb.stats.server('web', bad).failed === failed) await once();
    assert.equal(await next(), ejected);
  };
  const set = (address: string, mode: 'ready' | 'drain') =>
    lb.execute({ kind: 'setUpstreamServer', group: 'web', server: { address, weight: 1, maxConnections: undefined, backup: false, mode } });

  await eject();
  await set(good, 'drain');
  assert.equal(await next(), 'returned: no other server of the group is left');
  await set(good, 'ready');

  await eject();
  await update({ connectTimeoutMs: 777 });
  assert.match((await explained())[bad] ?? '', /^out: ejected for another 3[56]\d\d s$/, 'another edit leaves it');
  const { failed: before } = lb.stats.server('web', bad);
  for (let times = 0; times < 4; times++) assert.equal(await once(), good);
  assert.equal(lb.stats.server('web', bad).failed, before, 'nobody dials it meanwhile');
  await set(bad, 'drain');
  await set(bad, 'ready');
  assert.equal(await next(), 'returned: set ready');

  await eject();
  await update({ outlierDetection: { ...DEFAULT_OUTLIER_DETECTION, consecutiveFailures: 0 } });
  assert.equal(await next(), 'returned: outlierDetection was turned off');
  const { failed } = lb.stats.server('web', bad);
  while (lb.stats.server('web', bad).failed < failed + 3) await once();
  assert.equal(lb.outliers.statusOf('web', bad)?.ejectedUntilMs, undefined);
  assert.equal(DEFAULT_GROUP.outlierDetection.consecutiveFailures, 5, 'the default is another');
});

test('in panic every server takes connections, the ejected too, until enough of them are well', { timeout: 60_000 }, async (t) => {
  const outlierDetection = { consecutiveFailures: 1, baseEjectionTime: '1h' };
  const { balancer, bad, next, once, update, explained } = await scene(t, { outlierDetection, panicThreshold: 51 });
  const { lb } = balancer;
  while (lb.stats.server('web', bad).failed === 0) await once();
  assert.match(await next(), /^ejected/);
  await balancer.until(() => lb.panic.isInPanic('web'));
  assert.equal((await explained())[bad], 'in: ejected, but the group is in panic');
  const { failed } = lb.stats.server('web', bad);
  while (lb.stats.server('web', bad).failed < failed + 2) await once();
  await update({ panicThreshold: 50 });
  await balancer.until(() => !lb.panic.isInPanic('web'));
  assert.match((await explained())[bad] ?? '', /^out: ejected/);
});
