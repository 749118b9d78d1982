import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { RATE_ALGORITHMS, type RateAlgorithm } from '../../../../src/domain/model.ts';
import { limiterFor } from '../../../../src/domain/ratelimit/algorithms.ts';
import { carryOver } from '../../../../src/domain/ratelimit/carry-over.ts';
import type { Cells, RateLimiter } from '../../../../src/domain/ratelimit/limiter.ts';
import { type RateRule, ruleOf } from '../../../../src/domain/ratelimit/rate-rule.ts';
import { anyRate, arrivalTimes, REFERENCES, rateOf } from './arrivals.ts';

const HOUR_MS = 3_600_000;
/** Long after the origin of the clock, and in the middle of a window. */
const NOW_MS = 100 * HOUR_MS + HOUR_MS / 2;

const cellsOf = (limiter: RateLimiter) => new Float64Array(limiter.words);

const admittedOf = (limiter: RateLimiter, cells: Cells, times: readonly number[]) =>
  times.filter((now) => limiter.admit(cells, now).admitted);

/** How many a client can still have at once under `to`, after it had `used` under `from` a moment ago. */
function leftAfter(used: number, from: RateRule, ...edits: readonly RateRule[]): number {
  const before = limiterFor(from);
  let cells: Cells = cellsOf(before);
  let rule = from;
  let now = NOW_MS;
  assert.equal(admittedOf(before, cells, Array(used).fill(now)).length, used);
  for (const to of edits) {
    now += 1;
    cells = carryOver(rule, cells, to, now);
    rule = to;
  }
  return admittedOf(limiterFor(rule), cells, Array(100).fill(now + 1)).length;
}

const rule = (algorithm: RateAlgorithm, limit: number, windowMs = HOUR_MS, burst = limit) =>
  ruleOf(rateOf(algorithm, limit, windowMs, burst));

for (const from of RATE_ALGORITHMS) {
  describe(`what was used up under ${from}`, () => {
    for (const to of RATE_ALGORITHMS) {
      test(`stays used up under ${to}`, () => {
        assert.equal(leftAfter(10, rule(from, 10), rule(to, 10)), 0);
        assert.equal(leftAfter(4, rule(from, 10), rule(to, 10)), 6);
        assert.equal(leftAfter(0, rule(from, 10), rule(to, 10)), 10);
        assert.equal(leftAfter(10, rule(from, 10), rule(to, 15)), 5, 'limit up');
        assert.equal(leftAfter(7, rule(from, 10), rule(to, 5)), 0, 'limit down');
        assert.equal(leftAfter(2, rule(from, 10), rule(to, 5)), 3, 'limit down, with room');
        assert.equal(leftAfter(7, rule(from, 10), rule(to, 10, 3 * HOUR_MS)), 3, 'longer window');
        assert.equal(leftAfter(7, rule(from, 10), rule(to, 10, HOUR_MS / 3)), 3, 'shorter window');
      });

      test(`stays used up on the way to ${to} and back`, () => {
        assert.equal(leftAfter(10, rule(from, 10), rule(to, 10), rule(from, 10)), 0);
        assert.equal(leftAfter(6, rule(from, 10), rule(to, 12), rule(from, 10)), 4);
      });
    }
  });
}

for (const algorithm of RATE_ALGORITHMS) {
  test(`lowering a limit and raising it again is no refill, by way of ${algorithm} either`, () => {
    for (const first of RATE_ALGORITHMS) {
      assert.equal(leftAfter(20, rule(first, 20), rule(algorithm, 5), rule(first, 20)), 0, first);
      assert.equal(leftAfter(20, rule(first, 20), rule(algorithm, 3), rule(algorithm, 4), rule(first, 22)), 2, first);
    }
  });
}

test('a bucket that takes over more than it may have admitted is shut for one of its windows', () => {
  for (const to of [rule('tokenBucket', 2, 60_000, 1), rule('leakyBucket', 2, 60_000, 3)]) {
    const from = limiterFor(rule('fixedWindow', 1000));
    const cells = cellsOf(from);
    admittedOf(from, cells, Array(1000).fill(NOW_MS));
    const verdict = limiterFor(to).peek(carryOver(rule('fixedWindow', 1000), cells, to, NOW_MS), NOW_MS);
    assert.deepEqual(verdict, { admitted: false, retryAfterMs: 60_000 });
  }
});

test('a bucket that was drained for days is not held against a slower one for days', () => {
  const fast = rule('tokenBucket', 10, 1000);
  const limiter = limiterFor(fast);
  const cells = cellsOf(limiter);
  for (let now = NOW_MS; now < NOW_MS + HOUR_MS; now += 100) limiter.admit(cells, now);
  const slow = rule('tokenBucket', 1, 1000);
  const verdict = limiterFor(slow).peek(carryOver(fast, cells, slow, NOW_MS + HOUR_MS), NOW_MS + HOUR_MS);
  assert.ok(!verdict.admitted && verdict.retryAfterMs <= 1000, JSON.stringify(verdict));
});

test('a long log is handed on in few runs, none of them told as earlier than it was', () => {
  const log = limiterFor(rule('slidingWindowLog', 100_000));
  const cells = cellsOf(log);
  const times = Array.from({ length: 100_000 }, (_, index) => NOW_MS + index * 30);
  assert.equal(admittedOf(log, cells, times).length, times.length);
  const past = log.past(cells, NOW_MS + HOUR_MS);
  assert.ok(past.length <= 10_000, `${past.length} runs`);
  let oldest = times.length;
  for (const { count, newestMs } of past) {
    assert.equal(newestMs, times[oldest - 1]);
    oldest -= count;
  }
  assert.equal(oldest, 0, 'each is told once');
});

