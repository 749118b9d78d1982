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
