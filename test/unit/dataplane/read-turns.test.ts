import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { setImmediate } from 'node:timers/promises';
import fc from 'fast-check';
import { COUNTED_BYTES, ReadTurns, TURN_BYTES } from '../../../src/dataplane/read-turns.ts';

const never = () => assert.fail('it was not told to wait');

describe('the turns of a worker', () => {
  it('are over once all together have read what one may hold, and begin anew', async () => {
    const turns = new ReadTurns();
    for (let read = COUNTED_BYTES; read < TURN_BYTES; read += COUNTED_BYTES) assert.ok(!turns.isOver(COUNTED_BYTES, never));
    let wentOn = 0;
    const goOn = () => wentOn++;
    for (let count = 0; count < 3; count++) assert.ok(turns.isOver(COUNTED_BYTES, goOn));
    assert.equal(wentOn, 0, 'in the same turn');
    await setImmediate();
    assert.equal(wentOn, 2, 'two a turn');
    assert.ok(!turns.isOver(COUNTED_BYTES, never));
    await setImmediate();
    assert.equal(wentOn, 3);
    // A turn that is left half full does not shorten the next.
    await setImmediate();
    assert.ok(!turns.isOver(TURN_BYTES - 1, never));
  });

  it('let everyone who waits go on once, in the order in which they came, within a bounded number of turns', async () => {
    await fc.assert(
      fc.asyncProperty(fc.integer({ min: 1, max: 500 }), async (count) => {
        const turns = new ReadTurns();
        turns.isOver(TURN_BYTES, () => undefined);
        const wentOn: number[] = [];
        for (let index = 0; index < count; index++) assert.ok(turns.isOver(1, () => wentOn.push(index)));
        let took = 0;
        for (; wentOn.length < count; took++) await setImmediate();
        assert.deepEqual(
          wentOn,
          Array.from({ length: count }, (_, index) => index),
        );
        // Each turn lets a sixteenth go on of those that are left, and at least two.
        assert.ok(took <= 16 * (1 + Math.log(Math.max(1, count / 16))) + 17, `${count} in ${took} turns`);
      }),
      { numRuns: 30 },
    );
  });
});
