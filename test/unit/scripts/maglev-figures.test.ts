import assert from 'node:assert/strict';
import { test } from 'node:test';
import { disruption, evenness } from '../../../scripts/maglev-figures.ts';
import { tableSize } from '../../../src/domain/balancing/maglev.ts';

test('with more than a hundred entries a server, shares differ by a percent at most, as in the Maglev paper', () => {
  for (const [count, size] of [
    [10, 1009],
    [40, 4099],
    [160, 16_411],
    [655, 65_537],
    [1000, 655_373],
  ] as const) {
    const { above, below } = evenness(count, size);
    assert.ok(above <= 1.001 && below <= 1.001, `${count} servers: ${above} % above, ${below} % below`);
  }
});

test('when one server of many goes, few of the keys of the others move, and fewer in a larger table', () => {
  const [small, large] = [disruption(1000, 65_537, 1), disruption(1000, 655_373, 1)];
  assert.ok(small < 2, `${small} %`);
  assert.ok(large < small, `${large} %`);
});

test('the table grows with the servers, and no further than fits into a few milliseconds', () => {
  assert.deepEqual([1, 10, 11, 100, 655, 656, 16_384].map(tableSize), [1009, 1009, 4099, 16_411, 65_537, 65_537, 65_537]);
});
