import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { RATE_ALGORITHMS } from '../../../../src/domain/model.ts';
import {
  isUnused,
  type LimitState,
  limitAt,
  limiterInForce,
  peekLimit,
  TERMS_WORDS,
} from '../../../../src/domain/ratelimit/limit-state.ts';
import { ruleOf } from '../../../../src/domain/ratelimit/rate-rule.ts';
import { rateOf } from './arrivals.ts';

const HOUR_MS = 3_600_000;
const NOW_MS = 50.5 * HOUR_MS;

function freshState(): LimitState {
  const cells: number[] = [];
  return {
    terms: new Float64Array(TERMS_WORDS),
    cells,
    fit: (words) => {
      while (cells.length < words) cells.push(0);
    },
  };
}

const hourly = (revision: number, algorithm: (typeof RATE_ALGORITHMS)[number], limit: number) =>
  limitAt(revision, ruleOf(rateOf(algorithm, limit, HOUR_MS)));

type Limit = ReturnType<typeof hourly>;

const admit = (state: LimitState, limit: Limit, nowMs = NOW_MS) => limiterInForce(state, limit, nowMs).admit(state.cells, nowMs).admitted;

function admitted(state: LimitState, limit: Limit, arrivals: number): number {
  return Array.from({ length: arrivals }, () => admit(state, limit)).filter(Boolean).length;
}

test('who still has the old rule decides by the new one, and counts in it', () => {
  const state = freshState();
  const [before, after] = [hourly(4, 'fixedWindow', 10), hourly(7, 'slidingWindowLog', 20)];
  assert.equal(admitted(state, before, 4), 4);
  assert.equal(admitted(state, after, 1), 1);
  assert.equal(admitted(state, before, 10), 10, 'more than the old limit');
  assert.equal(admitted(state, after, 20), 5);
  assert.equal(admitted(state, before, 1), 0);
});

test('a later revision of the same rule changes nothing, and one that knows it decides as before', () => {
  const state = freshState();
  assert.equal(admitted(state, hourly(4, 'tokenBucket', 10), 4), 4);
  const cells = Array.from(state.cells);
  assert.equal(peekLimit(state, hourly(9, 'tokenBucket', 10), NOW_MS).admitted, true);
  limiterInForce(state, hourly(9, 'tokenBucket', 10), NOW_MS);
  assert.deepEqual(Array.from(state.cells), cells);
  assert.equal(admitted(state, hourly(4, 'tokenBucket', 10), 10), 6);
});

test('whoever asks in whatever order, no more than the newest limit is admitted with what came before it', () => {
  const anyLimit = fc.tuple(fc.constantFrom(...RATE_ALGORITHMS), fc.integer({ min: 1, max: 20 }));
  fc.assert(
    fc.property(fc.array(anyLimit, { minLength: 1, maxLength: 4 }), fc.array(fc.nat(3), { maxLength: 60 }), (limits, askers) => {
      const state = freshState();
      const revised = limits.map(([algorithm, limit], index) => hourly(index + 1, algorithm, limit));
      let newest = 0;
      let count = 0;
      for (const asker of askers) {
        const index = Math.min(asker, revised.length - 1);
        newest = Math.max(newest, index);
        const limit = revised[index] ?? assert.fail();
        const peeked = peekLimit(state, limit, NOW_MS);
        const isAdmitted = admit(state, limit);
        assert.equal(peeked.admitted, isAdmitted, 'looking says what deciding does');
        if (!isAdmitted) continue;
        count++;
        assert.ok(count <= (limits[newest]?.[1] ?? 0), `${count} of ${JSON.stringify(limits[newest])}`);
      }
    }),
    { numRuns: 2000 },
  );
});

test('what was used up before a limit was edited is seen before anybody decides by the edit', () => {
  for (const from of RATE_ALGORITHMS) {
    for (const to of RATE_ALGORITHMS) {
      const state = freshState();
      admitted(state, hourly(1, from, 10), 6);
      const before = [Array.from(state.terms), Array.from(state.cells)];
      assert.deepEqual(peekLimit(state, hourly(2, to, 15), NOW_MS + 1), { admitted: true, remaining: 9 }, `${from} to ${to}`);
      assert.deepEqual([Array.from(state.terms), Array.from(state.cells)], before, 'looking changes nothing');
    }
  }
});

test('a state is unused until somebody is admitted, and again when everything has come back', () => {
  for (const algorithm of RATE_ALGORITHMS) {
    const state = freshState();
    assert.equal(isUnused(state, NOW_MS), true);
    admitted(state, hourly(1, algorithm, 10), 1);
    assert.equal(isUnused(state, NOW_MS), false, algorithm);
    assert.equal(isUnused(state, NOW_MS + 2 * HOUR_MS), true, algorithm);
  }
});
