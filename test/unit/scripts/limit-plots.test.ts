import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { test } from 'node:test';
import { AROUND_THE_BOUNDARY, decisionsOf, mostInAny, PLOTS } from '../../../scripts/limit-plots.ts';

const DOCS = path.join(import.meta.dirname, '../../../docs');

for (const [name, draw] of PLOTS) {
  test(`docs/images/${name} is what the limiters decide: node scripts/limit-plots.ts draws it anew`, () => {
    assert.equal(readFileSync(path.join(DOCS, 'images', name), 'utf8'), draw());
    assert.match(readFileSync(path.join(DOCS, 'limits.md'), 'utf8'), new RegExp(`\\(images/${name.replace('.', '\\.')}\\)`));
  });
}

test('around the boundary of two windows, fixedWindow lets twice the limit in at once, and the sliding windows do not', () => {
  const most = (ms: number) =>
    (['fixedWindow', 'slidingWindowCounter', 'slidingWindowLog'] as const).map((algorithm) =>
      mostInAny(ms, decisionsOf(algorithm, AROUND_THE_BOUNDARY)),
    );
  assert.deepEqual(most(200), [20, 10, 10]);
  // The counter takes the window before as evenly spread, and so lets more in over a whole second; the log does not.
  assert.deepEqual(most(1000), [20, 18, 10]);
});
