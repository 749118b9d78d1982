import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { anyServers, Chooser, names, server, servers, type TestServer } from './servers.ts';

/** Opens a connection where the value is undefined, else ends one of the server at that place in the list. */
const churn = fc.array(fc.option(fc.nat(), { nil: undefined }), { minLength: 1, maxLength: 200, size: 'max' });

const total = (list: readonly TestServer[]) => list.reduce((sum, { connections }) => sum + connections, 0);

/** Several threads that share the counts, and learn of each other's doings some time after. */
class Threads {
  readonly #list: readonly TestServer[];
  readonly #choosers: readonly Chooser[];
  /** What each thread has not been told yet. */
  readonly #untold: { readonly taken: boolean; readonly position: number }[][];

  constructor(list: readonly TestServer[], count: number) {
    this.#list = list;
    this.#choosers = Array.from({ length: count }, () => new Chooser('leastConnections', list));
    this.#untold = this.#choosers.map(() => []);
  }

  /** As a worker does it: catches up, chooses, counts, tells. */
  open(thread: number): TestServer {
    this.#catchUp(thread);
    const chosen = this.#choosers[thread]?.order()[0] ?? assert.fail('there is a server');
    chosen.connections++;
    this.#tell({ taken: true, position: this.#list.indexOf(chosen) });
    return chosen;
  }

  end(one: TestServer): void {
    if (one.connections === 0) return;
    one.connections--;
    this.#tell({ taken: false, position: this.#list.indexOf(one) });
  }

  #tell(change: { readonly taken: boolean; readonly position: number }): void {
    for (const untold of this.#untold) untold.push(change);
  }

  #catchUp(thread: number): void {
    const balancer = this.#choosers[thread]?.balancer;
    for (const { taken, position } of this.#untold[thread]?.splice(0) ?? []) {
      if (taken) balancer?.taken(position);
      else balancer?.changed(position);
    }
  }
}

describe('leastConnections', () => {
  test('under churn over several threads, no server is filled beyond the least filled one by more than one', () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 40 }), fc.integer({ min: 1, max: 4 }), churn, fc.nat(), (count, threads, steps, seed) => {
        const list = Array.from({ length: count }, (_, index) => server(`s${index}`));
        const workers = new Threads(list, threads);
        for (const [index, step] of steps.entries()) {
          if (step !== undefined) {
            workers.end(list[step % count] ?? assert.fail('there is one'));
            continue;
          }
          const least = Math.min(...list.map(({ connections }) => connections));
          assert.equal(workers.open((seed + index * index) % threads).connections, least + 1);
        }
      }),
    );
  });

  test('connections that stay are spread within one of each other', () => {
    const list = servers(1, 5, 1, 2);
    const chooser = new Chooser('leastConnections', list);
    for (let connection = 0; connection < 43; connection++) chooser.take({ hold: true });
    assert.deepEqual(list.map(({ connections }) => connections).sort(), [10, 11, 11, 11]);
  });

  test('idle servers are taken in turn, also past one of weight 0', () => {
    assert.equal(new Chooser('leastConnections', servers(1, 0, 1, 1)).next(7), 'acdacda');
  });

  test('several threads that are told the same take turns together', () => {
    const threads = new Threads(servers(1, 1, 1), 2);
    const order = Array.from({ length: 9 }, (_, index) => {
      const one = threads.open(index % 3 === 0 ? 0 : 1);
      threads.end(one);
      return one.name;
    });
    assert.equal(order.join(''), 'abcabcabc');
  });

  test('equals among busier servers are taken in turn too', () => {
    const list = [server('a'), server('B', 1, 5), server('b'), server('c')];
    assert.equal(new Chooser('leastConnections', list).next(6), 'abcabc');
  });

  test('a server that was busy for long does not get all the turns once it is idle', () => {
    const [a, b, c] = [server('a'), server('b'), server('c', 1, 1)];
    const chooser = new Chooser('leastConnections', [a, b, c]);
    chooser.next(1000);
    chooser.end(c);
    const order = chooser.next(9);
    assert.equal(order.replaceAll(/[^c]/g, '').length, 3, order);
  });

  test('idle servers take strict turns, whatever turns their loads gave them before', () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 6 }), churn, (count, steps) => {
        const list = servers(...Array.from({ length: count }, () => 1));
        const chooser = new Chooser('leastConnections', list);
        for (const step of steps) {
          if (step === undefined) chooser.take({ hold: true });
          else chooser.end(list[step % count] ?? assert.fail('there is one'));
        }
        for (const one of list) while (one.connections > 0) chooser.end(one);
        const order = chooser.next(3 * count);
        assert.equal(new Set(order.slice(0, count)).size, count, order);
        assert.equal(order, order.slice(0, count).repeat(3));
      }),
    );
  });

  test('proposes the rest from the least loaded to the most', () => {
    fc.assert(
      fc.property(anyServers, (list) => {
        const loads = new Chooser('leastConnections', list).order().map(({ connections }) => connections);
        assert.deepEqual(
          loads,
          loads.toSorted((a, b) => a - b),
        );
      }),
    );
  });

  test('does not look at every server for every choice', () => {
    let asked = 0;
    const list = Array.from({ length: 1000 }, (_, index) =>
      server(`s${index}`, 1, index % 7, {
        active() {
          asked++;
          return this.connections ?? 0;
        },
      }),
    );
    const chooser = new Chooser('leastConnections', list);
    asked = 0;
    for (let times = 0; times < 10; times++) {
      const [first] = chooser.balancer.candidates(0);
      assert.ok(first !== undefined);
      chooser.balancer.taken(list.indexOf(first));
    }
    assert.ok(asked < 100, `${asked} looks for 10 choices`);
  });

  test('a server that is full is not proposed until one of its connections ends', () => {
    const full = server('full', 1, 1, { maxConnections: 1 });
    const list = [full, server('busy', 1, 9)];
    const chooser = new Chooser('leastConnections', list);
    assert.equal(names(chooser.order()), 'busy');
    chooser.end(full);
    assert.equal(names(chooser.order()), 'full busy');
  });

  test('a server in slow start is filled up to its share of what the others have', () => {
    const list = [server('a'), server('b'), server('starting', 1, 0, { share: 0.25 })];
    const chooser = new Chooser('leastConnections', list);
    for (let connection = 0; connection < 90; connection++) chooser.take({ hold: true });
    assert.deepEqual(
      list.map(({ connections }) => connections),
      [40, 40, 10],
    );
  });
});

