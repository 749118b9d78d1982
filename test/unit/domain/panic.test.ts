import assert from 'node:assert/strict';
import { test } from 'node:test';
import { isInPanic } from '../../../src/domain/panic.ts';

/** Each letter is a server: w is well, d is down, and in capitals it is in drain, in maintenance or of weight 0. */
const servers = (letters: string) =>
  [...letters].map((letter) => ({ isWanted: letter === letter.toLowerCase(), isDown: letter.toLowerCase() === 'd' }));

for (const [letters, threshold, expected] of [
  ['dddd', 0, false],
  ['wwdd', 50, false],
  ['wddd', 50, true],
  ['dddd', 1, true],
  ['www', 100, false],
  ['wwd', 100, true],
  ['wDDD', 100, false],
  ['dWWW', 50, true],
  ['DDD', 50, false],
  ['', 50, false],
] as const) {
  test(`${letters || 'no servers'} with a threshold of ${threshold} % ${expected ? 'are' : 'are not'} in panic`, () =>
    assert.equal(isInPanic(servers(letters), threshold), expected));
}
