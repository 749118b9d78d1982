import assert from 'node:assert/strict';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { Worker } from 'node:worker_threads';
import { LimiterCells } from '../../../src/controlplane/limiter-cells.ts';
import { Slots } from '../../../src/controlplane/slots.ts';
import { Stats } from '../../../src/controlplane/stats.ts';
import { NO_LIMITS } from '../../../src/domain/defaults.ts';
import { type Client, type ConnectionRate, EMPTY_SNAPSHOT, RATE_ALGORITHMS } from '../../../src/domain/model.ts';
import { takeDeparture } from '../../../src/domain/ratelimit/departure.ts';
import { limitAt, limiterInForce } from '../../../src/domain/ratelimit/limit-state.ts';
import { ruleOf } from '../../../src/domain/ratelimit/rate-rule.ts';
import { apply, type Command } from '../../../src/domain/state.ts';
import { monotonicMs } from '../../../src/shared/clock.ts';
import { CellLock } from '../../../src/shared/memory/cell-lock.ts';
import { createSharedBuffers, MAX_CLIENTS, type SharedMemory } from '../../../src/shared/memory/layout.ts';
import { SharedLedger } from '../../../src/shared/memory/ledger.ts';
import type { Found } from '../../support/lock-waiter.ts';
import { sampleClient, sampleGroup } from '../../support/sample-state.ts';

const DAY_MS = 86_400_000;

const rateOf = (limit: number, algorithm: ConnectionRate['algorithm'] = 'fixedWindow'): ConnectionRate => ({
  algorithm,
  limit,
  windowMs: DAY_MS,
  burst: limit,
  action: 'reset',
  maxDelayMs: 0,
});

const clientWith = (clientId: string, connectionRate: ConnectionRate | undefined): Client =>
  sampleClient(clientId, ['web'], { limits: { ...NO_LIMITS, connectionRate } });

/** What a worker does that knows the limit from `revision` on. */
function use(cells: SharedMemory, rate: ConnectionRate, revision: number, arrivals: number, nowMs = monotonicMs()): number {
  const lock = new CellLock(cells);
  const limit = limitAt(revision, ruleOf(rate), false);
  const admit = () => lock.withLock(0, (state) => limiterInForce(state, limit, nowMs).admit(state.cells, nowMs).admitted) ?? false;
  return Array.from({ length: arrivals }, admit).filter(Boolean).length;
}

function follower() {
  const ledger = new SharedLedger(createSharedBuffers(1));
  const slots = new Slots(ledger);
  const stats = new Stats(ledger, slots);
  let snapshot = EMPTY_SNAPSHOT;
  return {
    change(command: Command): SharedMemory | undefined {
      snapshot = apply(snapshot, command);
      return slots.follow(snapshot).limiters.get('a');
    },
    revision: () => snapshot.revision,
    headroom: () => stats.rateHeadroom(snapshot.clients.get('a') ?? assert.fail('there is no client a')),
  };
}

test('what is left of a limit is right from the moment of an edit on, and after removing and adding it', () => {
  for (const algorithm of RATE_ALGORITHMS) {
    const { change, revision, headroom } = follower();
    const update = (rate: ConnectionRate | undefined) => change({ kind: 'updateClient', client: clientWith('a', rate) });
    change({ kind: 'addTargetGroup', group: sampleGroup('web') });
    const first = change({ kind: 'addClient', client: clientWith('a', rateOf(10)) }) ?? assert.fail();
    assert.equal(headroom(), 10);
    assert.equal(use(first, rateOf(10), revision(), 6), 6);
    assert.equal(headroom(), 4);
    const moved = update(rateOf(500, algorithm));
    assert.equal(moved !== undefined, algorithm === 'slidingWindowLog', 'of the others everybody has the cells already');
    assert.equal(headroom(), 494);
    const isLate = use(first, rateOf(10), revision() - 1, 1);
    assert.equal(isLate, moved === undefined ? 1 : 0, 'a worker that has not heard of it');
    const cells = moved ?? first;
    assert.equal(use(cells, rateOf(500, algorithm), revision(), 1 - isLate), 1 - isLate);
    assert.equal(headroom(), 493);
    update(rateOf(12, algorithm));
    assert.equal(headroom(), 5);
    update(undefined);
    assert.equal(headroom(), undefined);
    assert.equal(update(rateOf(8)), cells, 'the same cells, for workers that dropped them');
    assert.equal(headroom(), 1);
    change({ kind: 'removeClient', clientId: 'a' });
    assert.equal(change({ kind: 'addClient', client: clientWith('a', rateOf(9, algorithm)) }), cells);
    assert.equal(headroom(), 2);
  }
});

