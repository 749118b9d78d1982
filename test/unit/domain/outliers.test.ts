import assert from 'node:assert/strict';
import { describe, it, test } from 'node:test';
import fc from 'fast-check';
import { DEFAULT_OUTLIER_DETECTION } from '../../../src/domain/defaults.ts';
import type { OutlierDetection } from '../../../src/domain/model.ts';
import { endEjection, judgeFailures, NEVER_EJECTED, type Outlier, rowAt } from '../../../src/domain/outliers.ts';

const policy: OutlierDetection = { consecutiveFailures: 5, baseEjectionMs: 30_000, maxEjectionMs: 300_000, maxEjectionPercent: 50 };
const alone = { servers: 10, ejected: 0, hasOther: true };

/** Ejected at once and let back in time, so many times in a row; gives how long each ejection lasted. */
function ejections(count: number, pauseMs: number, of: OutlierDetection = policy): readonly number[] {
  const lasted: number[] = [];
  let outlier: Outlier = NEVER_EJECTED;
  let nowMs = 1_000_000;
  for (let round = 0; round < count; round++) {
    const decision = judgeFailures(outlier, of, alone, nowMs);
    assert.equal(decision.spared, undefined);
    const untilMs = decision.outlier.ejectedUntilMs ?? assert.fail('not ejected');
    lasted.push((untilMs - nowMs) / 1000);
    outlier = endEjection(decision.outlier, untilMs);
    nowMs = untilMs + pauseMs;
  }
  return lasted;
}

describe('how long an ejection lasts', () => {
  for (const [what, lasted, expected] of [
    ['each in a row one base time longer, up to the most', ejections(12, 0), [30, 60, 90, 120, 150, 180, 210, 240, 270, 300, 300, 300]],
    ['one less for each base time that the server was good', ejections(5, 30_000), [30, 30, 30, 30, 30]],
    ['a base time that is not over takes nothing off', ejections(3, 29_999), [30, 60, 90]],
    ['never less than the base time', ejections(2, 0, { ...policy, maxEjectionMs: 1 }), [30, 30]],
  ] as const) {
    it(what, () => assert.deepEqual(lasted, expected));
  }
});

describe('a server that fails is let be', () => {
  const ejected = judgeFailures(NEVER_EJECTED, policy, alone, 0).outlier;
  for (const [what, outlier, of, around, spared] of [
    ['when ejections are turned off', NEVER_EJECTED, { ...policy, consecutiveFailures: 0 }, alone, 'turned off'],
    ['when it is ejected', ejected, policy, alone, 'already ejected'],
    ['when it would be one more than half', NEVER_EJECTED, policy, { servers: 10, ejected: 5, hasOther: true }, 'too many ejected'],
    [
      'when one of three would be more than 30 %',
      NEVER_EJECTED,
      { ...policy, maxEjectionPercent: 30 },
      { servers: 3, ejected: 0, hasOther: true },
      'too many ejected',
    ],
    [
      'when it is the last',
      NEVER_EJECTED,
      { ...policy, maxEjectionPercent: 100 },
      { servers: 10, ejected: 3, hasOther: false },
      'last usable',
    ],
    ['but not when half are ejected with it', NEVER_EJECTED, policy, { servers: 10, ejected: 4, hasOther: true }, undefined],
  ] as const) {
    it(what, () => {
      const decision = judgeFailures(outlier, of, around, 7);
      assert.equal(decision.spared, spared);
      if (spared !== undefined) assert.equal(decision.outlier, outlier, 'nothing is remembered of it');
    });
  }
});

test('never more than its percentage of a group is ejected, nor the last server, nor for longer than the most', () => {
  const step = fc.record({ server: fc.nat(9), passMs: fc.nat(100_000), back: fc.boolean() });
  fc.assert(
    fc.property(
      fc.integer({ min: 1, max: 10 }),
      fc.integer({ min: 0, max: 100 }),
      fc.array(step, { maxLength: 100 }),
      (size, percent, steps) => {
        const of = { ...policy, maxEjectionPercent: percent };
        const servers: Outlier[] = Array.from({ length: size }, () => NEVER_EJECTED);
        let nowMs = 1;
        for (const { server: any, passMs, back } of steps) {
          nowMs += passMs;
          for (const [index, outlier] of servers.entries())
            if ((outlier.ejectedUntilMs ?? nowMs + 1) <= nowMs) servers[index] = endEjection(outlier, outlier.ejectedUntilMs ?? nowMs);
          const server = any % size;
          const ejected = servers.filter(({ ejectedUntilMs }) => ejectedUntilMs !== undefined).length;
          const isIn = servers[server]?.ejectedUntilMs === undefined;
          const around = { servers: size, ejected, hasOther: size - ejected > (isIn ? 1 : 0) };
          const { outlier } = judgeFailures(servers[server] ?? NEVER_EJECTED, of, around, nowMs);
          servers[server] = back && outlier.ejectedUntilMs !== undefined ? endEjection(outlier, nowMs) : outlier;
          const now = servers.filter(({ ejectedUntilMs }) => ejectedUntilMs !== undefined);
          assert.ok(now.length * 100 <= size * percent);
          assert.ok(now.length < size, 'one is left');
          for (const { ejectedUntilMs } of now) assert.ok((ejectedUntilMs ?? 0) - nowMs <= of.maxEjectionMs);
        }
      },
    ),
  );
});

test('a server that stays good is as new in the end', () => {
  fc.assert(
    fc.property(fc.integer({ min: 1, max: 40 }), (times) => {
      let outlier: Outlier = NEVER_EJECTED;
      for (let round = 0; round < times; round++)
        outlier = endEjection(judgeFailures(outlier, DEFAULT_OUTLIER_DETECTION, alone, 0).outlier, 0);
      assert.equal(rowAt(outlier, DEFAULT_OUTLIER_DETECTION, 0), times);
      assert.equal(rowAt(outlier, DEFAULT_OUTLIER_DETECTION, times * DEFAULT_OUTLIER_DETECTION.baseEjectionMs - 1), 1);
      assert.equal(rowAt(outlier, DEFAULT_OUTLIER_DETECTION, times * DEFAULT_OUTLIER_DETECTION.baseEjectionMs), 0);
    }),
  );
});
