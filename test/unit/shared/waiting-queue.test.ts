import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createQueueMemory, QueueLedger, WaitingQueue } from '../../../src/shared/memory/waiting-queue.ts';

const GROUPS = 3;

function twoLanes() {
  const memory = createQueueMemory(GROUPS, 2);
  const lane = (number: number) => new WaitingQueue(memory, number, GROUPS);
  return { lanes: [lane(0), lane(1)] as const, ledger: new QueueLedger(memory, GROUPS) };
}

test('a place that is given back calls the worker whose connection is first, and no other', async () => {
  const { lanes } = twoLanes();
  const [one, other] = lanes;
  const row = other.join(1, 7, 10) ?? assert.fail();
  one.join(1, 8, 10);
  assert.deepEqual([one.length(1), other.length(1), one.length(0)], [2, 2, 0]);
  const [seenByOne, seenByOther] = [one.calls, other.calls];
  const called = other.calledAfter(seenByOther);
  one.callFirst(1);
  await called;
  assert.equal(one.calls, seenByOne);
  assert.deepEqual(other.first(1), { row, isMine: true });
  assert.deepEqual(one.first(1), { row, isMine: false });
});

test('a call that came before the worker listened is not lost', async () => {
  const { lanes } = twoLanes();
  const seen = lanes[1].calls;
  lanes[1].join(0, 7, 10);
  lanes[0].callFirst(0);
  await lanes[1].calledAfter(seen);
});

test('where nobody waits nobody is called, and who leaves its turn calls the next', async () => {
  const { lanes } = twoLanes();
  const [one, other] = lanes;
  const before = [one.calls, other.calls];
  one.callFirst(0);
  assert.deepEqual([one.calls, other.calls], before);
  const row = one.join(0, 7, 10) ?? assert.fail();
  const second = other.join(0, 8, 10) ?? assert.fail();
  const third = one.join(0, 9, 10) ?? assert.fail();
  one.leave(0, third);
  assert.deepEqual([one.calls, other.calls], before, 'it was not the turn of the third');
  one.leave(0, row);
  assert.deepEqual([one.calls, other.calls], [before[0], (before[1] ?? 0) + 1]);
  other.serve(0, second);
  assert.equal(one.length(0), 0);
});

test('what a dead worker left is taken out, by the main thread or by its successor, and the others are called', () => {
  for (const by of ['main', 'successor'] as const) {
    const { lanes, ledger } = twoLanes();
    const [dead, other] = lanes;
    dead.join(2, 7, 10);
    dead.join(1, 7, 10);
    const row = other.join(2, 8, 10) ?? assert.fail();
    const calls = other.calls;
    if (by === 'main') ledger.releaseLane(0);
    else dead.clearLane();
    assert.deepEqual([ledger.length(1), ledger.length(2)], [0, 1]);
    assert.deepEqual(other.first(2), { row, isMine: true });
    assert.ok(other.calls > calls, by);
  }
});
