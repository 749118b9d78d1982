import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { decide, type Requested } from '../../../src/domain/authz.ts';
import type { Route } from '../../../src/domain/model.ts';
import { client, listener } from './snapshots.ts';

const route = (targetGroup: string, match: Partial<Route> = {}): Route => ({ sni: undefined, alpn: undefined, ...match, targetGroup });

describe('where a client goes, and whether it may', () => {
  const both = ['web', 'db'];
  const bySni = listener('l', { routes: [route('web', { sni: 'Web.example.com' }), route('db', { sni: '*.db.example.com' })] });
  const byAlpn = listener('l', { routes: [route('web', { alpn: 'h2', sni: 'a.example.com' }), route('db', { alpn: 'postgresql' })] });
  const byPort = listener('l', { targetGroup: 'db', routes: [route('web')] });
  const open = listener('l');

  for (const { name, groups, at, sni, alpn, expected } of [
    { name: "the listener's group comes before its routes", groups: both, at: byPort, expected: 'db' },
    { name: "the listener's group needs the permission", groups: ['web'], at: byPort, expected: 'not_authorized' },
    { name: 'a route by SNI, in any case', groups: both, at: bySni, sni: 'web.example.com', expected: 'web' },
    { name: 'a route by wildcard SNI', groups: both, at: bySni, sni: 'a.db.example.com', expected: 'db' },
    { name: 'a wildcard stands for one label, not two', groups: both, at: bySni, sni: 'a.b.db.example.com', expected: 'no_route' },
    { name: 'a wildcard stands for one label, not none', groups: both, at: bySni, sni: 'db.example.com', expected: 'no_route' },
    { name: 'a wildcard stands for a label that is not empty', groups: both, at: bySni, sni: '.db.example.com', expected: 'no_route' },
    { name: 'a route needs the permission', groups: ['db'], at: bySni, sni: 'web.example.com', expected: 'not_authorized' },
    { name: 'another SNI falls back to the only group', groups: ['db'], at: bySni, sni: 'other.example.com', expected: 'db' },
    { name: 'no SNI falls back to the only group', groups: ['web'], at: bySni, expected: 'web' },
    { name: 'no SNI and two groups is no route', groups: both, at: bySni, expected: 'no_route' },
    { name: 'a route by ALPN', groups: both, at: byAlpn, alpn: 'postgresql', expected: 'db' },
    { name: 'a route of SNI and ALPN needs both', groups: both, at: byAlpn, alpn: 'h2', sni: 'b.example.com', expected: 'no_route' },
    { name: 'a route of SNI and ALPN with both', groups: both, at: byAlpn, alpn: 'h2', sni: 'a.example.com', expected: 'web' },
    {
      name: 'the first of two routes that match',
      groups: both,
      at: listener('l', { routes: [route('db'), route('web')] }),
      expected: 'db',
    },
    { name: 'without routes, the only group', groups: ['web'], at: open, expected: 'web' },
    { name: 'without routes, two groups are no route', groups: both, at: open, expected: 'no_route' },
    { name: 'a client of no group goes nowhere', groups: [], at: open, expected: 'no_route' },
  ] satisfies readonly ({ name: string; groups: string[]; at: typeof open; expected: string } & Partial<Requested>)[]) {
    test(`${name}: ${expected}`, () => {
      const decision = decide(client('a', groups), at, { sni, alpn });
      assert.equal(decision.allowed ? decision.targetGroup : decision.reason, expected);
    });
  }

  test('says which rule decided', () => {
    const { rule } = decide(client('a', both), bySni, { sni: 'x.db.example.com', alpn: undefined });
    assert.equal(rule, 'route 1 of listener l');
    assert.match(
      decide(client('a', ['web']), byPort, { sni: undefined, alpn: undefined }).rule,
      /listener l serves db; a may reach only web/,
    );
  });
});
