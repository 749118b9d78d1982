import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { isInDate, isSuperseded, type ListInUse, listEnds } from '../../../src/domain/list-in-use.ts';

const ALWAYS = undefined;
const of = (authority: string, thisUpdateMs: number, nextUpdateMs: number | undefined, part = ''): ListInUse => ({
  ...{ usedBy: 'web', file: 'a.crl', issuer: 'CN=x', entries: 0 },
  ...{ authorities: [authority], part, thisUpdateMs, nextUpdateMs },
});

test('the end of a list harms nobody while another one of its CA is in date', () => {
  const first = of('a', 0, 10);
  const cases: readonly [name: string, nowMs: number, others: readonly ListInUse[], superseded: boolean][] = [
    ['alone', 5, [], false],
    ['alone, ended', 15, [], false],
    ['a newer one that lasts longer', 5, [of('a', 4, 20)], true],
    ['an older one that lasts longer', 5, [of('a', -4, 20)], true],
    ['one without an end', 99, [of('a', 4, ALWAYS)], true],
    ['a newer one, ended too', 20, [of('a', 4, 20)], false],
    ['one that begins with its end', 5, [of('a', 10, 20)], true],
    ['one that begins later', 5, [of('a', 11, 20)], false],
    ['one that began later', 11, [of('a', 11, 20)], true],
    ['one that ends with it', 5, [of('a', 4, 10)], false],
    ['one of another CA', 5, [of('b', 4, 20)], false],
    ['one of a part', 5, [of('a', 4, 20, 'users')], false],
  ];
  for (const [name, nowMs, others, superseded] of cases) {
    assert.equal(isSuperseded(first, [first, ...others], nowMs), superseded, name);
    assert.equal(isSuperseded(first, [...others, first], nowMs), superseded, `${name}, the other way round`);
  }
  const users = of('a', 0, 10, 'users');
  assert.deepEqual(
    [of('a', 4, 20), of('a', 4, 20, 'users'), of('a', 4, 20, 'authorities')].map((other) => isSuperseded(users, [users, other], 5)),
    [true, true, false],
  );
  const shared = { ...first, authorities: ['a', 'b'] };
  assert.equal(isSuperseded(shared, [shared, of('a', 4, 20)], 5), false, 'b has no other');
  assert.equal(isSuperseded(shared, [shared, of('a', 4, 20), of('b', 4, 20)], 5), true);
  assert.equal(isSuperseded(of('a', 0, ALWAYS), [of('a', 0, ALWAYS)], 5), false, 'there is no end');
});

test('of each CA the end is when its last list in date ends', () => {
  const cases: readonly [name: string, nowMs: number, lists: readonly ListInUse[], ends: Readonly<Record<string, number>>][] = [
    ['one list', 5, [of('a', 0, 10)], { a: 10 }],
    ['its successor beside it', 5, [of('a', 0, 10), of('a', 4, 20)], { a: 20 }],
    ['its successor beside it, ended', 15, [of('a', 0, 10), of('a', 4, 20)], { a: 20 }],
    ['the one that ends first was made last', 5, [of('a', 4, 10), of('a', 0, 20)], { a: 20 }],
    ['all ended', 25, [of('a', 0, 10), of('a', 4, 20)], { a: 20 }],
    ['one for after a gap', 5, [of('a', 0, 10), of('a', 15, 20)], { a: 10 }],
    ['in the gap', 12, [of('a', 0, 10), of('a', 15, 20)], { a: 10 }],
    ['after the gap', 15, [of('a', 0, 10), of('a', 15, 20)], { a: 20 }],
    ['one without an end', 5, [of('a', 0, 10), of('a', 4, ALWAYS)], {}],
    ['two CAs', 5, [of('a', 0, 10), of('b', 0, 30), of('a', 4, 20)], { a: 20, b: 30 }],
    ['two parts', 5, [of('a', 0, 10, 'users'), of('a', 0, 8, 'authorities'), of('a', 0, 9, 'authorities')], { a: 9 }],
  ];
  for (const [name, nowMs, lists, ends] of cases) {
    const found = listEnds(lists, nowMs);
    assert.deepEqual(Object.fromEntries(found.map(({ authority, endsAtMs }) => [authority, endsAtMs])), ends, name);
    assert.ok(found.every(({ usedBy, kind, file }) => usedBy === 'web' && kind === 'crl' && file === 'a.crl'));
  }
});

test('until the end that is told some list is in date, and at the end none is, or all have ended', () => {
  const spans = fc.array(fc.tuple(fc.nat(20), fc.integer({ min: 1, max: 10 })), { minLength: 1, maxLength: 4 });
  fc.assert(
    fc.property(spans, fc.nat(35), (made, nowMs) => {
      const lists = made.map(([from, length]) => of('a', from, from + length));
      const inDate = (atMs: number) => lists.some((list) => isInDate(list, atMs));
      const endsAtMs = listEnds(lists, nowMs)[0]?.endsAtMs ?? assert.fail('an end');
      assert.equal(inDate(endsAtMs) && endsAtMs >= nowMs, false);
      if (inDate(nowMs)) for (let atMs = nowMs; atMs < endsAtMs; atMs++) assert.ok(inDate(atMs), String(atMs));
      for (const list of lists.filter(({ nextUpdateMs }) => nextUpdateMs === endsAtMs))
        if (inDate(nowMs)) assert.equal(isSuperseded(list, lists, nowMs), false);
    }),
  );
});
