import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { RATE_ALGORITHMS } from '../../../../src/domain/model.ts';
import {
  edit,
  editUnseen,
  isUnused,
  type LimitState,
  limitAt,
  limiterInForce,
  peekLimit,
  unusedState,
} from '../../../../src/domain/ratelimit/limit-state.ts';
import { ruleOf } from '../../../../src/domain/ratelimit/rate-rule.ts';
import { rateOf } from './arrivals.ts';

const HOUR_MS = 3_600_000;
const NOW_MS = 50.5 * HOUR_MS;

const hourly = (revision: number, algorithm: (typeof RATE_ALGORITHMS)[number], limit: number) =>
  limitAt(revision, ruleOf(rateOf(algorithm, limit, HOUR_MS)), false);

type Limit = ReturnType<typeof hourly>;

/** With room for any rule here. */
const roomyState = (limit: Limit): LimitState => ({ terms: unusedState(limit).terms, cells: new Float64Array(100) });

const contentsOf = ({ terms, cells }: LimitState) => [Array.from(terms), Array.from(cells)];

const anyEdits = fc.array(fc.tuple(fc.constantFrom(...RATE_ALGORITHMS), fc.integer({ min: 1, max: 20 })), { minLength: 1, maxLength: 4 });
const revisions = (limits: readonly (readonly [(typeof RATE_ALGORITHMS)[number], number])[]) =>
  limits.map(([algorithm, limit], index) => hourly(index + 1, algorithm, limit));

const admit = (state: LimitState, limit: Limit, nowMs = NOW_MS) => limiterInForce(state, limit, nowMs).admit(state.cells, nowMs).admitted;

function admitted(state: LimitState, limit: Limit, arrivals: number): number {
  return Array.from({ length: arrivals }, () => admit(state, limit)).filter(Boolean).length;
}

test('who still has the old rule decides by the new one, and counts in it', () => {
  const [before, after] = [hourly(4, 'fixedWindow', 10), hourly(7, 'slidingWindowLog', 20)];
  const state = roomyState(before);
  assert.equal(admitted(state, before, 4), 4);
  assert.equal(admitted(state, after, 1), 1);
  assert.equal(admitted(state, before, 10), 10, 'more than the old limit');
  assert.equal(admitted(state, after, 20), 5);
  assert.equal(admitted(state, before, 1), 0);
});

test('a later revision of the same rule changes nothing, and one that knows it decides as before', () => {
  const state = unusedState(hourly(4, 'tokenBucket', 10));
  assert.equal(admitted(state, hourly(4, 'tokenBucket', 10), 4), 4);
  const cells = Array.from(state.cells);
  assert.equal(peekLimit(state, hourly(9, 'tokenBucket', 10), NOW_MS).admitted, true);
  limiterInForce(state, hourly(9, 'tokenBucket', 10), NOW_MS);
  assert.deepEqual(Array.from(state.cells), cells);
  assert.equal(admitted(state, hourly(4, 'tokenBucket', 10), 10), 6);
});

