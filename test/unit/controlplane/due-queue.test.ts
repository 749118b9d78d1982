import assert from 'node:assert/strict';
import { test } from 'node:test';
import { DueQueue } from '../../../src/controlplane/due-queue.ts';

/** A queue of which each item is under way until it is ended. */
function queueOf(mostAtOnce: number) {
  const begun: string[] = [];
  const ends = new Map<string, () => void>();
  const queue = new DueQueue<string>(mostAtOnce, (item) => {
    begun.push(item);
    return new Promise((resolve) => ends.set(item, resolve));
  });
  const end = async (item: string) => {
    ends.get(item)?.();
    await new Promise(setImmediate);
  };
  return { queue, begun, end };
}

test('what is due begins in its order, so many at once, and the rest as others end', async () => {
  const { queue, begun, end } = queueOf(2);
  for (const item of ['a', 'b', 'c', 'd']) queue.add(item);
  assert.deepEqual(begun, []);
  queue.run();
  assert.deepEqual(begun, ['a', 'b']);
  queue.run();
  assert.deepEqual(begun, ['a', 'b']);
  await end('b');
  assert.deepEqual(begun, ['a', 'b', 'c']);
  await end('a');
  assert.deepEqual(begun, ['a', 'b', 'c', 'd']);
});

test('what is taken back before its turn does not begin', async () => {
  const { queue, begun, end } = queueOf(1);
  for (const item of ['a', 'b', 'c']) queue.add(item);
  queue.run();
  queue.delete('b');
  await end('a');
  assert.deepEqual(begun, ['a', 'c']);
});

test('what is in the first line begins before all that waited in the last, each line in its order', async () => {
  const { queue, begun, end } = queueOf(1);
  for (const item of ['a', 'b', 'c']) queue.add(item);
  queue.run();
  queue.add('x', 'first');
  queue.add('c', 'first');
  queue.add('x');
  for (const item of ['a', 'x', 'c', 'b']) await end(item);
  assert.deepEqual(begun, ['a', 'x', 'c', 'b']);
});
