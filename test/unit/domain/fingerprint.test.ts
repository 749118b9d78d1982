import assert from 'node:assert/strict';
import { test } from 'node:test';
import { isFingerprint, plainFingerprint } from '../../../src/domain/fingerprint.ts';

const PAIRS = Array.from({ length: 32 }, (_, byte) => (byte * 8).toString(16).padStart(2, '0'));
const PLAIN = PAIRS.join('');

test('a fingerprint is the same however it is written', () => {
  for (const written of [PLAIN, PLAIN.toUpperCase(), PAIRS.join(':'), PAIRS.join(':').toUpperCase()]) {
    assert.equal(plainFingerprint(written), PLAIN);
  }
});

test('a fingerprint has 64 lower-case hex digits and nothing else', () => {
  assert.equal(isFingerprint(PLAIN), true);
  for (const other of ['', PLAIN.toUpperCase(), PAIRS.join(':'), PLAIN.slice(1), `${PLAIN}0`, `${PLAIN}\n`, `g${PLAIN.slice(1)}`]) {
    assert.equal(isFingerprint(other), false, JSON.stringify(other));
  }
});
