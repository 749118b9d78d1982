import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { Chooser, server, servers, type TestServer } from './servers.ts';

describe('roundRobin', () => {
  test('takes each in turn whatever its weight, past those of weight 0', () => {
    assert.equal(new Chooser('roundRobin', servers(1, 9, 0, 1)).next(7), 'abdabda');
  });

  test('goes on after the one that was taken, not after the one that was refused', () => {
    const usable = ({ name }: TestServer) => name !== 'b' && name !== 'c';
    assert.equal(new Chooser('roundRobin', servers(1, 1, 1, 1)).next(6, { usable }), 'adadad');
  });

  test('goes on where it was when servers come and go', () => {
    const all = servers(1, 1, 1, 1, 1);
    const chooser = new Chooser('roundRobin', all);
    assert.equal(chooser.next(2), 'ab');
    chooser.use(all.filter(({ name }) => name !== 'c' && name !== 'a'));
    assert.equal(chooser.next(1), 'd');
    chooser.use(all);
    assert.equal(chooser.next(3), 'eab');
  });
});

/** The algorithm of nginx as it is usually written down: a table of current weights, one round for each choice. */
class NginxTable {
  readonly #current = new Map<string, number>();

  next(list: readonly TestServer[]): string {
    let best: TestServer | undefined;
    for (const one of list) {
      this.#current.set(one.name, (this.#current.get(one.name) ?? 0) + one.weight);
      if (one.weight > 0 && (best === undefined || this.#of(one) > this.#of(best))) best = one;
    }
    if (best === undefined) return '-';
    this.#current.set(best.name, this.#of(best) - list.reduce((sum, { weight }) => sum + weight, 0));
    return best.name;
  }

  #of({ name }: TestServer): number {
    return this.#current.get(name) ?? 0;
  }
}

const anyWeights = fc.array(fc.integer({ min: 0, max: 9 }), { minLength: 1, maxLength: 7 });

describe('weightedRoundRobin', () => {
  for (const [weights, expected] of [
    [[5, 1, 1], 'aabacaa'],
    [[1, 1, 1], 'abcabc'],
    [[2, 1], 'abaaba'],
    [[4, 2, 1], 'abacaba'],
    [[0, 1], 'bbb'],
  ] as const) {
    test(`weights ${weights.join(', ')} give ${expected}`, () => {
      const list = servers(...weights);
      assert.equal(new Chooser('weightedRoundRobin', list).next(expected.length), expected);
    });
  }

  test('is the sequence of nginx, also while servers come and go', () => {
    fc.assert(
      fc.property(anyWeights, fc.array(fc.array(fc.boolean(), { minLength: 7, maxLength: 7 }), { maxLength: 12 }), (weights, listed) => {
        const all = servers(...weights);
        const chooser = new Chooser('weightedRoundRobin', []);
        const table = new NginxTable();
        for (const present of listed) {
          const list = all.filter((_, index) => present[index]);
          chooser.use(list);
          for (let turn = 0; turn < 9; turn++) assert.equal(chooser.next(1), table.next(list));
        }
      }),
    );
  });

  test('uses each server exactly as often as its weight in every full round', () => {
    fc.assert(
      fc.property(anyWeights, (weights) => {
        const list = servers(...weights);
        const chooser = new Chooser('weightedRoundRobin', list);
        const round = weights.reduce((sum, weight) => sum + weight, 0);
        for (let rounds = 0; rounds < 3; rounds++) {
          const picks = Array.from({ length: round }, () => chooser.take());
          assert.deepEqual(
            list.map((one) => picks.filter((picked) => picked === one).length),
            weights,
          );
        }
      }),
    );
  });

  test('a server that joins takes its share without a burst, and without upsetting the others', () => {
    const [a, b] = [server('a'), server('b')];
    const chooser = new Chooser('weightedRoundRobin', [a, b]);
    assert.equal(chooser.next(1), 'a');
    chooser.use([a, b, server('x', 0)]);
    assert.equal(chooser.next(6), 'bababa');
  });

  test('the usable servers share by weight while others are refused', () => {
    fc.assert(
      fc.property(anyWeights, fc.array(fc.integer({ min: 0, max: 6 }), { maxLength: 4 }), (weights, down) => {
        const list = servers(...weights);
        const usable = list.filter(({ weight }, index) => weight > 0 && !down.includes(index));
        const weightOfUsable = usable.reduce((sum, { weight }) => sum + weight, 0);
        const chooser = new Chooser('weightedRoundRobin', list);
        const rounds = 20;
        const picks = Array.from({ length: rounds * weightOfUsable }, () => chooser.take({ usable: (one) => usable.includes(one) }));
        for (const one of usable) {
          const used = picks.filter((picked) => picked === one).length;
          assert.ok(
            Math.abs(used - rounds * one.weight) <= list.length,
            `${one.name} of weight ${one.weight}: ${used} in ${rounds} rounds`,
          );
        }
      }),
    );
  });

  test('a server that was refused for long comes back without a burst', () => {
    const list = servers(2, 1, 1);
    const chooser = new Chooser('weightedRoundRobin', list);
    chooser.next(1000, { usable: ({ name }) => name !== 'a' });
    const picks = chooser.next(8);
    assert.ok(picks.replaceAll(/[^a]/g, '').length <= 5, picks);
  });
});
