import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createBalancer, pick } from '../../src/index.ts';

test('the balancing works on plain objects, without the rest of the load balancer', () => {
  const balancer = createBalancer('leastConnections', Math.random);
  const near = { host: 'near', weight: 1, active: () => 3 };
  const far = { host: 'far', weight: 1, active: () => 1 };
  const picks = [() => true, (one: object) => one === near, () => false].map((usable) => pick(balancer, [near, far], usable));
  assert.deepEqual(picks, [far, near, undefined]);
});

test('asks whether a server is usable only until one is', () => {
  const asked: string[] = [];
  const list = Object.entries({ busy: 9, down: 0, free: 1 }).map(([name, active]) => ({ name, weight: 1, active: () => active }));
  const picked = pick(createBalancer<(typeof list)[number]>('leastConnections'), list, ({ name }) => {
    asked.push(name);
    return name !== 'down';
  });
  assert.equal(picked?.name, 'free');
  assert.deepEqual(asked, ['down', 'free']);
});

test('a key goes to one server, while that is usable', () => {
  const list = ['a', 'b', 'c'].map((name) => ({ address: name, weight: 1, active: () => 0 }));
  const balancer = createBalancer<(typeof list)[number]>('clientHash');
  const first = pick(balancer, list, () => true, 'somebody');
  assert.equal(
    pick(balancer, list, () => true, 'somebody'),
    first,
  );
  const second = pick(balancer, list, (one) => one !== first, 'somebody');
  assert.ok(second !== undefined && second !== first);
});

test('what callers without types give wrongly is refused with what to give', () => {
  const server = { weight: 1, active: () => 0 };
  const balancer = createBalancer('random');
  const cases: readonly (readonly [method: object, given: readonly unknown[], message: RegExp])[] = [
    [createBalancer, ['nope'], /^createBalancer takes an algorithm, one of leastConnections, .*, not "nope"$/],
    [createBalancer, [], /^createBalancer takes an algorithm, .*, not undefined$/],
    [createBalancer, ['random', 5], /^createBalancer takes random as a function, not 5$/],
    [pick, ['random', [server], () => true], /^pick takes a balancer that createBalancer made/],
    [pick, [balancer, server, () => true], /^pick takes a list of servers after the balancer$/],
    [pick, [balancer, [server]], /^pick takes a function after the servers/],
    [pick, [balancer, [server, 'a:1'], () => true], /^pick takes servers with .*; that in place 1 is another thing$/],
    [pick, [balancer, [null], () => true], /that in place 0 is another thing$/],
  ];
  for (const [method, given, message] of cases)
    assert.throws(() => Reflect.apply(Object(method), undefined, given), { name: 'TypeError', message });
});