test('whoever asks in whatever order, no more than the newest limit is admitted with what came before it', () => {
  fc.assert(
    fc.property(anyEdits, fc.array(fc.nat(3), { maxLength: 60 }), (limits, askers) => {
      const revised = revisions(limits);
      const state = roomyState(revised[0] ?? assert.fail());
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
      const state = unusedState(hourly(1, from, 10));
      admitted(state, hourly(1, from, 10), 6);
      const before = contentsOf(state);
      assert.deepEqual(peekLimit(state, hourly(2, to, 15), NOW_MS + 1), { admitted: true, remaining: 9 }, `${from} to ${to}`);
      assert.deepEqual(contentsOf(state), before, 'looking changes nothing');
    }
  }
});

test('a state is unused until somebody is admitted, and again when everything has come back', () => {
  for (const algorithm of RATE_ALGORITHMS) {
    const state = unusedState(hourly(1, algorithm, 10));
    assert.equal(isUnused(state, NOW_MS), true);
    admitted(state, hourly(1, algorithm, 10), 1);
    assert.equal(isUnused(state, NOW_MS), false, algorithm);
    assert.equal(isUnused(state, NOW_MS + 2 * HOUR_MS), true, algorithm);
  }
});

test('an edit that needs more cells goes on in a state that has them, and leaves the one before as it is', () => {
  for (const from of RATE_ALGORITHMS) {
    for (const to of RATE_ALGORITHMS) {
      const state = unusedState(hourly(1, from, 10));
      admitted(state, hourly(1, from, 10), 6);
      const before = contentsOf(state);
      const next = edit(state, hourly(2, to, 15), NOW_MS);
      assert.equal(next !== undefined, to === 'slidingWindowLog', `${from} to ${to}`);
      assert.equal(admitted(next ?? state, hourly(2, to, 15), 20), 9, `${from} to ${to}`);
      if (next !== undefined) assert.deepEqual(contentsOf(state), before);
    }
  }
});

test('moving to other cells or not, what is admitted after an edit is the same', () => {
  fc.assert(
    fc.property(anyEdits, fc.array(fc.nat(12), { minLength: 4, maxLength: 4 }), (limits, arrivals) => {
      const revised = revisions(limits);
      const first = revised[0] ?? assert.fail();
      const roomy = roomyState(first);
      let tight = unusedState(first);
      for (const [index, limit] of revised.entries()) {
        tight = edit(tight, limit, NOW_MS) ?? tight;
        assert.equal(admitted(tight, limit, arrivals[index] ?? 0), admitted(roomy, limit, arrivals[index] ?? 0));
      }
    }),
    { numRuns: 500 },
  );
});

test('who knows a rule for which there are too few cells does not decide by it', () => {
  const state = unusedState(hourly(1, 'fixedWindow', 10));
  assert.throws(() => admit(state, hourly(2, 'slidingWindowLog', 10)), /no room for the rule of revision 2/);
});

test('a state that somebody else may be changing is edited later, or replaced by one with nothing left', () => {
  for (const from of RATE_ALGORITHMS) {
    for (const to of RATE_ALGORITHMS) {
      const state = unusedState(hourly(1, from, 10));
      admitted(state, hourly(1, from, 10), 6);
      const before = contentsOf(state);
      const next = editUnseen(state, hourly(2, to, 15), NOW_MS);
      assert.deepEqual(contentsOf(state), before, `${from} to ${to}`);
      if (next === undefined) {
        assert.equal(admitted(state, hourly(2, to, 15), 20), 9, `${from} to ${to}`);
        continue;
      }
      assert.equal(to, 'slidingWindowLog');
      assert.equal(admitted(next, hourly(2, to, 15), 20), 0, `${from} to ${to}`);
      assert.equal(peekLimit(next, hourly(3, 'fixedWindow', 40), NOW_MS).admitted, true);
      assert.equal(
        admitted(edit(next, hourly(3, to, 40), NOW_MS) ?? next, hourly(3, to, 40), 40),
        40 - 15 - 6,
        'nor is a later edit a refill',
      );
      assert.equal(admit(next, hourly(2, to, 15), NOW_MS + HOUR_MS + 1), true, 'everything comes back');
    }
  }
  const log = unusedState(hourly(1, 'slidingWindowLog', 1));
  assert.notEqual(editUnseen({ ...log, cells: [0, 0] }, hourly(2, 'tokenBucket', 5), NOW_MS), undefined, 'two cells are too few');
  const window = unusedState(hourly(1, 'fixedWindow', 10));
  admitted(window, hourly(1, 'fixedWindow', 10), 6);
  assert.ok((editUnseen(window, hourly(2, 'slidingWindowLog', 2), NOW_MS)?.cells.length ?? 0) > 6, 'a short log takes all over');
  assert.equal(editUnseen(log, hourly(2, 'slidingWindowLog', 1), NOW_MS), undefined, 'the same rule');
});
