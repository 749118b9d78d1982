import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { aheadOf, first, join, leave, leaveAll, lengths, queueWords, serve } from '../../../src/domain/queue.ts';

const ROOM = 1_000;

function emptyQueue(most = ROOM): Float64Array {
  return new Float64Array(queueWords(most));
}

/** Joins and returns the row. */
function joined(cells: Float64Array, client: number, { group = 0, holder = 0 } = {}): number {
  return join(cells, { holder, group, client }, ROOM) ?? assert.fail('there was room');
}

/** Serves whose turn it is, until nobody waits. */
function serveAll(cells: Float64Array, group = 0): readonly number[] {
  const rows: number[] = [];
  for (let next = first(cells, group); next !== undefined; next = first(cells, group)) {
    serve(cells, next.row);
    rows.push(next.row);
  }
  return rows;
}

test('a client with many waiting and one with a few take turns, and each keeps its own order', () => {
  const cells = emptyQueue();
  const greedy = [0, 1, 2, 3].map((index) => joined(cells, 7, { holder: index % 2 }));
  const modest = [0, 1].map((index) => joined(cells, 8, { holder: index }));
  assert.deepEqual(serveAll(cells), [greedy[0], modest[0], greedy[1], modest[1], greedy[2], greedy[3]]);
});

test('who was served is behind everybody who waits, the one who came meanwhile too', () => {
  const cells = emptyQueue();
  const greedy = [0, 1, 2].map(() => joined(cells, 7));
  serve(cells, greedy[0] ?? -1);
  const modest = joined(cells, 8);
  assert.equal(first(cells, 0)?.row, greedy[1], 'it came back to the line before the other one came');
  serve(cells, greedy[1] ?? -1);
  assert.equal(first(cells, 0)?.row, modest);
});

test('groups have nothing to do with each other', () => {
  const cells = emptyQueue();
  const web = joined(cells, 7, { group: 1 });
  const db = joined(cells, 7, { group: 2 });
  const other = joined(cells, 8, { group: 2 });
  serve(cells, web);
  assert.deepEqual(serveAll(cells, 2), [db, other]);
});

test('a queue takes as many as its bound says, and the table as many as it holds', () => {
  const cells = emptyQueue(3);
  assert.notEqual(join(cells, { holder: 0, group: 0, client: 1 }, 1), undefined);
  assert.equal(join(cells, { holder: 1, group: 0, client: 2 }, 1), undefined);
  assert.notEqual(join(cells, { holder: 1, group: 1, client: 2 }, 9), undefined);
  const last = join(cells, { holder: 1, group: 1, client: 2 }, 9) ?? assert.fail();
  assert.equal(join(cells, { holder: 1, group: 1, client: 2 }, 9), undefined);
  leave(cells, last);
  assert.notEqual(join(cells, { holder: 1, group: 1, client: 2 }, 9), undefined);
});

test('who held connections and is gone holds none any more', () => {
  const cells = emptyQueue();
  for (const holder of [0, 1, 0, 1, 1]) joined(cells, holder, { holder });
  leaveAll(cells, 1);
  assert.deepEqual(lengths(cells), new Map([[0, 2]]));
  assert.equal(first(cells, 0)?.holder, 0);
});

const CLIENTS = 4;
type Step = { readonly kind: 'join' | 'serve' | 'leave'; readonly pick: number };
const steps = fc.array(fc.record<Step>({ kind: fc.constantFrom('join', 'join', 'serve', 'leave'), pick: fc.nat(99) }), { maxLength: 200 });

/** Round robin as a child would write it: a ring of clients, each with its line. */
class Model {
  readonly ring: { client: number; line: number[] }[] = [];

  join(client: number, row: number): void {
    const known = this.ring.find((each) => each.client === client);
    if (known === undefined) this.ring.push({ client, line: [row] });
    else known.line.push(row);
  }

  leave(row: number): void {
    for (const each of this.ring) each.line = each.line.filter((other) => other !== row);
    this.ring.splice(0, this.ring.length, ...this.ring.filter(({ line }) => line.length > 0));
  }

  serve(): number | undefined {
    const next = this.ring.shift();
    const row = next?.line.shift();
    if (next !== undefined && next.line.length > 0) this.ring.push(next);
    return row;
  }

  get rows(): readonly number[] {
    return this.ring.flatMap(({ line }) => line);
  }
}

test('whatever comes, leaves and is served, clients take turns as in a ring of lines', () => {
  fc.assert(
    fc.property(steps, fc.integer({ min: 1, max: 40 }), (script, maxLength) => {
      const cells = emptyQueue();
      const model = new Model();
      for (const { kind, pick } of script) {
        const { rows } = model;
        if (kind === 'join') {
          const row = join(cells, { holder: pick % 3, group: 0, client: pick % CLIENTS }, maxLength);
          assert.equal(row === undefined, rows.length >= maxLength);
          if (row !== undefined) model.join(pick % CLIENTS, row);
        } else if (kind === 'serve') {
          const next = first(cells, 0);
          assert.equal(next?.row, model.serve());
          if (next !== undefined) serve(cells, next.row);
        } else if (rows.length > 0) {
          const row = rows[pick % rows.length] ?? assert.fail();
          leave(cells, row);
          model.leave(row);
        }
        assert.equal(lengths(cells).get(0) ?? 0, model.rows.length);
      }
    }),
  );
});

test('nobody starves: between two turns of a client every other one that waits has one', () => {
  fc.assert(
    fc.property(fc.array(fc.nat(CLIENTS - 1), { minLength: 1, maxLength: 60 }), (arrivals) => {
      const cells = emptyQueue();
      const clientOf = new Map(arrivals.map((client) => [joined(cells, client), client]));
      const left = (client: number, from: number, order: readonly number[]) => order.slice(from).includes(client);
      const order = serveAll(cells).map((row) => clientOf.get(row) ?? -1);
      order.forEach((client, index) => {
        const again = order.indexOf(client, index + 1);
        if (again === -1) return;
        const between = new Set(order.slice(index + 1, again));
        for (let other = 0; other < CLIENTS; other++) if (other !== client && left(other, again, order)) assert.ok(between.has(other));
      });
    }),
  );
});

test('how many are ahead of somebody is how many are served before', () => {
  fc.assert(
    fc.property(fc.array(fc.nat(CLIENTS - 1), { maxLength: 40 }), fc.nat(5), fc.nat(CLIENTS), (arrivals, served, client) => {
      const cells = emptyQueue();
      for (const each of arrivals) joined(cells, each);
      for (let count = 0; count < served; count++) {
        const next = first(cells, 0);
        if (next !== undefined) serve(cells, next.row);
      }
      const said = aheadOf(cells, 0, client);
      const row = joined(cells, client);
      assert.equal(serveAll(cells).indexOf(row), said);
    }),
  );
});
