import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { createBalancer } from '../../../../src/domain/balancing/algorithms.ts';
import { pick } from '../../../../src/domain/balancing/balancer.ts';
import { server, servers, type TestServer } from './servers.ts';

const order = (picks: readonly (TestServer | undefined)[]) => picks.map((picked) => picked?.name ?? '-').join('');

describe('roundRobin', () => {
  test('takes each in turn whatever its weight, past those of weight 0', () => {
    const list = servers(1, 9, 0, 1);
    const balancer = createBalancer<TestServer>('roundRobin', Math.random);
    assert.equal(order(Array.from({ length: 7 }, () => pick(balancer, list, () => true))), 'abdabda');
  });

  test('goes on after the one that was taken, not after the one that was refused', () => {
    const list = servers(1, 1, 1, 1);
    const balancer = createBalancer<TestServer>('roundRobin', Math.random);
    assert.equal(order(Array.from({ length: 6 }, () => pick(balancer, list, ({ name }) => name !== 'b' && name !== 'c'))), 'adadad');
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
      const balancer = createBalancer<TestServer>('weightedRoundRobin', Math.random);
      assert.equal(order(Array.from({ length: expected.length }, () => pick(balancer, list, () => true))), expected);
    });
  }

  test('is the sequence of nginx, also while servers come and go', () => {
    fc.assert(
      fc.property(anyWeights, fc.array(fc.array(fc.boolean(), { minLength: 7, maxLength: 7 }), { maxLength: 12 }), (weights, listed) => {
        const all = servers(...weights);
        const balancer = createBalancer<TestServer>('weightedRoundRobin', Math.random);
        const table = new NginxTable();
        for (const present of listed) {
          const list = all.filter((_, index) => present[index]);
          for (let turn = 0; turn < 9; turn++) assert.equal(pick(balancer, list, () => true)?.name ?? '-', table.next(list));
        }
      }),
    );
  });

  test('uses each server exactly as often as its weight in every full round', () => {
    fc.assert(
      fc.property(anyWeights, (weights) => {
        const list = servers(...weights);
        const balancer = createBalancer<TestServer>('weightedRoundRobin', Math.random);
        const round = weights.reduce((sum, weight) => sum + weight, 0);
        for (let rounds = 0; rounds < 3; rounds++) {
          const picks = Array.from({ length: round }, () => pick(balancer, list, () => true));
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
    const balancer = createBalancer<TestServer>('weightedRoundRobin', Math.random);
    const before = [pick(balancer, [a, b], () => true)];
    const after = Array.from({ length: 6 }, () => pick(balancer, [a, b, server('x', 0)], () => true));
    assert.equal(order([...before, ...after]), 'abababa');
  });

  test('the usable servers share by weight while others are refused', () => {
    fc.assert(
      fc.property(anyWeights, fc.array(fc.integer({ min: 0, max: 6 }), { maxLength: 4 }), (weights, down) => {
        const list = servers(...weights);
        const usable = list.filter(({ weight }, index) => weight > 0 && !down.includes(index));
        const weightOfUsable = usable.reduce((sum, { weight }) => sum + weight, 0);
        const balancer = createBalancer<TestServer>('weightedRoundRobin', Math.random);
        const rounds = 20;
        const picks = Array.from({ length: rounds * weightOfUsable }, () => pick(balancer, list, (one) => usable.includes(one)));
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
    const balancer = createBalancer<TestServer>('weightedRoundRobin', Math.random);
    for (let turn = 0; turn < 1000; turn++) pick(balancer, list, ({ name }) => name !== 'a');
    const picks = order(Array.from({ length: 8 }, () => pick(balancer, list, () => true)));
    assert.ok(picks.replaceAll(/[^a]/g, '').length <= 5, picks);
  });
});
