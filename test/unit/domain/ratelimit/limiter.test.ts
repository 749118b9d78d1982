import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { RATE_ALGORITHMS, type RateAlgorithm } from '../../../../src/domain/model.ts';
import { limiterFor } from '../../../../src/domain/ratelimit/algorithms.ts';
import type { RateLimiter } from '../../../../src/domain/ratelimit/limiter.ts';
import { ruleOf } from '../../../../src/domain/ratelimit/rate-rule.ts';
import { anyRate, arrivalTimes, fractionalTimes, REFERENCES, rateOf } from './arrivals.ts';

const freshCells = (limiter: RateLimiter) => new Float64Array(limiter.words);

function admittedOf(limiter: RateLimiter, cells: Float64Array, arrivals: number, nowMs: number): number {
  let admitted = 0;
  for (let arrival = 0; arrival < arrivals; arrival++) if (limiter.admit(cells, nowMs).admitted) admitted++;
  return admitted;
}

const withTimes = (algorithm: RateAlgorithm, times: (windowMs: number) => fc.Arbitrary<number[]>) =>
  anyRate(algorithm).chain((rate) => fc.tuple(fc.constant(rate), times(rate.windowMs)));

for (const algorithm of RATE_ALGORITHMS) {
  describe(algorithm, () => {
    test('admits what its naive reading admits', () => {
      fc.assert(
        fc.property(withTimes(algorithm, arrivalTimes), ([rate, times]) => {
          const limiter = limiterFor(rate);
          const cells = freshCells(limiter);
          const admitted: number[] = [];
          for (const now of times) {
            const expected = REFERENCES[algorithm](rate, admitted, now);
            assert.equal(limiter.admit(cells, now).admitted, expected, `at ${now} after ${admitted.join(', ')}`);
            if (expected) admitted.push(now);
          }
        }),
        { numRuns: 500 },
      );
    });

    test('peeking gives the same verdict and changes nothing, nor does being refused', () => {
      fc.assert(
        fc.property(withTimes(algorithm, fractionalTimes), ([rate, times]) => {
          const limiter = limiterFor(rate);
          const cells = freshCells(limiter);
          for (const now of times) {
            const before = cells.slice();
            const seen = limiter.peek(cells, now);
            assert.deepEqual(cells, before);
            const verdict = limiter.admit(cells, now);
            assert.deepEqual(verdict, seen.admitted ? { admitted: true, remaining: seen.remaining - 1 } : seen);
            if (!verdict.admitted) assert.deepEqual(cells, before);
          }
        }),
      );
    });

    test('after the told wait, on a clock with fractions, a refused arrival is admitted', () => {
      fc.assert(
        fc.property(withTimes(algorithm, fractionalTimes), ([rate, times]) => {
          const limiter = limiterFor(rate);
          const cells = freshCells(limiter);
          for (const now of times) {
            const verdict = limiter.admit(cells, now);
            if (verdict.admitted) continue;
            assert.ok(verdict.retryAfterMs > 0);
            assert.equal(limiter.admit(cells.slice(), now + verdict.retryAfterMs).admitted, true);
          }
        }),
        { numRuns: 500 },
      );
    });

    test('before the told wait is over it is not', () => {
      fc.assert(
        fc.property(withTimes(algorithm, arrivalTimes), ([rate, times]) => {
          const limiter = limiterFor(rate);
          const cells = freshCells(limiter);
          for (const now of times) {
            const verdict = limiter.admit(cells, now);
            if (verdict.admitted) continue;
            for (const early of [0, 0.5, 0.99]) {
              assert.equal(limiter.peek(cells, now + verdict.retryAfterMs * early).admitted, false);
            }
          }
        }),
      );
    });

    test('says how many more it would admit at once', () => {
      fc.assert(
        fc.property(withTimes(algorithm, arrivalTimes), ([rate, times]) => {
          const limiter = limiterFor(rate);
          const cells = freshCells(limiter);
          for (const now of times) {
            const verdict = limiter.admit(cells, now);
            if (verdict.admitted) assert.equal(verdict.remaining, admittedOf(limiter, cells.slice(), 20, now));
          }
        }),
      );
    });

    test('begins with nothing used, wherever the clock begins', () => {
      for (const now of [0, 0.25, 1e-9, 12_345.678, 10 ** 12 + 0.5, 2 ** 52]) {
        const limiter = limiterFor(rateOf(algorithm, 5, 1000));
        assert.equal(admittedOf(limiter, freshCells(limiter), 20, now), 5, `at ${now}`);
      }
    });

    test('gives everything back after a long silence', () => {
      const limiter = limiterFor(rateOf(algorithm, 5, 1000));
      const cells = freshCells(limiter);
      assert.equal(admittedOf(limiter, cells, 20, 10_000), 5);
      assert.equal(admittedOf(limiter, cells, 20, 13_000), 5);
    });

    test('takes an arrival whose clock was read a little before the last as no earlier than it', () => {
      const limiter = limiterFor(rateOf(algorithm, 5, 1000));
      const cells = freshCells(limiter);
      assert.equal(admittedOf(limiter, cells, 5, 6000), 5);
      assert.equal(limiter.admit(cells, 5999.9).admitted, false);
    });
  });
}

