import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { Chooser, names, seededRandom, server, servers } from './servers.ts';

/** Gives these numbers one after the other; asking for more is an error. */
function scripted(...numbers: number[]): () => number {
  return () => numbers.shift() ?? assert.fail('more numbers were drawn than expected');
}

/** The one that is proposed first: no more lots are drawn than that takes. */
function first({ balancer }: Chooser): string | undefined {
  for (const { name } of balancer.candidates(0)) return name;
  return undefined;
}

describe('random', () => {
  test('orders servers as draws by weight without putting back would', () => {
    const list = servers(1, 2, 5);
    const chooser = new Chooser('random', list, seededRandom(7));
    const seen = new Map<string, number>();
    const draws = 40_000;
    for (let draw = 0; draw < draws; draw++) {
      const order = names(chooser.order());
      seen.set(order, (seen.get(order) ?? 0) + 1);
    }
    for (const [order, chance] of [
      ['a b c', (1 / 8) * (2 / 7)],
      ['a c b', (1 / 8) * (5 / 7)],
      ['b a c', (2 / 8) * (1 / 6)],
      ['b c a', (2 / 8) * (5 / 6)],
      ['c a b', (5 / 8) * (1 / 3)],
      ['c b a', (5 / 8) * (2 / 3)],
    ] as const) {
      const share = (seen.get(order) ?? 0) / draws;
      assert.ok(Math.abs(share - chance) < 0.01, `${order} came with ${share}, not ${chance}`);
    }
  });

  test('the number drawn decides, up to the edges', () => {
    const list = servers(0, 1, 2, 0, 1, 0);
    for (const [number, expected] of [
      [0, 'b'],
      [0.2499, 'b'],
      [0.25, 'c'],
      [0.7499, 'c'],
      [0.75, 'e'],
      [1 - 2 ** -53, 'e'],
    ] as const) {
      assert.equal(first(new Chooser('random', list, scripted(number))), expected, `drawn ${number}`);
    }
  });
});

describe('powerOfTwoChoices', () => {
  const list = [server('a', 1, 5), server('b', 1, 3), server('c', 1, 4), server('d', 1, 3)];

  for (const { draws, expected, why } of [
    { draws: [0, 0.5], expected: 'c', why: 'a and c are drawn, c has fewer connections' },
    { draws: [0.5, 0], expected: 'c', why: 'c and a are drawn, c has fewer connections' },
    { draws: [0.25, 0.99], expected: 'b', why: 'b and d are drawn, they are equal, b was drawn first' },
    { draws: [0.99, 0.34], expected: 'd', why: 'd and b are drawn, they are equal, d was drawn first' },
  ]) {
    test(`${expected}: ${why}`, () => {
      assert.equal(first(new Chooser('powerOfTwoChoices', list, scripted(...draws))), expected);
    });
  }

  test('compares connections for the weight', () => {
    const uneven = [server('light', 1, 2), server('heavy', 4, 5)];
    assert.equal(first(new Chooser('powerOfTwoChoices', uneven, scripted(0, 0.5))), 'heavy');
  });

  test('never takes the busiest of all first', () => {
    const chooser = new Chooser('powerOfTwoChoices', list, seededRandom(3));
    for (let turn = 0; turn < 500; turn++) assert.notEqual(chooser.take()?.name, 'a');
  });

  test('the other of the two comes second, the rest after', () => {
    const order = names(new Chooser('powerOfTwoChoices', list, scripted(0, 0.5, 0.25, 0.75)).order());
    assert.match(order, /^c a (?:b d|d b)$/);
  });

  test('keeps the fullest server within a few connections of the even share, where a lot alone does not', () => {
    const fullest = (algorithm: 'random' | 'powerOfTwoChoices') => {
      const group = servers(...Array.from({ length: 20 }, () => 1));
      const chooser = new Chooser(algorithm, group, seededRandom(11));
      for (let connection = 0; connection < 2000; connection++) chooser.take({ hold: true });
      return Math.max(...group.map(({ connections }) => connections));
    };
    assert.ok(fullest('powerOfTwoChoices') <= 104);
    assert.ok(fullest('random') > 104);
  });
});
