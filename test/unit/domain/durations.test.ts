import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { DURATION_PATTERN, formatDuration, parseDuration } from '../../../src/domain/durations.ts';

const table: readonly (readonly [string, number])[] = [
  ['250ms', 250],
  ['5s', 5000],
  ['1.5s', 1500],
  ['1h30m', 5_400_000],
  ['1d', 86_400_000],
  ['1d2h3m4s5ms', 93_784_005],
  ['0s', 0],
];

for (const [text, ms] of table) {
  test(`${text} is ${ms} ms`, () => assert.equal(parseDuration(text), ms));
}

for (const text of ['', '5', '5 s', 's', '-5s', '5s5s', '5s1h', '1w', '5S', '0x5s', '5.5.5s', '1e3s', 'ms', '٥s']) {
  test(`${JSON.stringify(text)} is refused`, () => assert.notEqual(typeof parseDuration(text), 'number'));
}

test('a bare number is told to take a unit', () => {
  assert.deepEqual(parseDuration('30'), { problem: 'add a unit: 30s or 30ms' });
});

test('a part of a millisecond is refused', () => {
  assert.deepEqual(parseDuration('0.5ms'), { problem: 'the smallest unit is one whole millisecond' });
});

test('what is written is read back, and fits the published pattern', () => {
  fc.assert(
    fc.property(fc.integer({ min: 0, max: 100 * 86_400_000 }), (ms) => {
      const text = formatDuration(ms);
      assert.equal(parseDuration(text), ms);
      assert.match(text, new RegExp(DURATION_PATTERN));
    }),
  );
});
