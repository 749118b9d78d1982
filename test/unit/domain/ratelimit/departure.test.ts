import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { RATE_ALGORITHMS } from '../../../../src/domain/model.ts';
import { peekDeparture, takeDeparture } from '../../../../src/domain/ratelimit/departure.ts';
import { edit, limitAt, unusedState } from '../../../../src/domain/ratelimit/limit-state.ts';
import { ruleOf } from '../../../../src/domain/ratelimit/rate-rule.ts';
import { anyRate, arrivalTimes, REFERENCES, rateOf } from './arrivals.ts';

const UNBOUNDED = { maxDelayMs: Number.POSITIVE_INFINITY, mostWaiting: undefined };

describe('departures', () => {
  test('of a leaky bucket are its interval apart, whoever of those who share its state takes them', () => {
    fc.assert(
      fc.property(
        anyRate('leakyBucket').chain((rate) => fc.tuple(fc.constant(rate), arrivalTimes(rate.windowMs))),
        ([rate, times]) => {
          const rule = ruleOf({ ...rate, action: 'delay' });
          // Two who know the rule as it was at different revisions.
          const [older, newer] = [limitAt(1, rule, false), limitAt(2, rule, false)];
          const workers = [older, newer];
          const state = unusedState(older);
          const intervalMs = rate.windowMs / rate.limit;
          let previous = Number.NEGATIVE_INFINITY;
          for (const [index, nowMs] of times.entries()) {
            const limit = workers[index % 2] ?? assert.fail();
            const departure = takeDeparture(state, limit, UNBOUNDED, nowMs);
            assert.ok(typeof departure === 'number' && departure >= nowMs);
            const ideal = Math.max(nowMs, previous + intervalMs);
            assert.ok(Math.abs(departure - ideal) <= 1e-12 * ideal, `${departure}, and not ${ideal}`);
            previous = departure;
          }
        },
      ),
    );
  });

  for (const algorithm of RATE_ALGORITHMS) {
    test(`that are still to come do not keep anybody waiting once the rule is another ${algorithm}`, () => {
      const slow = limitAt(1, ruleOf({ ...rateOf('leakyBucket', 1, 8_000, 10), action: 'delay' }), false);
      const quick = limitAt(2, ruleOf({ ...rateOf(algorithm, 10, 1_000, 20), action: 'delay' }), false);
      const state = unusedState(slow);
      const nowMs = 1_000_000;
      for (let count = 0; count < 8; count++) takeDeparture(state, slow, UNBOUNDED, nowMs);
      const grown = edit(state, quick, nowMs + 1) ?? state;
      const bounds = { maxDelayMs: 60_000, mostWaiting: 20 };
      const seen = peekDeparture(grown, quick, bounds, nowMs + 1);
      const departure = takeDeparture(grown, quick, bounds, nowMs + 1);
      assert.equal(departure, seen);
      // Those that wait count as of now: no longer than a window of the new rule.
      assert.ok(typeof departure === 'number' && departure <= nowMs + 1 + 1_000, `${departure}`);
    });

    test(`of ${algorithm} are each admitted by its naive reading, in order`, () => {
      fc.assert(
        fc.property(
          anyRate(algorithm).chain((rate) => fc.tuple(fc.constant(rate), arrivalTimes(rate.windowMs))),
          ([rate, times]) => {
            // Whole numbers of milliseconds between admissions, which the naive reading needs to be exact.
            const whole = { ...rate, windowMs: rate.windowMs * rate.limit };
            const limit = limitAt(1, ruleOf({ ...whole, action: 'reset' }), false);
            const state = unusedState(limit);
            const taken: number[] = [];
            for (const nowMs of times.slice(0, 20)) {
              const seen = peekDeparture(state, limit, UNBOUNDED, nowMs);
              const departure = takeDeparture(state, limit, UNBOUNDED, nowMs);
              assert.equal(departure, seen);
              assert.ok(typeof departure === 'number' && departure >= Math.max(nowMs, taken.at(-1) ?? 0) - 1e-6);
              // The counter's opening times are no whole numbers.
              const at = Math.ceil(departure - 1e-6);
              assert.ok(REFERENCES[algorithm](whole, taken, at), `at ${at} after ${taken.join(', ')}`);
              taken.push(at);
            }
          },
        ),
      );
    });
  }

  test('are not given beyond the bounds, and then nothing is taken', () => {
    const limit = limitAt(1, ruleOf({ ...rateOf('leakyBucket', 3, 1000, 2), action: 'delay' }), false);
    const state = unusedState(limit);
    const take = (maxDelayMs: number, mostWaiting: number) => takeDeparture(state, limit, { maxDelayMs, mostWaiting }, 1000);
    assert.equal(take(1000, 2), 1000);
    assert.equal(take(300, 2), 'too_long');
    assert.equal(take(1000, 0), 'line_full');
    for (const waiting of [1, 2]) assert.ok(Math.abs(Number(take(1000, 2)) - (1000 + (waiting * 1000) / 3)) < 1e-6);
    assert.equal(take(10_000, 2), 'line_full');
    const last = takeDeparture(state, limit, { maxDelayMs: 10_000, mostWaiting: 2 }, 1400);
    assert.ok(Math.abs(Number(last) - 2000) < 1e-6, 'one has left by then');
  });
});