describe('twice the limit around a window boundary', () => {
  const burst = (algorithm: RateAlgorithm) => {
    const limiter = limiterFor(rateOf(algorithm, 10, 1000));
    const cells = freshCells(limiter);
    return [admittedOf(limiter, cells, 20, 5999), admittedOf(limiter, cells, 20, 6000), admittedOf(limiter, cells, 20, 6500)];
  };

  for (const [algorithm, expected] of [
    ['fixedWindow', [10, 10, 0]],
    ['slidingWindowCounter', [10, 0, 5]],
    ['slidingWindowLog', [10, 0, 0]],
    ['tokenBucket', [10, 0, 5]],
    ['leakyBucket', [10, 0, 5]],
  ] as const) {
    test(`${algorithm}: 20 arrivals at 5999, 6000 and 6500 ms, 10 a second allowed: ${expected.join(', ')} admitted`, () => {
      assert.deepEqual(burst(algorithm), expected);
    });
  }
});

test('the sliding log never admits more than the limit in any window', () => {
  fc.assert(
    fc.property(withTimes('slidingWindowLog', fractionalTimes), ([rate, times]) => {
      const limiter = limiterFor(rate);
      const cells = freshCells(limiter);
      const admitted = times.filter((now) => limiter.admit(cells, now).admitted);
      admitted.forEach((time, index) => {
        const next = admitted[index + rate.limit];
        if (next !== undefined) assert.ok(next >= time + rate.windowMs);
      });
    }),
  );
});

test('the sliding log keeps its times in order when a clock is read late', () => {
  const limiter = limiterFor(rateOf('slidingWindowLog', 3, 1000));
  const cells = freshCells(limiter);
  for (const now of [5000, 4999.5]) limiter.admit(cells, now);
  assert.deepEqual(limiter.admit(cells, 5999.7), { admitted: true, remaining: 0 });
});

test('a bucket lets a burst through at once and then the steady rate', () => {
  for (const algorithm of ['tokenBucket', 'leakyBucket'] as const) {
    const limiter = limiterFor(rateOf(algorithm, 10, 1000, 3));
    const cells = freshCells(limiter);
    assert.equal(admittedOf(limiter, cells, 20, 777), 3);
    assert.deepEqual(limiter.peek(cells, 777), { admitted: false, retryAfterMs: 100 });
    for (let now = 877; now < 20_000; now += 100) assert.equal(admittedOf(limiter, cells, 2, now), 1, `at ${now}`);
  }
});

test('a leaky bucket that makes arrivals wait lets one out at a time, however many may wait', () => {
  const limiter = limiterFor(ruleOf({ ...rateOf('leakyBucket', 10, 1000, 50), action: 'delay' }));
  const cells = freshCells(limiter);
  for (let now = 1000; now < 5000; now += 100) assert.equal(admittedOf(limiter, cells, 5, now), 1, `at ${now}`);
});

test('a bucket whose rate is no whole number of milliseconds keeps its pace for a million connections', () => {
  const limiter = limiterFor(rateOf('tokenBucket', 3, 1000, 1));
  const cells = freshCells(limiter);
  const beginMs = 86_400_000.125;
  let now = beginMs;
  for (let connection = 0; connection < 1_000_000; connection++) {
    const verdict = limiter.peek(cells, now);
    if (!verdict.admitted) now += verdict.retryAfterMs;
    assert.equal(limiter.admit(cells, now).admitted, true);
  }
  assert.ok(Math.abs(now - beginMs - (999_999 * 1000) / 3) < 0.01);
});

test('the log takes one cell for each connection of its limit; the others take a few whatever the limit', () => {
  const words = RATE_ALGORITHMS.map((algorithm) => limiterFor(rateOf(algorithm, 1000, 1000)).words);
  assert.deepEqual(words, [2, 3, 1001, 3, 3]);
});
