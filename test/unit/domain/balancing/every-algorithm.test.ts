import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { ALGORITHMS } from '../../../../src/domain/model.ts';
import { anyServers, Chooser, seededRandom, server, servers, type TestServer } from './servers.ts';

/** What these choose is even on average only, or for many keys. */
const BY_LOT: ReadonlySet<string> = new Set(['random', 'powerOfTwoChoices', 'sourceHash', 'clientHash']);

for (const algorithm of ALGORITHMS) {
  describe(algorithm, () => {
    test('proposes every server of positive weight exactly once, and none of weight 0, however often it is asked', () => {
      fc.assert(
        fc.property(fc.array(anyServers, { minLength: 1, maxLength: 6 }), fc.integer(), fc.nat(), (lists, seed, key) => {
          const chooser = new Chooser(algorithm, [], seededRandom(seed), 125);
          for (const list of lists) {
            chooser.use(list);
            const expected = list.filter(({ weight }) => weight > 0).map(({ name }) => name);
            const proposed = () =>
              chooser
                .order(key)
                .map(({ name }) => name)
                .sort();
            assert.deepEqual(proposed(), expected);
            chooser.take({ key, usable: ({ name }) => name !== 'a' });
            assert.deepEqual(proposed(), expected);
          }
        }),
        { numRuns: 300 },
      );
    });

    test('proposes nothing where there is no server, none with a weight, or none with capacity', () => {
      const chooser = new Chooser(algorithm, []);
      assert.deepEqual(chooser.order(), []);
      chooser.use(servers(0, 0, 0));
      assert.deepEqual(chooser.order(), []);
      chooser.use([server('a', 1, 0, { capacity: 0 })]);
      assert.deepEqual(chooser.order(), []);
    });

    test('asking changes nothing: the next choice is the same', () => {
      fc.assert(
        fc.property(anyServers, fc.array(fc.nat(7), { maxLength: 20 }), fc.nat(), (list, refusals, key) => {
          const [asked, left] = [new Chooser(algorithm, list, seededRandom(1)), new Chooser(algorithm, list, seededRandom(1))];
          for (const refusal of refusals) {
            const usable = (one: TestServer) => one !== list[refusal];
            if (!BY_LOT.has(algorithm) || algorithm.endsWith('Hash')) for (let times = 0; times < 5; times++) asked.order(key);
            assert.equal(asked.take({ usable, key }), left.take({ usable, key }));
          }
        }),
      );
    });

    test('goes on with a list that grows, shrinks and changes its order', () => {
      fc.assert(
        fc.property(
          fc.array(fc.subarray(servers(1, 2, 1, 3, 0), { minLength: 1 }), { minLength: 1, maxLength: 30 }),
          fc.integer(),
          (lists, seed) => {
            const chooser = new Chooser(algorithm, [], seededRandom(seed));
            for (const list of lists) {
              chooser.use(list);
              const picked = chooser.take({ key: seed >>> 0 });
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
          const random = seededRandom(seed);
          const chooser = new Chooser(algorithm, list, random);
          const uses = new Map(usable.map((one) => [one, 0]));
          const rounds = 200;
          for (let turn = 0; turn < rounds * usable.length; turn++) {
            const key = Math.floor(random() * 2 ** 32);
            const picked = chooser.take({ key, usable: (one) => usable.includes(one) });
            assert.ok(picked !== undefined);
            uses.set(picked, (uses.get(picked) ?? assert.fail('not usable')) + 1);
          }
          const slack = BY_LOT.has(algorithm) ? 100 : algorithm === 'roundRobin' ? 0 : count;
          for (const [{ name }, used] of uses) assert.ok(Math.abs(used - rounds) <= slack, `${name} was used ${used} times of ${rounds}`);
        }),
        { numRuns: 50 },
      );
    });

    test('a server in slow start gets about its share of what it gets otherwise', () => {
      const random = seededRandom(5);
      const list = [server('starting', 1, 0, { share: 0.25 }), ...servers(1, 1, 1)];
      // Latency goes by connections held, which these let go at once: their turns come by share then.
      for (const one of list) one.latency = { averageMs: 1, atMs: 0 };
      const chooser = new Chooser(algorithm, list, random);
      let used = 0;
      const turns = 13_000;
      for (let turn = 0; turn < turns; turn++) {
        if (chooser.take({ key: Math.floor(random() * 2 ** 32) })?.name === 'starting') used++;
      }
      // One that is compared by what a connection more would do is not chosen before others are busy.
      const expected = algorithm === 'leastLatency' || algorithm === 'resource' ? 0 : turns / 13;
      assert.ok(Math.abs(used - expected) <= turns / 20, `it got ${used} of ${turns} connections`);
      assert.ok(used < turns / 8);
    });
  });
}
