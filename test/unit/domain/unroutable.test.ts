import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { unroutableClients } from '../../../src/domain/unroutable.ts';
import { sampleClient, sampleListener } from '../../support/sample-state.ts';

const open = sampleListener('open');
const mail = sampleListener('mail', { targetGroup: 'mail' });
const routed = sampleListener('routed', { routes: [{ sni: 'db.test', alpn: undefined, targetGroup: 'db' }] });
const both = sampleClient('both', ['web', 'db']);

describe('a client is warned of', () => {
  for (const { name, client, listeners, expected } of [
    {
      name: 'several groups and no route',
      client: both,
      listeners: [open],
      expected: /^client "both" may reach 2 groups, .*\(no_route\)$/,
    },
    { name: 'listeners of other groups', client: both, listeners: [open, mail], expected: /\(no_route or not_authorized\)$/ },
    { name: 'no listener at all', client: both, listeners: [], expected: /\(no_route\)$/ },
  ]) {
    test(name, () => {
      const [warning, ...others] = unroutableClients([client], listeners);
      assert.match(warning ?? '', expected);
      assert.deepEqual(others, []);
    });
  }
});

describe('nothing is said of', () => {
  for (const { name, client, listeners } of [
    { name: 'one group, which needs no route', client: sampleClient('one', ['web']), listeners: [open] },
    { name: 'a route to one of its groups', client: both, listeners: [open, routed] },
    { name: 'a listener of one of its groups', client: both, listeners: [sampleListener('web', { targetGroup: 'web' })] },
  ]) {
    test(name, () => assert.deepEqual(unroutableClients([client], listeners), []));
  }
});

test('of many such clients the first are named and the rest counted', () => {
  const many = Array.from({ length: 25 }, (_, index) => sampleClient(`c${index}`, ['web', 'db']));
  const warnings = unroutableClients(many, [open]);
  assert.equal(warnings.length, 21);
  assert.equal(warnings.at(-1), 'and 5 more clients like that');
});
