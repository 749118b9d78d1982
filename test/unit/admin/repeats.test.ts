import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Repeats } from '../../../src/admin/repeats.ts';

/** Time that passes when the test says so. */
function clock() {
  const due: { atMs: number; run: () => void }[] = [];
  let nowMs = 0;
  return {
    nowMs: () => nowMs,
    schedule: (run: () => void, ms: number) => {
      const timer = { atMs: nowMs + ms, run };
      due.push(timer);
      return { cancel: () => void due.splice(due.indexOf(timer), 1) };
    },
    pass: (ms: number) => {
      const endMs = nowMs + ms;
      for (;;) {
        const next = due.filter(({ atMs }) => atMs <= endMs).sort((a, b) => a.atMs - b.atMs)[0];
        if (next === undefined) break;
        due.splice(due.indexOf(next), 1);
        nowMs = next.atMs;
        next.run();
      }
      nowMs = endMs;
    },
    waiting: () => due.length,
  };
}

function repeats() {
  const time = clock();
  const told: string[] = [];
  const counted = new Repeats<string>(
    ({ last, count, sinceMs }) => told.push(`${last} x${count} since ${sinceMs}`),
    time.schedule,
    time.nowMs,
  );
  return { time, told, counted };
}

const MINUTE = 60_000;

test('the first is news, and the same again is told at the end of the minute with its number', () => {
  const { time, told, counted } = repeats();
  assert.equal(counted.isNews('eve', 'GetState', 'first'), true);
  assert.equal(counted.isNews('eve', 'GetState', 'second'), false);
  assert.equal(counted.isNews('eve', 'GetState', 'third'), false);
  assert.equal(counted.isNews('eve', 'ListClients', 'other'), true);
  assert.equal(counted.isNews('mallory', 'GetState', 'hers'), true, 'by somebody else');
  assert.deepEqual(told, []);
  time.pass(MINUTE);
  assert.deepEqual(told, ['third x2 since 0']);
});

test('what goes on is counted for twice as long each time, up to an hour, and what has stopped is news again', () => {
  const { time, told, counted } = repeats();
  assert.equal(counted.isNews('eve', 'GetState', 'call'), true);
  for (let minute = 0; minute < 24 * 60; minute++) {
    assert.equal(counted.isNews('eve', 'GetState', 'call'), false);
    time.pass(MINUTE);
  }
  assert.ok(told.length >= 24 && told.length <= 24 + 8, `${told.length} entries in a day`);
  const total = told.map((line) => Number(/x(\d+)/.exec(line)?.[1])).reduce((sum, count) => sum + count, 0);
  time.pass(4 * 60 * MINUTE);
  assert.ok(total > 23 * 60, 'none is lost');
  assert.equal(time.waiting(), 0, 'nothing is kept of whoever is quiet');
  assert.equal(counted.isNews('eve', 'GetState', 'call'), true);
});

test('one actor is told of a hundred different ones, and the rest are a number', () => {
  const { time, told, counted } = repeats();
  const news = Array.from({ length: 1000 }, (_, index) => counted.isNews('eve', `request ${index}`, `request ${index}`)).filter(Boolean);
  assert.equal(news.length, 100);
  time.pass(MINUTE);
  assert.deepEqual(told, ['request 999 x900 since 0']);
});

test('a crowd of actors shares one bound when there are a thousand of them', () => {
  const { counted, time } = repeats();
  const news = Array.from({ length: 5000 }, (_, index) => counted.isNews(`actor ${index}`, 'GetState', '')).filter(Boolean);
  assert.equal(news.length, 1001);
  assert.equal(time.waiting(), 1001);
});

test('a flush tells what was counted and leaves no timer', () => {
  const { time, told, counted } = repeats();
  for (const item of ['a', 'b']) counted.isNews('eve', 'GetState', item);
  counted.flush();
  assert.deepEqual(told, ['b x1 since 0']);
  assert.equal(time.waiting(), 0);
});