test('an edit takes effect when it is made, not when the next connection comes', () => {
  let nowMs = 50 * DAY_MS;
  const limiters = new LimiterCells(() => nowMs);
  const [slow, fast] = [rateOf(1), { ...rateOf(1, 'tokenBucket'), windowMs: 1000 }];
  const cells = limiters.follow(clientWith('a', slow), 1) ?? assert.fail();
  assert.equal(use(cells, slow, 1, 1, nowMs), 1);
  limiters.follow(clientWith('a', fast), 2);
  nowMs += 1001;
  assert.equal(use(cells, fast, 2, 1, nowMs), 1);
});

test('an edit does not wait for one who keeps the lock; the first who decides carries the count over', () => {
  const limiters = new LimiterCells(monotonicMs);
  const cells = limiters.follow(clientWith('a', rateOf(10)), 1) ?? assert.fail();
  assert.equal(use(cells, rateOf(10), 1, 10), 10);
  new CellLock(cells).withLock(0, () => assert.equal(limiters.follow(clientWith('a', rateOf(12, 'tokenBucket')), 2), undefined));
  assert.equal(use(cells, rateOf(12, 'tokenBucket'), 2, 5), 2);
});

test('cells that have moved admit nobody, whoever held or awaits their lock', { timeout: 120_000 }, async (t) => {
  const [bounded, log] = [rateOf(10), rateOf(12, 'slidingWindowLog')];
  const limiters = new LimiterCells(monotonicMs);
  const cells = limiters.follow(clientWith('a', bounded), 1) ?? assert.fail();
  assert.equal(use(cells, bounded, 1, 4), 4);
  const underTheLock = () => {
    const waiter = new Worker(new URL('../../support/lock-waiter.ts', import.meta.url), { workerData: cells });
    t.after(() => waiter.terminate());
    return { found: once(waiter, 'message'), moved: limiters.follow(clientWith('a', log), 2) ?? assert.fail('a log has no room in them') };
  };
  const { found, moved } = new CellLock(cells).withLock(0, underTheLock) ?? assert.fail();
  new CellLock(cells).releaseIfHeldBy(0);
  assert.deepEqual(await found, ['moved' satisfies Found]);
  assert.equal(use(cells, bounded, 1, 10), 0, 'the one who held the lock gave it back');
  assert.equal(use(moved, log, 2, 5), 0, 'what was counted meanwhile is not known, so nothing is left');
  assert.equal(limiters.all().get('a'), moved);
  const again = limiters.follow(clientWith('a', rateOf(20, 'slidingWindowLog')), 3) ?? assert.fail();
  assert.equal(use(moved, log, 2, 10), 0);
  assert.equal(use(again, rateOf(20, 'slidingWindowLog'), 3, 10), 20 - 12 - 4);
});

test('the cells of a limit that was removed move too when it is set again as a longer log', () => {
  const limiters = new LimiterCells(monotonicMs);
  const cells = limiters.follow(clientWith('a', rateOf(10)), 1) ?? assert.fail();
  assert.equal(use(cells, rateOf(10), 1, 4), 4);
  limiters.release('a');
  const moved = limiters.follow(clientWith('a', rateOf(12, 'slidingWindowLog')), 2) ?? assert.fail();
  assert.notEqual(moved, cells);
  assert.equal(use(cells, rateOf(10), 1, 6), 0);
  assert.equal(use(moved, rateOf(12, 'slidingWindowLog'), 2, 12), 8);
  assert.equal(limiters.all().get('a'), moved);
});

for (const algorithm of RATE_ALGORITHMS) {
  test(`a limit that is set again unchanged makes nobody wait for those who waited before it was removed ${algorithm}`, () => {
    let nowMs = 1_000_000;
    const limiters = new LimiterCells(() => nowMs);
    const rate: ConnectionRate = { algorithm, limit: 10, windowMs: 1_000, burst: 10, action: 'delay', maxDelayMs: 60_000 };
    const come = (cells: SharedMemory, revision: number) =>
      new CellLock(cells).withLock(0, (state) =>
        takeDeparture(state, limitAt(revision, ruleOf(rate), false), { maxDelayMs: rate.maxDelayMs, mostWaiting: undefined }, nowMs),
      );
    const cells = limiters.follow(clientWith('a', rate), 1) ?? assert.fail();
    const departures = Array.from({ length: 100 }, () => Number(come(cells, 1)));
    assert.ok(Number(departures.at(-1)) > nowMs + 7_000);
    nowMs += 100;
    limiters.release('a');
    const removedMs = nowMs;
    nowMs += 50;
    const again = Number(come(limiters.follow(clientWith('a', rate), 3) ?? assert.fail(), 3));
    assert.ok(again > nowMs, 'what was used stays used');
    assert.ok(again <= removedMs + 2 * rate.windowMs, `${again - removedMs} ms after the removal`);

    limiters.release('a');
    nowMs += 3 * rate.windowMs;
    assert.equal(come(limiters.follow(clientWith('a', rate), 5) ?? assert.fail(), 5), nowMs);
  });
}

