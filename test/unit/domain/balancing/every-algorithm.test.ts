import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { createBalancer } from '../../../../src/domain/balancing/algorithms.ts';
import { pick } from '../../../../src/domain/balancing/balancer.ts';
import { ALGORITHMS } from '../../../../src/domain/model.ts';
import { anyServers, seededRandom, server, servers, type TestServer } from './servers.ts';

for (const algorithm of ALGORITHMS) {
  describe(algorithm, () => {
    test('proposes every server of positive weight exactly once, and none of weight 0, however often it is asked', () => {
      fc.assert(
        fc.property(fc.array(anyServers, { minLength: 1, maxLength: 6 }), fc.integer(), (lists, seed) => {
          const balancer = createBalancer<TestServer>(algorithm, seededRandom(seed));
          for (const list of lists) {
            const expected = list.filter(({ weight }) => weight > 0).map(({ name }) => name);
            assert.deepEqual([...balancer.candidates(list)].map(({ name }) => name).sort(), expected);
            pick(balancer, list, ({ name }) => name !== 'a');
          }
        }),
        { numRuns: 300 },
      );
    });

    test('proposes nothing where there is no server, or none with a weight', () => {
      const balancer = createBalancer<TestServer>(algorithm, Math.random);
      assert.deepEqual([...balancer.candidates([])], []);
      assert.deepEqual([...balancer.candidates(servers(0, 0, 0))], []);
    });

    test('goes on with a list that grows, shrinks and changes its order', () => {
      fc.assert(
        fc.property(
          fc.array(fc.subarray(servers(1, 2, 1, 3, 0), { minLength: 1 }), { minLength: 1, maxLength: 30 }),
          fc.integer(),
          (lists, seed) => {
            const balancer = createBalancer<TestServer>(algorithm, seededRandom(seed));
            for (const list of lists) {
              const picked = pick(balancer, list, () => true);
              if (list.some(({ weight }) => weight > 0)) assert.ok(picked !== undefined && list.includes(picked));
              else assert.equal(picked, undefined);
            }
          },
        ),
      );
    });

    test('idle servers of one weight are used evenly, whichever of them are not usable', () => {
      const up = fc.record({ count: fc.integer({ min: 1, max: 7 }), down: fc.array(fc.integer({ min: 0, max: 6 })), seed: fc.integer() });
      fc.assert(
        fc.property(up, ({ count, down, seed }) => {
          const list = servers(...Array.from({ length: count }, () => 1), 0);
          const usable = list.filter((_, index) => index < count && !down.includes(index));
          const balancer = createBalancer<TestServer>(algorithm, seededRandom(seed));
          const uses = new Map(usable.map((one) => [one, 0]));
          const rounds = 200;
          for (let turn = 0; turn < rounds * usable.length; turn++) {
            const picked = pick(balancer, list, (one) => usable.includes(one));
            assert.ok(picked !== undefined);
            uses.set(picked, (uses.get(picked) ?? assert.fail('not usable')) + 1);
          }
          // What is drawn by lot is even on average only.
          const slack = algorithm === 'random' || algorithm === 'powerOfTwoChoices' ? 80 : algorithm.startsWith('weighted') ? count : 0;
          for (const [{ name }, used] of uses) assert.ok(Math.abs(used - rounds) <= slack, `${name} was used ${used} times of ${rounds}`);
        }),
        { numRuns: 50 },
      );
    });
  });
}

describe('pick', () => {
  test('works on plain objects, without the rest of the load balancer', () => {
    const balancer = createBalancer('leastConnections', Math.random);
    const near = { host: 'near', weight: 1, active: () => 3 };
    const far = { host: 'far', weight: 1, active: () => 1 };
    assert.equal(
      pick(balancer, [near, far], () => true),
      far,
    );
    assert.equal(
      pick(balancer, [near, far], (one) => one === near),
      near,
    );
    assert.equal(
      pick(balancer, [near, far], () => false),
      undefined,
    );
  });

  test('asks whether a server is usable only until one is', () => {
    const asked: string[] = [];
    const list = [server('busy', 1, 9), server('down', 1, 0), server('free', 1, 1)];
    const picked = pick(createBalancer<TestServer>('leastConnections', Math.random), list, ({ name }) => {
      asked.push(name);
      return name !== 'down';
    });
    assert.equal(picked?.name, 'free');
    assert.deepEqual(asked, ['down', 'free']);
  });
});

for (const algorithm of ALGORITHMS.filter((each) => each !== 'random' && each !== 'powerOfTwoChoices')) {
  describe(`a fork of ${algorithm}`, () => {
    test('proposes what its origin proposes next, and changes nothing of it however often it is asked', () => {
      fc.assert(
        fc.property(fc.array(anyServers, { minLength: 1, maxLength: 8 }), fc.array(fc.nat(3)), (lists, refusals) => {
          const asked = createBalancer<TestServer>(algorithm, Math.random);
          const left = createBalancer<TestServer>(algorithm, Math.random);
          // A server is its object: each list comes again and again, as it does in a running group.
          for (const [round, list] of [...lists, ...lists, ...lists].entries()) {
            const refused = list[refusals[round % Math.max(1, refusals.length)] ?? 0];
            const usable = (one: TestServer) => one !== refused || list.length === 1;
            const forks = Array.from({ length: 100 }, () => pick(asked.fork(), list, usable));
            const forked = asked.fork();
            const inTurn = [pick(forked, list, usable), pick(forked, list, usable)];
            const picked = pick(asked, list, usable);
            assert.deepEqual(new Set(forks), new Set([picked]));
            assert.equal(inTurn[0], picked);
            assert.equal(picked, pick(left, list, usable), 'a balancer that nobody forked picks the same');
            assert.equal(inTurn[1], pick(asked.fork(), list, usable), 'a fork takes its turns as its origin does');
          }
        }),
        { numRuns: 50 },
      );
    });
  });
}
