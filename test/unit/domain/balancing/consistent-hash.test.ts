import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { hashText } from '../../../../src/domain/balancing/hash.ts';
import { maglevTable } from '../../../../src/domain/balancing/maglev.ts';
import { Chooser, names, server, type TestServer } from './servers.ts';

const list = (count: number, changes: Partial<TestServer> = {}) =>
  Array.from({ length: count }, (_, index) => server(`s${index}`, 1, 0, changes));
const keys = (count: number) => Array.from({ length: count }, (_, index) => hashText(`client-${index}`));

describe('clientHash and sourceHash', () => {
  test('a key goes to the same server in every thread, after every restart, whatever the order of the list', () => {
    const servers = list(20);
    const [one, other] = [new Chooser('clientHash', servers), new Chooser('clientHash', servers.toReversed())];
    for (const key of keys(500)) assert.equal(one.order(key)[0], other.order(key)[0]);
  });

  test('the hash of a name is what it always was', () => {
    const hashes = ['', 'a', 'clientA.bardomain.com', 'ü'].map((text) => hashText(text));
    assert.deepEqual(hashes, [2_872_998_923, 444_641_715, 833_103_215, 134_528_209]);
  });

  test('while a server is away only its own keys move, and they come back with it', () => {
    const servers = list(10);
    const chooser = new Chooser('sourceHash', servers);
    const before = keys(2000).map((key) => chooser.order(key)[0]);
    const away = servers[3];
    chooser.balancer.update(
      servers.filter((one) => one !== away),
      servers,
    );
    for (const [index, key] of keys(2000).entries()) {
      const now = chooser.order(key)[0];
      if (before[index] === away) assert.notEqual(now, away);
      else assert.equal(now, before[index]);
    }
    chooser.balancer.update(servers, servers);
    assert.deepEqual(
      keys(2000).map((key) => chooser.order(key)[0]),
      before,
    );
  });

  test('the keys of a server that is away are spread over the others', () => {
    const servers = list(5);
    const chooser = new Chooser('sourceHash', servers);
    const second = new Set(keys(300).flatMap((key) => (chooser.order(key)[0] === servers[0] ? [chooser.order(key)[1]] : [])));
    assert.equal(second.size, 4);
  });

  test('the shares of servers go by their weights', () => {
    const table = maglevTable([server('a', 1), server('b', 2), server('c', 5), server('d', 0)], 65_537);
    const counts = [0, 0, 0, 0];
    for (const place of table) counts[place] = (counts[place] ?? 0) + 1;
    for (const [place, share] of [1 / 8, 2 / 8, 5 / 8, 0].entries()) {
      assert.ok(Math.abs((counts[place] ?? 0) / 65_537 - share) < 0.001, `${counts}`);
    }
  });

  test('with bounded load, no server gets more than its bound, whatever the keys', () => {
    const anyStep = fc.record({ key: fc.nat({ max: 20 }), ends: fc.option(fc.nat(), { nil: undefined }) });
    const anyGroup = fc.array(fc.integer({ min: 1, max: 8 }), { minLength: 1, maxLength: 12 });
    fc.assert(
      fc.property(
        anyGroup,
        fc.integer({ min: 101, max: 300 }),
        fc.array(anyStep, { maxLength: 300, size: 'max' }),
        (weights, factor, steps) => {
          const servers = weights.map((weight, index) => server(`s${index}`, weight));
          const chooser = new Chooser('clientHash', servers, Math.random, factor);
          const weightOfAll = weights.reduce((sum, weight) => sum + weight);
          for (const { key, ends } of steps) {
            if (ends !== undefined) {
              chooser.end(servers[ends % servers.length] ?? assert.fail('there is one'));
              continue;
            }
            const picked = chooser.take({ key: hashText(String(key)), hold: true });
            const total = servers.reduce((sum, { connections }) => sum + connections, 0);
            assert.ok(picked !== undefined);
            assert.ok(picked.connections <= Math.ceil((factor / 100) * ((total * picked.weight) / weightOfAll)));
          }
        },
      ),
    );
  });

  test('without a bound one key goes to one server, however many connections it has', () => {
    const chooser = new Chooser('clientHash', list(5), Math.random, 0);
    assert.equal(new Set(Array.from({ length: 100 }, () => chooser.take({ key: 7, hold: true }))).size, 1);
  });

  test('a server whose agent halves its weight gets half of its keys, and no other keys than before', () => {
    const servers = list(4);
    const chooser = new Chooser('clientHash', servers);
    const before = keys(4000).filter((key) => chooser.order(key)[0] === servers[0]);
    const halved = servers[0] ?? assert.fail();
    halved.capacity = 0.5;
    const after = keys(4000).filter((key) => chooser.order(key)[0] === halved);
    assert.ok(after.every((key) => before.includes(key)));
    assert.ok(Math.abs(after.length / before.length - 0.5) < 0.06, `${after.length} of ${before.length}`);
    assert.equal(names(chooser.order(before[0])).split(' ').length, 4);
  });
});