test('windows at other times count what was admitted in them, as late as it may have been', () => {
  const hourly = limiterFor(rule('fixedWindow', 10));
  const cells = cellsOf(hourly);
  admittedOf(hourly, cells, Array(10).fill(5 * HOUR_MS));
  const left = (to: RateRule, now: number) => limiterFor(to).peek(carryOver(rule('fixedWindow', 10), cells, to, now), now);
  const perMinute = rule('fixedWindow', 10, 60_000);
  assert.deepEqual(left(perMinute, 5.5 * HOUR_MS), { admitted: false, retryAfterMs: 60_000 });
  assert.deepEqual(left(perMinute, 6 * HOUR_MS), { admitted: true, remaining: 10 });
  assert.deepEqual(left(rule('slidingWindowCounter', 10), 6.5 * HOUR_MS), { admitted: true, remaining: 5 });
  assert.deepEqual(left(rule('fixedWindow', 10, 4 * HOUR_MS), 7.5 * HOUR_MS), { admitted: false, retryAfterMs: HOUR_MS / 2 });
});

interface Edit {
  readonly from: RateRule;
  readonly to: RateRule;
  readonly before: readonly number[];
  readonly atMs: number;
  readonly after: readonly number[];
}

/** Arrivals under one rule, then under another, within the first days of a clock, where fractions of it are exact enough to compare. */
const anyEdit: fc.Arbitrary<Edit> = fc
  .tuple(fc.constantFrom(...RATE_ALGORITHMS), fc.constantFrom(...RATE_ALGORITHMS))
  .chain(([from, to]) => fc.tuple(anyRate(from), anyRate(to)))
  .chain(([from, to]) => fc.tuple(fc.constant({ from, to }), arrivalTimes(Math.max(from.windowMs, to.windowMs)), fc.nat(59)))
  .map(([{ from, to }, times, split]) => {
    const origin = times[0] ?? 0;
    const near = times.map((time) => time - origin + (origin % 1000));
    const before = near.slice(0, split);
    return { from: ruleOf(from), to: ruleOf(to), before, atMs: before.at(-1) ?? 0, after: near.slice(split) };
  });

/** Of the admissions under a rule, those that its cells still know. */
const KNOWN: Readonly<Record<RateAlgorithm, (rule: RateRule, admitted: readonly number[]) => readonly number[]>> = {
  fixedWindow: ({ windowMs }, admitted) => inLastWindows(1, windowMs, admitted),
  slidingWindowCounter: ({ windowMs }, admitted) => inLastWindows(2, windowMs, admitted),
  slidingWindowLog: ({ limit }, admitted) => admitted.slice(-limit),
  tokenBucket: sinceFull,
  leakyBucket: sinceFull,
};

function inLastWindows(windows: number, windowMs: number, admitted: readonly number[]): readonly number[] {
  const window = (time: number) => Math.floor(time / windowMs);
  return admitted.filter((time) => window(time) > window(admitted.at(-1) ?? 0) - windows);
}

function sinceFull({ limit, windowMs }: RateRule, admitted: readonly number[]): readonly number[] {
  let first = 0;
  admitted.forEach((time, index) => {
    const refilled = (time - (admitted[first] ?? 0)) * limit;
    if (refilled >= (index - first) * windowMs) first = index;
  });
  return admitted.slice(first);
}

/** Whether a rule allows this admission beside the earlier ones, looking back for one window. */
const ALLOWED: typeof REFERENCES = { ...REFERENCES, tokenBucket: holdsBurst, leakyBucket: holdsBurst };

function holdsBurst({ limit, windowMs, burst }: RateRule, admitted: readonly number[], now: number): boolean {
  const all = [...admitted, now].filter((time) => time > now - windowMs);
  return all.every((since, index) => all.length - index <= burst + ((now - since) * limit) / windowMs + 1e-6);
}

test('with those admitted before the edit, a rule never admits more than it allows', () => {
  fc.assert(
    fc.property(anyEdit, ({ from, to, before, atMs, after }) => {
      const cells = cellsOf(limiterFor(from));
      const admitted = [...KNOWN[from.algorithm](from, admittedOf(limiterFor(from), cells, before))];
      const carried = carryOver(from, cells, to, atMs);
      const limiter = limiterFor(to);
      for (const now of after) {
        if (!limiter.admit(carried, now).admitted) continue;
        assert.ok(ALLOWED[to.algorithm](to, admitted, now), `at ${now} after ${admitted.join(', ')}`);
        admitted.push(now);
      }
    }),
    { numRuns: 5000 },
  );
});

test('an edit shuts a client out for two windows at most, and after a silence everything is there', () => {
  fc.assert(
    fc.property(anyEdit, ({ from, to, before, atMs }) => {
      const cells = cellsOf(limiterFor(from));
      admittedOf(limiterFor(from), cells, before);
      const limiter = limiterFor(to);
      const carried = carryOver(from, cells, to, atMs);
      assert.equal(limiter.peek(carried, atMs + 2 * to.windowMs + 1e-6).admitted, true);
      const laterMs = atMs + (2 + to.burst) * to.windowMs + 1;
      assert.deepEqual(limiter.peek(carried, laterMs), limiter.peek(cellsOf(limiter), laterMs));
    }),
    { numRuns: 1000 },
  );
});

test('an edit that leaves the rule as it is changes no verdict where windows are counted', () => {
  fc.assert(
    fc.property(anyEdit, ({ from, before, atMs, after }) => {
      if (from.burst > 0) return;
      const limiter = limiterFor(from);
      const cells = cellsOf(limiter);
      admittedOf(limiter, cells, before);
      const carried = carryOver(from, cells, from, atMs);
      for (const now of after) assert.deepEqual(limiter.admit(carried, now), limiter.admit(cells, now), `at ${now}`);
    }),
    { numRuns: 1000 },
  );
});
