import assert from 'node:assert/strict';
import { describe, it, type TestContext } from 'node:test';
import { setImmediate as nextTurn } from 'node:timers/promises';
import type { ProbeResult } from '../../../src/controlplane/probes/look.ts';
import type { Probe } from '../../../src/controlplane/probes/probe.ts';
import type { HealthCheck } from '../../../src/domain/health-check.ts';
import type { ServerMode } from '../../../src/domain/model.ts';
import { watchHealth } from '../../support/health-watch.ts';
import { sampleGroup, sampleHealthCheck, sampleServer } from '../../support/sample-state.ts';

const check: HealthCheck = { ...sampleHealthCheck, intervalMs: 1000, maxIntervalMs: 4000, timeoutMs: 500 };
const web = (addresses: readonly string[], changes: Partial<HealthCheck> = {}) =>
  sampleGroup('web', addresses, { healthCheck: { ...check, ...changes } });
const SERVER = '127.0.0.1:8081';

const up: ProbeResult = { ok: true, cause: 'connected' };
const down: ProbeResult = { ok: false, cause: 'connection refused' };

describe('the health checker', () => {
  it('looks again after the interval, spread at first, then longer and longer while the server is down', async (t) => {
    const timers = fakeTimers(t);
    let looked = 0;
    let result = down;
    const probe: Probe = async () => {
      looked++;
      return result;
    };
    const watch = await watchHealth(t, [web([SERVER])], { probe, random: () => 0.5 });
    await watch.checker.start();
    const gaps: number[] = [];
    for (let probes = looked; gaps.length < 7; probes = looked) {
      let waited = 0;
      for (; looked === probes; waited += 100) await timers.advance(100);
      gaps.push(waited);
      if (gaps.length === 5) result = up;
    }
    assert.deepEqual(gaps, [500, 2000, 4000, 4000, 4000, 4000, 1000]);
  });

  it('leaves a server in maintenance alone with the health it had, and looks at it at once when that is over', async (t) => {
    const timers = fakeTimers(t);
    let looked = 0;
    let result = up;
    const probe: Probe = async () => {
      looked++;
      return result;
    };
    const watch = await watchHealth(t, [web([SERVER])], { probe, random: () => 0.5 });
    await watch.checker.start();
    const setMode = (mode: ServerMode) => watch.change({ kind: 'setUpstreamServer', group: 'web', server: sampleServer(SERVER, { mode }) });

    await setMode('maintenance');
    result = down;
    const before = looked;
    for (let turn = 0; turn < 100; turn++) await timers.advance(100);
    assert.equal(looked, before);
    assert.equal(watch.checker.statusOf('web', SERVER)?.health, 'healthy');

    await setMode('drain');
    await timers.advance(0);
    assert.equal(looked, before + 1, 'a draining server is looked at');
    assert.equal(watch.checker.statusOf('web', SERVER)?.health, 'unhealthy');
    for (let turn = 0; turn < 30; turn++) await timers.advance(100);
    assert.ok(looked > before + 1, 'again and again');
  });

  it('is early or late by at most a tenth of the interval', async (t) => {
    const timers = fakeTimers(t);
    for (const [random, gap] of [
      [0, 900],
      [0.9999, 1100],
    ] as const) {
      let looked = 0;
      const probe: Probe = async () => {
        looked++;
        return up;
      };
      const watch = await watchHealth(t, [web([SERVER])], { probe, random: () => random });
      await watch.checker.start();
      while (looked < 2) await timers.advance(10);
      let waited = 0;
      for (; looked < 3; waited += 10) await timers.advance(10);
      assert.equal(waited, gap);
      watch.checker.stop();
    }
  });

  it('counts a probe that breaks as failed, says so, and goes on', async (t) => {
    const timers = fakeTimers(t);
    const outcomes: (() => Promise<ProbeResult>)[] = [
      async () => up,
      () => Promise.reject(new Error('rejected')),
      () => {
        throw new Error('thrown');
      },
      async () => up,
    ];
    let looked = 0;
    const probe: Probe = () => (outcomes[looked++] ?? (async () => up))();
    const watch = await watchHealth(t, [web([SERVER], { healthyThreshold: 1, maxIntervalMs: 1000 })], { probe });
    await watch.checker.start();
    while (watch.events.length < 3) await timers.advance(100);
    assert.deepEqual(
      watch.events.map(({ to, cause }) => `${to}: ${cause}`),
      ['healthy: connected', 'unhealthy: the health check itself broke', 'healthy: connected'],
    );
    assert.equal(watch.logged.filter((line) => line.startsWith('warn a health check broke; it counts as failed')).length, 2);
  });

  it('keeps the time of a probe that does not', async (t) => {
    const timers = fakeTimers(t);
    const aborted: boolean[] = [];
    const probe: Probe = (_address, _check, signal) => {
      signal.addEventListener('abort', () => aborted.push(true));
      return new Promise(() => undefined);
    };
    const watch = await watchHealth(t, [web([SERVER])], { probe });
    const started = watch.checker.start();
    await timers.advance(499);
    assert.equal(watch.checker.statusOf('web', SERVER)?.health, 'unknown');
    await timers.advance(1);
    await started;
    assert.equal(watch.checker.statusOf('web', SERVER)?.lastProbe, 'timed out after 0.5s');
    assert.deepEqual(aborted, [true]);
  });

  it('looks at few servers at once when it starts, and at more of them at a bounded pace', async (t) => {
    const timers = fakeTimers(t);
    const looked: string[] = [];
    const probe: Probe = async ({ address }) => {
      looked.push(address.host);
      return up;
    };
    const hosts = Array.from({ length: 300 }, (_, index) => `10.0.${index >> 8}.${index & 255}`);
    const addresses = hosts.map((host) => `${host}:80`);
    const watch = await watchHealth(t, [web(addresses, { intervalMs: 60_000, maxIntervalMs: 60_000 })], { probe, random: () => 0.9 });
    const started = watch.checker.start();
    await timers.advance(0);
    assert.equal(looked.length, 64);
    assert.equal(watch.checker.statusOf('web', addresses[64] ?? '')?.health, 'unknown');
    for (let step = 0; step < 20; step++) await timers.advance(50);
    await started;
    assert.equal(looked.length, 64 + 200, 'start waits for a second');
    for (let step = 0; step < 4; step++) await timers.advance(50);
    assert.deepEqual(looked, hosts, 'each once, in their order');
    await timers.advance(50);
    await watch.change({ kind: 'addUpstreamServer', group: 'web', server: sampleServer(SERVER) });
    await timers.advance(0);
    assert.equal(looked.length, 301, 'one that comes later is looked at when it comes');
  });

  it('looks at a server that is added before the many that still wait to be looked at, silent ones too', async (t) => {
    const timers = fakeTimers(t);
    const looked: string[] = [];
    const probe: Probe = ({ address }) => {
      looked.push(`${address.host}:${address.port}`);
      return new Promise(() => undefined);
    };
    const many = Array.from({ length: 3000 }, (_, index) => `10.0.${index >> 8}.${index & 255}:80`);
    const watch = await watchHealth(t, [web(many, { timeoutMs: 1000, maxIntervalMs: 60_000 })], { probe });
    void watch.checker.start();
    for (let step = 0; step < 100; step++) await timers.advance(50);
    // So many time out each second, and those that go over to them wait behind each other.
    assert.ok(looked.length < many.length);
    await watch.change({ kind: 'addUpstreamServer', group: 'web', server: sampleServer(SERVER) });
    const before = looked.length;
    for (let waited = 0; !looked.includes(SERVER); waited += 50) {
      assert.ok(waited <= 1000, 'one turn of the pace, and the first probe that ends');
      await timers.advance(50);
    }
    assert.ok(looked.length - before < 300, `${looked.length - before} before it`);
  });

  it('does not pace servers that are not checked', async (t) => {
    const timers = fakeTimers(t);
    const addresses = Array.from({ length: 1000 }, (_, index) => `10.0.${index >> 8}.${index & 255}:80`);
    const watch = await watchHealth(t, [web(addresses, { type: 'none' })], { probe: async () => up });
    await watch.checker.start();
    await timers.advance(0);
    assert.ok(watch.checker.list().every(({ health }) => health === 'healthy'));
  });

  it('looks at a bounded number of servers at once, and at every one in the end', async (t) => {
    const timers = fakeTimers(t);
    const addresses = Array.from({ length: 1000 }, (_, index) => `10.0.${index >> 8}.${index & 255}:80`);
    const waiting: (() => void)[] = [];
    let most = 0;
    const probe: Probe = () =>
      new Promise((resolve) => {
        waiting.push(() => resolve(up));
        most = Math.max(most, waiting.length);
      });
    const watch = await watchHealth(t, [web(addresses, { timeoutMs: 60_000, intervalMs: 60_000, maxIntervalMs: 60_000 })], { probe });
    const started = watch.checker.start();
    for (let step = 0; step < 100; step++) await timers.advance(50);
    while (watch.events.length < addresses.length) {
      waiting.shift()?.();
      await nextTurn();
    }
    await started;
    assert.equal(most, 256);
    assert.ok(watch.checker.list().every(({ health }) => health === 'healthy'));
  });

  it('applies changed settings at once, and does not count what a probe under the old ones still finds', async (t) => {
    const asked: string[] = [];
    let answerOld: (result: ProbeResult) => void = () => undefined;
    const probe: Probe = (_address, { type }) => {
      asked.push(type);
      return type === 'tcp'
        ? new Promise((resolve) => {
            answerOld = resolve;
          })
        : Promise.resolve(up);
    };
    const watch = await watchHealth(t, [web([SERVER])], { probe });
    const started = watch.checker.start();
    await watch.change({ kind: 'replaceAll', listeners: [], targetGroups: [web([SERVER], { type: 'tls' })], clients: [], revocations: [] });
    await started;
    answerOld(down);
    await nextTurn();
    assert.deepEqual(asked, ['tcp', 'tls']);
    assert.equal(watch.checker.statusOf('web', SERVER)?.health, 'healthy');
    assert.deepEqual(watch.published, [`web ${SERVER} healthy`]);
  });

  it('leaves a server alone whose group changed in another way', async (t) => {
    let looked = 0;
    const probe: Probe = async () => {
      looked++;
      return up;
    };
    const watch = await watchHealth(t, [web([SERVER])], { probe });
    await watch.checker.start();
    await watch.change({
      kind: 'replaceAll',
      listeners: [],
      targetGroups: [{ ...web([SERVER]), retries: 1 }],
      clients: [],
      revocations: [],
    });
    await nextTurn();
    assert.equal(looked, 1);
    assert.equal(watch.events.length, 1);
  });

  it('counts a server as healthy at once when its group is no longer checked', async (t) => {
    const probe: Probe = async (_address, { type }) => (type === 'none' ? up : down);
    const watch = await watchHealth(t, [web([SERVER])], { probe });
    await watch.checker.start();
    await watch.change({
      kind: 'replaceAll',
      listeners: [],
      targetGroups: [web([SERVER], { type: 'none' })],
      clients: [],
      revocations: [],
    });
    await nextTurn();
    assert.deepEqual(watch.published, [`web ${SERVER} unhealthy`, `web ${SERVER} healthy`]);
  });

  it('does not look any more once it has been stopped', async (t) => {
    const timers = fakeTimers(t);
    let looked = 0;
    const probe: Probe = async () => {
      looked++;
      return up;
    };
    const watch = await watchHealth(t, [web([SERVER])], { probe });
    await watch.checker.start();
    watch.checker.stop();
    await watch.change({
      kind: 'replaceAll',
      listeners: [],
      targetGroups: [web([SERVER, '127.0.0.1:8082'])],
      clients: [],
      revocations: [],
    });
    for (let turn = 0; turn < 20; turn++) await timers.advance(1000);
    assert.equal(looked, 1);
    assert.deepEqual(watch.checker.list(), []);
  });
});

function fakeTimers(t: TestContext) {
  t.mock.timers.enable({ apis: ['setTimeout'] });
  return {
    /** Lets the time pass, and then what became due happen. */
    advance: async (ms: number) => {
      t.mock.timers.tick(ms);
      await nextTurn();
    },
  };
}
