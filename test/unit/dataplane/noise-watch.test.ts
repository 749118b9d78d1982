import assert from 'node:assert/strict';
import { test } from 'node:test';
import { NoiseWatch } from '../../../src/dataplane/noise-watch.ts';

function watchAfter(noiseAtMs: readonly number[]): NoiseWatch {
  const watch = new NoiseWatch();
  for (const at of noiseAtMs) watch.count(at);
  return watch;
}

const SEVEN = [0, 1, 2, 3, 4, 5, 6];

for (const { what, noiseAtMs, nowMs, expected } of [
  { what: 'before there was any', noiseAtMs: [], nowMs: 0, expected: false },
  { what: 'after seven in a second', noiseAtMs: SEVEN, nowMs: 7, expected: false },
  { what: 'after an eighth in the same second', noiseAtMs: [...SEVEN, 999], nowMs: 999, expected: true },
  { what: 'after an eighth in the next second', noiseAtMs: [...SEVEN, 1_000], nowMs: 1_000, expected: false },
  { what: 'one a second for long', noiseAtMs: Array.from({ length: 100 }, (_, index) => index * 1_000), nowMs: 99_000, expected: false },
  { what: 'shortly before ten seconds are over', noiseAtMs: [...SEVEN, 7], nowMs: 10_006, expected: true },
  { what: 'ten seconds later', noiseAtMs: [...SEVEN, 7], nowMs: 10_007, expected: false },
  { what: 'ten seconds after the last of many', noiseAtMs: [...SEVEN, 7, 900], nowMs: 10_007, expected: true },
]) {
  test(`noise is ${expected ? '' : 'not '}expected ${what}`, () => {
    assert.equal(watchAfter(noiseAtMs).isNoiseExpected(nowMs), expected);
  });
}
