import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { durationJson, formatAge, formatDuration, fromDuration, parseDuration, toDuration } from '../../../cli/durations.ts';

const wholeMs = fc.integer({ min: 0, max: 400 * 86_400_000 });

test('what formatDuration writes, parseDuration reads', () => {
  fc.assert(fc.property(wholeMs, (ms) => assert.equal(parseDuration(formatDuration(ms)), ms)));
});

test('the contract carries a duration without loss', () => {
  fc.assert(fc.property(wholeMs, (ms) => assert.equal(fromDuration(toDuration(ms)), ms)));
});

test('reads the durations of the configuration file, and nothing else', () => {
  const read = { '5s': 5_000, '250ms': 250, '1m30s': 90_000, '1.5s': 1_500, '2h': 7_200_000, '1d': 86_400_000, '0s': 0 };
  for (const [text, ms] of Object.entries(read)) assert.equal(parseDuration(text), ms, text);
  for (const text of ['', '5', 's', '-5s', '5 s', '5sec', '1e3s', '.5s', '5s!']) assert.equal(parseDuration(text), undefined, text);
});

test('writes short durations with three digits', () => {
  assert.equal(formatDuration(0.73421), '0.734ms');
  assert.equal(formatDuration(12.345), '12.3ms');
  assert.equal(formatDuration(1_500), '1.5s');
});

test('tells an age in its two largest units', () => {
  const second = 1_000;
  assert.equal(formatAge(-5), '0s');
  assert.equal(formatAge(42.9 * second), '42s');
  assert.equal(formatAge(130 * second), '2m10s');
  assert.equal(formatAge(3 * 3_600 * second), '3h');
  assert.equal(formatAge((3 * 3_600 + 59) * second), '3h');
  assert.equal(formatAge((6 * 24 + 4) * 3_600 * second), '6d4h');
});

test('writes durations as proto3 JSON does', () => {
  assert.equal(durationJson(5n, 0), '5s');
  assert.equal(durationJson(0n, 250_000_000), '0.25s');
  assert.equal(durationJson(-1n, -500_000_000), '-1.5s');
});
