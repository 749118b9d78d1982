import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { LATENCY_DECAY_MS, type LatencyEstimate, latencyRank, observeLatency } from '../../../../src/domain/balancing/latency.ts';
import { slowStartShare } from '../../../../src/domain/balancing/slow-start.ts';
import { Chooser, server } from './servers.ts';

describe('the average latency', () => {
  for (const { why, before, tookMs, nowMs, expected } of [
    { why: 'the first measurement is the average', before: undefined, tookMs: 5, nowMs: 10, expected: 5 },
    { why: 'a peak counts at once', before: { averageMs: 5, atMs: 0 }, tookMs: 50, nowMs: 0, expected: 50 },
    { why: 'a low measurement just after another changes nothing', before: { averageMs: 5, atMs: 9 }, tookMs: 1, nowMs: 9, expected: 5 },
    { why: 'after long what was counts no more', before: { averageMs: 5000, atMs: 0 }, tookMs: 1, nowMs: 1e9, expected: 1 },
    { why: 'a clock that goes back is as one that stands', before: { averageMs: 5, atMs: 9 }, tookMs: 1, nowMs: 3, expected: 5 },
  ]) {
    test(why, () => assert.equal(observeLatency(before, tookMs, nowMs).averageMs, expected));
  }

  test('is never above the greatest measurement', () => {
    const step = fc.record({ tookMs: fc.double({ min: 0.1, max: 1000, noNaN: true }), pauseMs: fc.nat({ max: 5000 }) });
    fc.assert(
      fc.property(fc.array(step, { minLength: 1 }), (steps) => {
        let estimate: LatencyEstimate | undefined;
        let nowMs = 0;
        for (const { tookMs, pauseMs } of steps) {
          nowMs += pauseMs;
          estimate = observeLatency(estimate, tookMs, nowMs);
        }
        assert.ok((estimate?.averageMs ?? 0) <= Math.max(...steps.map(({ tookMs }) => tookMs)) + 1e-9);
      }),
    );
  });

  test('the order of estimates is that of what is left of them, at any later moment', () => {
    const anyEstimate = fc.record({ averageMs: fc.integer({ min: 1, max: 10_000 }), atMs: fc.nat({ max: 60_000 }) });
    fc.assert(
      fc.property(anyEstimate, anyEstimate, fc.integer({ min: 60_000, max: 120_000 }), (one, other, nowMs) => {
        const left = ({ averageMs, atMs }: LatencyEstimate) => averageMs * Math.exp((atMs - nowMs) / LATENCY_DECAY_MS);
        if (Math.abs(left(one) / left(other) - 1) < 1e-9) return;
        assert.equal(latencyRank(one) < latencyRank(other), left(one) < left(other));
      }),
    );
  });
});

describe('leastLatency', () => {
  const at = (averageMs: number) => ({ latency: { averageMs, atMs: 0 } });

  test('connections go where latency times connections is least', () => {
    const list = [server('near', 1, 0, at(1)), server('far', 1, 0, at(3))];
    const chooser = new Chooser('leastLatency', list);
    for (let connection = 0; connection < 40; connection++) chooser.take({ hold: true });
    assert.deepEqual(
      list.map(({ connections }) => connections),
      [30, 10],
    );
  });

  test('a server that nobody has connected to is tried first, with one connection until it has answered', () => {
    const list = [server('known', 1, 0, at(1)), server('new')];
    const chooser = new Chooser('leastLatency', list);
    assert.equal(chooser.next(5, { hold: true }), 'newknownknownknownknown');
  });

  test('a server that was slow is tried again after a time, while the others are measured', () => {
    const [fast, slow] = [server('fast', 1, 0, at(1)), server('slow', 1, 0, at(5000))];
    const list = [fast, slow];
    const chooser = new Chooser('leastLatency', list);
    let nowMs = 0;
    let tries = 0;
    for (; nowMs < 20 * LATENCY_DECAY_MS; nowMs += 100) {
      const picked = chooser.take() ?? assert.fail('there is one');
      if (picked === slow) tries++;
      picked.latency = observeLatency(picked.latency, picked === slow ? 5000 : 1, nowMs);
      chooser.balancer.changed(list.indexOf(picked));
    }
    assert.ok(tries >= 2 && tries <= 3, `tried ${tries} times`);
  });
});

test('the share in slow start grows linearly from the recovery on', () => {
  for (const [recoveredAtMs, nowMs, slowStartMs, expected] of [
    [undefined, 5000, 10_000, 1],
    [1000, 1000, 0, 1],
    [1000, 1000, 10_000, 0.01],
    [1000, 3500, 10_000, 0.25],
    [1000, 11_000, 10_000, 1],
    [1000, 99_000, 10_000, 1],
  ] as const) {
    assert.equal(slowStartShare(recoveredAtMs, nowMs, slowStartMs), expected);
  }
});