describe('weightedLeastConnections', () => {
  test('under churn, no server is filled beyond its share by weight by more than one', () => {
    const weights = fc.array(fc.integer({ min: 1, max: 9 }), { minLength: 1, maxLength: 6 });
    fc.assert(
      fc.property(weights, churn, (shares, steps) => {
        const list = servers(...shares);
        const weightOfAll = shares.reduce((sum, weight) => sum + weight);
        const chooser = new Chooser('weightedLeastConnections', list);
        for (const step of steps) {
          if (step !== undefined) {
            chooser.end(list[step % list.length] ?? assert.fail('there is one'));
            continue;
          }
          const before = total(list);
          const picked = chooser.take({ hold: true });
          assert.ok(picked !== undefined);
          assert.ok((picked.connections - 1) * weightOfAll <= before * picked.weight);
        }
      }),
    );
  });

  test('an idle group shares by weight, smoothly', () => {
    assert.equal(new Chooser('weightedLeastConnections', servers(3, 1, 0, 2)).next(12), 'adabdaadabda');
  });

  test('equals share by weight also where one with fewer connections is refused', () => {
    const list = [server('down', 1, 0), server('a', 3, 3), server('b', 1, 1), server('c', 1, 2)];
    const order = new Chooser('weightedLeastConnections', list).next(8, { usable: ({ name }) => name !== 'down' });
    assert.equal(order, 'aabaaaba');
  });

  test('proposes the rest from the least loaded for its weight to the most', () => {
    const list = [server('third', 2, 3), server('first', 4, 4), server('fourth', 1, 2), server('second', 3, 4), server('none', 0, 0)];
    assert.equal(names(new Chooser('weightedLeastConnections', list).order()), 'first second third fourth');
  });

  test('a weight that its agent halves counts for half', () => {
    const list = [server('a', 4), server('b', 4, 0, { capacity: 0.5 })];
    const chooser = new Chooser('weightedLeastConnections', list);
    for (let connection = 0; connection < 30; connection++) chooser.take({ hold: true });
    assert.deepEqual(
      list.map(({ connections }) => connections),
      [20, 10],
    );
  });
});

describe('resource', () => {
  test('connections go by free capacity times weight for each connection', () => {
    const list = [server('a', 1, 0, { capacity: 0.75 }), server('b', 1, 0, { capacity: 0.25 }), server('c', 2, 0, { capacity: 0.5 })];
    const chooser = new Chooser('resource', list);
    assert.equal(chooser.take()?.name, 'c', 'the one with most to give is first, while all are idle');
    for (let connection = 0; connection < 80; connection++) chooser.take({ hold: true });
    assert.deepEqual(
      list.map(({ connections }) => connections),
      [30, 10, 40],
    );
  });
});
