import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { CREDIT_MS, joinLine, LINE_WORDS, leaveLine, lineHeadroom, waitAt } from '../../../../src/domain/ratelimit/byte-line.ts';

const arrivals = fc.array(
  fc.record({
    afterMs: fc.oneof(fc.constant(0), fc.integer({ min: 0, max: 20 }), fc.integer({ min: 0, max: 2000 })),
    bytes: fc.integer({ min: 1, max: 65_536 }),
  }),
  { minLength: 1, maxLength: 60, size: 'max' },
);

/** When each chunk passes and how long it is, if everybody waits as long as told. */
function passages(bytesPerSecond: number, given: readonly { readonly afterMs: number; readonly bytes: number }[]) {
  const cells = new Float64Array(LINE_WORDS);
  const rule = { revision: 1, bytesPerSecond };
  let nowMs = 5000;
  return given.map(({ afterMs, bytes }) => {
    nowMs += afterMs;
    const place = joinLine(cells, rule, bytes, nowMs);
    return { atMs: nowMs + waitAt(cells, rule, place, nowMs), bytes };
  });
}

test('in any time, what passes is the rate, the credit and one chunk at most', () => {
  fc.assert(
    fc.property(fc.integer({ min: 1024, max: 10_000_000 }), arrivals, (bytesPerSecond, given) => {
      const passed = passages(bytesPerSecond, given);
      for (const [from, { atMs: fromMs }] of passed.entries()) {
        let bytes = 0;
        for (const { atMs, bytes: size } of passed.slice(from)) {
          const most = (bytesPerSecond * (atMs - fromMs + CREDIT_MS)) / 1000;
          assert.ok(bytes <= most + 1e-3, `${bytes} before the chunk at ${atMs}, ${most} are the most`);
          bytes += size;
        }
      }
    }),
  );
});

test('nobody waits longer than what came before takes at the rate, and all pass in their order', () => {
  fc.assert(
    fc.property(fc.integer({ min: 1024, max: 10_000_000 }), arrivals, (bytesPerSecond, given) => {
      let nowMs = 5000;
      // A queue that is served at the rate and never ahead of time.
      let busyUntilMs = nowMs;
      let previousMs = 0;
      for (const [index, { atMs, bytes }] of passages(bytesPerSecond, given).entries()) {
        nowMs += given[index]?.afterMs ?? 0;
        const startsMs = Math.max(nowMs, busyUntilMs);
        assert.ok(atMs <= startsMs + 1e-3, `at ${atMs}, and the slow queue has it pass at ${startsMs}`);
        assert.ok(atMs >= previousMs - 1e-6);
        busyUntilMs = startsMs + (bytes * 1000) / bytesPerSecond;
        previousMs = atMs;
      }
    }),
  );
});

test('who waits keeps the place when the rate is edited, and the debt is paid at the new rate', () => {
  const cells = new Float64Array(LINE_WORDS);
  const [slow, fast] = [1000, 10_000].map((bytesPerSecond, index) => ({ revision: index + 1, bytesPerSecond }));
  assert.ok(slow !== undefined && fast !== undefined);
  assert.equal(lineHeadroom(cells, slow, 0), 100);
  assert.equal(waitAt(cells, slow, joinLine(cells, slow, 5100, 0), 0), 0);
  const place = joinLine(cells, slow, 10, 0);
  assert.equal(waitAt(cells, slow, place, 0), 5000);
  assert.equal(waitAt(cells, slow, place, 1000), 4000);
  assert.equal(waitAt(cells, fast, place, 1000), 400);
  assert.equal(waitAt(cells, slow, place, 1100), 300, 'an older rule is not gone back to');
  leaveLine(cells, 10);
  assert.equal(waitAt(cells, fast, joinLine(cells, fast, 1, 1100), 1100), 300);
  assert.equal(lineHeadroom(cells, fast, 60_000), 1000);
});
