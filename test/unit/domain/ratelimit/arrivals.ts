/** Random arrivals, and the most naive reading of each algorithm, in whole numbers only. */
import fc from 'fast-check';
import type { ConnectionRate, RateAlgorithm } from '../../../../src/domain/model.ts';

type WithBurst = ConnectionRate & { readonly burst: number };

export type Rate = Pick<WithBurst, 'algorithm' | 'limit' | 'windowMs' | 'burst'>;

export function rateOf(algorithm: RateAlgorithm, limit: number, windowMs: number, burst = limit): WithBurst {
  return { algorithm, limit, windowMs, burst, action: 'reset', maxDelayMs: 5000 };
}

/** Small limits, so that few arrivals reach them. */
export function anyRate(algorithm: RateAlgorithm): fc.Arbitrary<WithBurst> {
  const small = fc.integer({ min: 1, max: 8 });
  return fc
    .tuple(small, fc.integer({ min: 1, max: 50 }), small)
    .map(([limit, windowMs, burst]) => rateOf(algorithm, limit, windowMs, burst));
}

/** Times in order, from the origin of a clock or far from it: bursts, trickles and long silences. */
export function arrivalTimes(windowMs: number): fc.Arbitrary<number[]> {
  const gap = fc.oneof(fc.constant(0), fc.integer({ min: 0, max: 3 }), fc.integer({ min: 0, max: 3 * windowMs }));
  const origin = fc.oneof(fc.constant(0), fc.integer({ min: 0, max: 200 }), fc.integer({ min: 0, max: 10 ** 11 }));
  return fc.tuple(origin, fc.array(gap, { minLength: 1, maxLength: 60, size: 'max' })).map(([start, gaps]) => inOrder(start, gaps));
}

/** The same as a machine's clock gives them: with fractions, up to a machine that has been up for three years. */
export function fractionalTimes(windowMs: number): fc.Arbitrary<number[]> {
  const gap = fc.oneof(fc.constant(0), fc.double({ min: 0, max: 3 * windowMs, noNaN: true }));
  const origin = fc.oneof(fc.constant(0), fc.double({ min: 0, max: 10 ** 11, noNaN: true }));
  return fc.tuple(origin, fc.array(gap, { minLength: 1, maxLength: 60, size: 'max' })).map(([start, gaps]) => inOrder(start, gaps));
}

function inOrder(start: number, gaps: readonly number[]): number[] {
  let now = start;
  return gaps.map((gap) => {
    now += gap;
    return now;
  });
}

/** Whether an arrival at `now` is admitted, given the times of all that were admitted before it. */
export type Reference = (rate: Rate, admitted: readonly number[], now: number) => boolean;

export const REFERENCES: Readonly<Record<RateAlgorithm, Reference>> = {
  fixedWindow({ limit, windowMs }, admitted, now) {
    const window = Math.floor(now / windowMs);
    return admitted.filter((time) => Math.floor(time / windowMs) === window).length < limit;
  },
  slidingWindowCounter({ limit, windowMs }, admitted, now) {
    const window = Math.floor(now / windowMs);
    const inWindow = (index: number) => admitted.filter((time) => Math.floor(time / windowMs) === index).length;
    const stillCovered = windowMs - (now - window * windowMs);
    return inWindow(window - 1) * stillCovered + (inWindow(window) + 1) * windowMs <= limit * windowMs;
  },
  slidingWindowLog({ limit, windowMs }, admitted, now) {
    return admitted.filter((time) => time > now - windowMs).length < limit;
  },
  // In units of 1/windowMs tokens: the bucket gains `limit` of them each millisecond, and a connection costs `windowMs`.
  tokenBucket({ limit, windowMs, burst }, admitted, now) {
    let tokens = burst * windowMs;
    let last = 0;
    for (const time of [...admitted, now]) {
      tokens = Math.min(burst * windowMs, tokens + (time - last) * limit) - windowMs;
      last = time;
    }
    return tokens >= 0;
  },
  leakyBucket({ limit, windowMs, burst }, admitted, now) {
    let content = 0;
    let last = 0;
    for (const time of [...admitted, now]) {
      content = Math.max(0, content - (time - last) * limit) + windowMs;
      last = time;
    }
    return content <= burst * windowMs;
  },
};