for (const algorithm of RATE_ALGORITHMS) {
  for (const shadow of [true, false]) {
    test(`a limit makes nobody wait for departures that nobody waits for when its shadow ${shadow ? 'ends' : 'begins'}: ${algorithm}`, () => {
      let nowMs = 1_000_000;
      const limiters = new LimiterCells(() => nowMs);
      const rate: ConnectionRate = { algorithm, limit: 10, windowMs: 1_000, burst: 10, action: 'delay', maxDelayMs: 60_000 };
      const state = (revision: number, shadow: boolean) => {
        const limit = limitAt(revision, ruleOf(rate), shadow);
        const fresh = limiters.follow(sampleClient('a', ['web'], { limits: { ...NO_LIMITS, connectionRate: rate, shadow } }), revision);
        const lock = fresh === undefined ? limiters.lockOf('a') : new CellLock(fresh);
        return () =>
          Number(lock?.withLock(0, (state) => takeDeparture(state, limit, { maxDelayMs: rate.maxDelayMs, mostWaiting: undefined }, nowMs)));
      };
      const before = state(1, shadow);
      const departures = Array.from({ length: 100 }, before);
      assert.ok(Number(departures.at(-1)) > nowMs + 7_000);
      nowMs += 100;
      const after = state(2, !shadow);
      const next = after();
      assert.ok(next > nowMs, 'what was used stays used');
      assert.ok(next <= nowMs + 2 * rate.windowMs, `${next - nowMs} ms`);
      assert.ok(before() <= nowMs + 3 * rate.windowMs, 'nor does a worker that has not heard of it');
      nowMs += 5 * rate.windowMs;
      assert.equal(after(), nowMs);
    });
  }
}

test('ten thousand limited clients take next to no memory mappings', { skip: process.platform !== 'linux' }, () => {
  const mappings = () => readFileSync('/proc/self/maps', 'utf8').split('\n').length;
  const limiters = new LimiterCells(monotonicMs);
  const before = mappings();
  for (let index = 0; index < 10_000; index++) {
    limiters.follow(clientWith(`client-${index}`, rateOf(100, RATE_ALGORITHMS[index % RATE_ALGORITHMS.length])), 1);
  }
  assert.equal(limiters.all().size, 10_000);
  assert.ok(mappings() - before < 1000, `${mappings() - before} mappings`);
});

test('cells of removed limits are kept until they are as good as new', () => {
  let nowMs = 50 * DAY_MS;
  const limiters = new LimiterCells(() => nowMs);
  const followed = new Map<string, SharedMemory>();
  const add = (clientId: string) => {
    const cells = limiters.follow(clientWith(clientId, rateOf(10)), 1) ?? assert.fail();
    followed.set(clientId, cells);
    return cells;
  };
  const ids = Array.from({ length: 200 }, (_, index) => `client-${index}`);
  for (const id of ids) use(add(id), rateOf(10), 1, 1, nowMs);
  for (const id of ids) limiters.release(id);
  for (const id of ids) assert.equal(followed.get(id), add(id), id);
  assert.equal(limiters.all().size, ids.length);

  for (const id of ids) limiters.release(id);
  nowMs += 2 * DAY_MS;
  const newcomers = Array.from({ length: 500 }, (_, index) => `other-${index}`);
  for (const id of newcomers) {
    add(id);
    limiters.release(id);
  }
  const before = new Map(followed);
  assert.deepEqual(
    ids.filter((id) => before.get(id) === add(id)),
    [],
  );
});

test('there are never more cells than clients may be: those removed first are forgotten first', () => {
  const nowMs = 50 * DAY_MS;
  const limiters = new LimiterCells(() => nowMs);
  const add = (clientId: string) => limiters.follow(clientWith(clientId, rateOf(10)), 1) ?? assert.fail();
  const cells = Array.from({ length: MAX_CLIENTS + 2 }, (_, index) => {
    const id = `client-${index}`;
    const own = add(id);
    use(own, rateOf(10), 1, 1, nowMs);
    limiters.release(id);
    return own;
  });
  assert.equal(add(`client-${MAX_CLIENTS + 1}`), cells[MAX_CLIENTS + 1]);
  assert.equal(add('client-2'), cells[2]);
  assert.notEqual(add('client-0'), cells[0]);
});
