import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setImmediate } from 'node:timers/promises';
import { EventFeed } from '../../../src/dataplane/event-feed.ts';
import type { ConnectionEvent, ConnectionEvents } from '../../../src/shared/messages.ts';

const event = (number: number): ConnectionEvent => ({
  kind: 'opened',
  atMs: number,
  connection: {
    id: `0-${number}`,
    number,
    listener: '',
    remote: '',
    via: '',
    clientId: '',
    identity: '',
    fingerprint: '',
    twins: [],
    group: '',
    server: '',
    openedAtMs: number,
    waiting: undefined,
    bytesFromClient: 0,
    bytesToClient: 0,
  },
});

test('nothing is made or told while nobody watches', async () => {
  const told: ConnectionEvents[] = [];
  const feed = new EventFeed(false, (events) => told.push(events));
  feed.add(() => assert.fail('made for nobody'));
  await setImmediate();
  assert.deepEqual(told, []);
});

test('the next batch waits until the last one was taken, and what had no room is counted', async () => {
  const told: ConnectionEvents[] = [];
  const feed = new EventFeed(true, (events) => told.push(events));
  for (let number = 1; number <= 10_003; number++) feed.add(() => event(number));
  await setImmediate();
  assert.equal(told.length, 1);
  assert.equal(told[0]?.lost, 3);
  feed.taken();
  assert.equal(told.length, 2);
  assert.equal(told[1]?.lost, 0);
  for (let taken = 0; taken < 100; taken++) feed.taken();
  const numbers = told.flatMap(({ events }) => events.map(({ connection }) => connection.number));
  assert.deepEqual(
    numbers,
    Array.from({ length: 10_000 }, (_, index) => index + 1),
  );
});

test('what is taken all at once is not told again', async () => {
  const told: ConnectionEvents[] = [];
  const feed = new EventFeed(true, (events) => told.push(events));
  feed.add(() => event(1));
  assert.equal(feed.takeAll().events.length, 1);
  await setImmediate();
  assert.deepEqual(told, []);
  feed.add(() => event(2));
  await setImmediate();
  assert.equal(told.length, 1);
});
