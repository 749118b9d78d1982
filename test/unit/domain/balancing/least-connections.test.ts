import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { createBalancer } from '../../../../src/domain/balancing/algorithms.ts';
import { pick } from '../../../../src/domain/balancing/balancer.ts';
import { anyServers, names, server, servers, type TestServer } from './servers.ts';

/** Opens a connection where the value is undefined, else ends one of the server at that place in the list. */
const churn = fc.array(fc.option(fc.nat(), { nil: undefined }), { minLength: 1, maxLength: 200, size: 'max' });

const total = (list: readonly TestServer[]) => list.reduce((sum, { connections }) => sum + connections, 0);

describe('leastConnections', () => {
  test('under churn, no server is filled beyond the even share by more than one', () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 6 }), churn, (count, steps) => {
        const list = servers(...Array.from({ length: count }, () => 1));
        const balancer = createBalancer<TestServer>('leastConnections', Math.random);
        for (const step of steps) {
          const ending = list[(step ?? 0) % count];
          if (step !== undefined) {
            if (ending !== undefined && ending.connections > 0) ending.connections--;
            continue;
          }
          const share = Math.floor(total(list) / count);
          const picked = pick(balancer, list, () => true);
          assert.ok(picked !== undefined);
          assert.ok(++picked.connections <= share + 1);
        }
      }),
    );
  });

  test('connections that stay are spread within one of each other', () => {
    const list = servers(1, 5, 1, 2);
    const balancer = createBalancer<TestServer>('leastConnections', Math.random);
    for (let connection = 0; connection < 43; connection++) {
      const picked = pick(balancer, list, () => true);
      if (picked !== undefined) picked.connections++;
    }
    assert.deepEqual(list.map(({ connections }) => connections).sort(), [10, 11, 11, 11]);
  });

  test('idle servers are taken in turn, also past one of weight 0', () => {
    const list = servers(1, 0, 1, 1);
    const balancer = createBalancer<TestServer>('leastConnections', Math.random);
    const order = Array.from({ length: 7 }, () => pick(balancer, list, () => true)).flatMap((picked) => picked?.name ?? []);
    assert.deepEqual(order.join(''), 'acdacda');
  });

  test('equals among busier servers are taken in turn too', () => {
    const list = [server('a'), server('busy', 1, 5), server('b'), server('c')];
    const balancer = createBalancer<TestServer>('leastConnections', Math.random);
    const order = Array.from({ length: 6 }, () => pick(balancer, list, () => true)).flatMap((picked) => picked?.name ?? []);
    assert.deepEqual(order.join(''), 'abcabc');
  });

  test('proposes the rest from the least loaded to the most', () => {
    fc.assert(
      fc.property(anyServers, (list) => {
        const loads = [...createBalancer<TestServer>('leastConnections', Math.random).candidates(list)].map(
          ({ connections }) => connections,
        );
        assert.deepEqual(
          loads,
          loads.toSorted((a, b) => a - b),
        );
      }),
    );
  });

  test('asks each server once for its connections where the first candidate is taken', () => {
    let asked = 0;
    const list = Array.from({ length: 50 }, () => ({ weight: 1, active: () => asked++ % 7 }));
    pick(createBalancer('leastConnections', Math.random), list, () => true);
    assert.equal(asked, 50);
  });
});

describe('weightedLeastConnections', () => {
  test('under churn, no server is filled beyond its share by weight by more than one', () => {
    const weights = fc.array(fc.integer({ min: 1, max: 9 }), { minLength: 1, maxLength: 6 });
    fc.assert(
      fc.property(weights, churn, (shares, steps) => {
        const list = servers(...shares);
        const weightOfAll = shares.reduce((sum, weight) => sum + weight);
        const balancer = createBalancer<TestServer>('weightedLeastConnections', Math.random);
        for (const step of steps) {
          const ending = list[(step ?? 0) % list.length];
          if (step !== undefined) {
            if (ending !== undefined && ending.connections > 0) ending.connections--;
            continue;
          }
          const before = total(list);
          const picked = pick(balancer, list, () => true);
          assert.ok(picked !== undefined);
          assert.ok((++picked.connections - 1) * weightOfAll <= before * picked.weight);
        }
      }),
    );
  });

  test('an idle group shares by weight, smoothly', () => {
    const list = servers(3, 1, 0, 2);
    const balancer = createBalancer<TestServer>('weightedLeastConnections', Math.random);
    const order = Array.from({ length: 12 }, () => pick(balancer, list, () => true)).flatMap((picked) => picked?.name ?? []);
    assert.equal(order.join(''), 'adabdaadabda');
  });

  test('equals share by weight also where one with fewer connections is refused', () => {
    const list = [server('down', 1, 0), server('a', 3, 3), server('b', 1, 1), server('c', 1, 2)];
    const balancer = createBalancer<TestServer>('weightedLeastConnections', Math.random);
    const picks = Array.from({ length: 8 }, () => pick(balancer, list, ({ name }) => name !== 'down'));
    assert.equal(picks.map((picked) => picked?.name).join(''), 'aabaaaba');
  });

  test('proposes the rest from the least loaded for its weight to the most', () => {
    const list = [server('third', 2, 3), server('first', 4, 4), server('fourth', 1, 2), server('second', 3, 4), server('none', 0, 0)];
    assert.equal(names(createBalancer<TestServer>('weightedLeastConnections', Math.random).candidates(list)), 'first second third fourth');
  });
});
