import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import type { AddressGuard } from '../../../src/domain/model.ts';
import { type AddressPlace, AddressTable, createAddressMemory, releaseAddressLane } from '../../../src/shared/memory/address-table.ts';

const OPEN: AddressGuard = { connectionsPerSecond: undefined, burst: 1, pendingHandshakes: undefined, concurrentConnections: undefined };

function entered(place: ReturnType<AddressTable['enter']>): AddressPlace {
  assert.ok(typeof place === 'object', `let in, not ${place}`);
  return place;
}

test('the bounds hold over all lanes, for each address and listener apart', () => {
  const memory = createAddressMemory(2);
  const tables = [new AddressTable(memory, 0), new AddressTable(memory, 1)] as const;
  const bounds = { ...OPEN, concurrentConnections: 3, pendingHandshakes: 2 };
  const first = entered(tables[0].enter('a', 7n, bounds, 1));
  entered(tables[1].enter('a', 7n, bounds, 1));
  assert.equal(tables[0].enter('a', 7n, bounds, 1), 'pendingHandshakes');
  first.shaken();
  first.shaken();
  entered(tables[1].enter('a', 7n, bounds, 1)).shaken();
  assert.equal(tables[0].enter('a', 7n, bounds, 1), 'concurrentConnections');
  assert.deepEqual(tables[1].peek('a', 7n, bounds, 1), { pending: 1, held: 3, bound: 'concurrentConnections' });
  entered(tables[0].enter('b', 7n, bounds, 1));
  entered(tables[0].enter('a', 8n, bounds, 1));
  first.release();
  first.release();
  assert.deepEqual(tables[1].peek('a', 7n, bounds, 1), { pending: 1, held: 2, bound: undefined });
});

test('who came before there were bounds is counted once there are, and given back once', () => {
  const memory = createAddressMemory(2);
  const [table, other] = [new AddressTable(memory, 0), new AddressTable(memory, 1)];
  const [done, shaking, left] = [table.enterUncounted('a', 7n), table.enterUncounted('a', 7n), table.enterUncounted('a', 7n)];
  table.enterUncounted('b', 7n);
  done.shaken();
  left.release();
  assert.deepEqual(other.peek('a', 7n, OPEN, 1), { pending: 0, held: 0, bound: undefined });
  table.count('a', 1);
  table.count('a', 1);
  const bounds = { ...OPEN, concurrentConnections: 2 };
  assert.deepEqual(other.peek('a', 7n, bounds, 1), { pending: 1, held: 2, bound: 'concurrentConnections' });
  assert.equal(other.peek('b', 7n, bounds, 1).held, 0);
  shaking.shaken();
  assert.deepEqual(other.peek('a', 7n, OPEN, 1), { pending: 0, held: 2, bound: undefined });
  for (const place of [done, shaking, left, done]) place.release();
  assert.deepEqual(other.peek('a', 7n, OPEN, 1), { pending: 0, held: 0, bound: undefined });
});

test('new connections are let in as a token bucket does', () => {
  const memory = createAddressMemory(2);
  const tables = [new AddressTable(memory, 0), new AddressTable(memory, 1)] as const;
  const bounds = { ...OPEN, connectionsPerSecond: 10, burst: 3 };
  const admitted = (nowMs: number) =>
    Array.from({ length: 6 }, (_, index) => tables[index % 2 === 0 ? 0 : 1].enter('a', 1n, bounds, nowMs)).filter(
      (place) => place !== 'connectionsPerSecond',
    ).length;
  assert.deepEqual([admitted(1000), admitted(1000), admitted(1100), admitted(1250), admitted(9000)], [3, 0, 1, 1, 3]);
});

test('what a dead worker held is taken out, and what the others hold stays', () => {
  const memory = createAddressMemory(2);
  const [dead, alive] = [new AddressTable(memory, 0), new AddressTable(memory, 1)];
  for (let address = 0n; address < 100n; address++) entered(dead.enter('a', address, OPEN, 1));
  entered(alive.enter('a', 5n, OPEN, 1));
  releaseAddressLane(memory, 0);
  for (let address = 0n; address < 100n; address++) {
    assert.equal(alive.peek('a', address, OPEN, 1).held, address === 5n ? 1 : 0);
  }
});

test('more addresses than there is room for leave memory as it is, and those that hold connections known', () => {
  const table = new AddressTable(createAddressMemory(1), 0);
  const bounds = { ...OPEN, concurrentConnections: 1 };
  const held = Array.from({ length: 200 }, (_, index) => BigInt(index));
  for (const address of held) entered(table.enter('a', address, bounds, 1));
  // Four times the entries of the table, each seen and gone.
  for (let address = 1_000n; address < 262_144n; address++) table.enter('a', address << 64n, bounds, 2 + Number(address));
  let forgotten = 0;
  for (const address of held) if (table.enter('a', address, bounds, 999_999) !== 'concurrentConnections') forgotten++;
  assert.equal(forgotten, 0);
});

test('when every entry of a row holds connections, one more address goes unbounded', () => {
  const table = new AddressTable(createAddressMemory(1), 0);
  let unbounded = 0;
  for (let address = 0n; address < 80_000n; address++) if (table.enter('a', address, OPEN, 1) === undefined) unbounded++;
  // 65,536 entries: at least so many do not fit, and nearly all others do.
  assert.ok(unbounded >= 80_000 - 65_536 && unbounded < 30_000, `${unbounded}`);
});

test('as many are held as were let in and not released, whatever the order', () => {
  fc.assert(
    fc.property(fc.array(fc.tuple(fc.nat(2), fc.bigInt({ min: 0n, max: 3n }), fc.boolean()), { maxLength: 60 }), (steps) => {
      const memory = createAddressMemory(3);
      const tables = [0, 1, 2].map((lane) => new AddressTable(memory, lane));
      const held = new Map<bigint, AddressPlace[]>();
      for (const [lane, address, leaves] of steps) {
        const table = tables[lane];
        const places = held.get(address) ?? [];
        if (leaves) places.pop()?.release();
        else places.push(entered(table?.enter('a', address, OPEN, 1)));
        held.set(address, places);
        assert.equal(tables[0]?.peek('a', address, OPEN, 1).held, places.length);
      }
    }),
    { numRuns: 20 },
  );
});
