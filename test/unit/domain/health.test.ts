import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { type Health, nextIntervalMs, type Outcome, observe, UNKNOWN_HEALTH } from '../../../src/domain/health.ts';

const OUTCOMES: Readonly<Record<string, Outcome>> = { '+': 'success', '-': 'failure' };

/** Feeds probes written as + and -; gives each state's first letter, in capitals where it flipped. */
function story(probes: string, unhealthyThreshold: number, healthyThreshold: number): string {
  let health: Health = UNKNOWN_HEALTH;
  return [...probes]
    .map((probe) => {
      const seen = observe(health, OUTCOMES[probe] ?? assert.fail(probe), { unhealthyThreshold, healthyThreshold });
      health = seen.health;
      const letter = health.state.slice(0, 1);
      return seen.flipped ? letter.toUpperCase() : letter;
    })
    .join('');
}

describe('what a run of probes makes of a server', () => {
  for (const { name, probes, down, up, expected } of [
    { name: 'the first success is enough', probes: '+', down: 1, up: 3, expected: 'H' },
    { name: 'the first failure is enough', probes: '-', down: 3, up: 3, expected: 'U' },
    { name: 'one failure takes it down by default, three successes bring it back', probes: '++-+++', down: 1, up: 3, expected: 'HhUuuH' },
    { name: 'a success between failures starts the run anew', probes: '+--+---', down: 3, up: 1, expected: 'HhhhhhU' },
    { name: 'a failure between successes starts the run anew', probes: '-++-+++', down: 1, up: 3, expected: 'UuuuuuH' },
    { name: 'it is not announced twice', probes: '---+++', down: 1, up: 1, expected: 'UuuHhh' },
  ]) {
    test(`${name}: ${probes} with ${down} down, ${up} up`, () => assert.equal(story(probes, down, up), expected));
  }

  test('observing does not change what was observed before', () => {
    const before: Health = Object.freeze({ state: 'healthy', failuresInARow: 1 });
    observe(before, 'failure', { unhealthyThreshold: 3, healthyThreshold: 1 });
    assert.deepEqual(before, { state: 'healthy', failuresInARow: 1 });
  });
});

describe('how long to wait for the next probe', () => {
  const check = { intervalMs: 5000, maxIntervalMs: 60_000 };
  const after = (probes: string, of = check) => {
    let health: Health = UNKNOWN_HEALTH;
    for (const probe of probes) {
      health = observe(health, OUTCOMES[probe] ?? assert.fail(probe), { unhealthyThreshold: 2, healthyThreshold: 3 }).health;
    }
    return nextIntervalMs(health, of);
  };

  for (const [probes, expected] of [
    ['', 5000],
    ['+', 5000],
    ['+-', 5000],
    ['+--', 5000],
    ['+---', 10_000],
    ['+----', 20_000],
    ['+-----', 40_000],
    ['+------', 60_000],
    ['-', 5000],
    ['--', 10_000],
    ['----+', 5000],
    ['----+-', 10_000],
    [`${'-'.repeat(5000)}`, 60_000],
  ] as const) {
    test(`${expected} ms after ${probes.length > 20 ? `${probes.length} failures` : probes || 'nothing'}`, () =>
      assert.equal(after(probes), expected));
  }

  test('a maximum below the interval never shortens it', () => assert.equal(after('---', { intervalMs: 5000, maxIntervalMs: 1000 }), 5000));
});
