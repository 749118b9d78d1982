import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { NO_LIMITS } from '../../../src/domain/defaults.ts';
import { type Identity, isClient } from '../../../src/domain/identity.ts';
import { ANY_NAME_MATCH, type Client, type IdentityMatch } from '../../../src/domain/model.ts';
import { overlapsAmong, overlapsOf, takesInAll } from '../../../src/domain/overlap.ts';

function client(clientId: string, match: Partial<IdentityMatch> = {}): Client {
  return {
    clientId,
    match: { ...ANY_NAME_MATCH, ...match },
    allowedTargetGroups: [],
    limits: NO_LIMITS,
  };
}

describe('two clients', () => {
  const always: readonly [string, Client, Client][] = [
    ['the same common name', client('a', { cn: 'x' }), client('b', { cn: 'x' })],
    ['the same DNS name in another case', client('a', { dns: 'X.example' }), client('b', { dns: 'x.EXAMPLE' })],
    ['an id that is the common name of the other', client('a', { cn: 'b' }), client('b')],
    ['an id that is a DNS name of the other', client('a', { dns: 'B', ou: 'u' }), client('b')],
    ['a match that asks more than the other', client('a', { cn: 'x', ou: 'u' }), client('b', { cn: 'x' })],
    ['a URI that the pattern of the other takes', client('a', { uri: 'spiffe://x/a/b' }), client('b', { uri: 'spiffe://X/*/b' })],
    ['a pattern that the other takes in', client('a', { uri: 'spiffe://x/a/*' }), client('b', { uri: 'spiffe://x/**' })],
    ['one of a unit beside the whole unit', client('a', { uri: 'spiffe://x', ou: 'u' }), client('b', { ou: 'u' })],
  ];
  for (const [what, narrow, wide] of always) {
    test(`with ${what} overlap always, whichever is asked`, () => {
      const expected = [{ narrow: 'a', wide: 'b', always: true }];
      assert.deepEqual(overlapsOf(narrow, [wide]), expected);
      const [found] = overlapsOf(wide, [narrow]);
      assert.equal(found?.always, true);
    });
  }

  const maybe: readonly [string, Client, Client][] = [
    ['one DNS name and something else each', client('a', { dns: 'x', uri: 'spiffe://a' }), client('b', { dns: 'x', cn: 'b' })],
    ['patterns that some URI is of', client('a', { uri: 'spiffe://x/a/*' }), client('b', { uri: 'spiffe://x/*/b' })],
    ['an id that is a URI of the pattern', client('spiffe://x/a'), client('b', { uri: 'spiffe://x/*' })],
    ['ids that differ in case, as DNS names', client('a', {}), client('A', {})],
  ];
  for (const [what, one, other] of maybe) {
    test(`with ${what} may overlap`, () => {
      assert.deepEqual(
        overlapsOf(one, [other]).map((overlap) => overlap.always),
        [false],
      );
      assert.equal(overlapsAmong([one, other]).length, 1);
    });
  }

  const apart: readonly [string, Client, Client][] = [
    ['other ids', client('a'), client('b')],
    ['other common names beside one unit', client('a', { cn: 'x', ou: 'u' }), client('b', { cn: 'y', ou: 'u' })],
    ['other units of one DNS name', client('a', { dns: 'x', ou: 'u' }), client('b', { dns: 'x', ou: 'v' })],
    ['patterns of other lengths', client('a', { uri: 'spiffe://x/*' }), client('b', { uri: 'spiffe://x/*/*' })],
    ['the same id', client('a', { cn: 'x' }), client('a', { cn: 'x' })],
  ];
  for (const [what, one, other] of apart) {
    test(`with ${what} are told apart`, () => {
      assert.deepEqual(overlapsOf(one, [other]), []);
      assert.deepEqual(overlapsAmong([one, other]), []);
    });
  }
});

const NAME = fc.constantFrom('a', 'b', 'B');
const PATHS = ['a', 'a/b', 'b/a', 'a/b/c'].map((path) => `spiffe://x/${path}`);
const URI = fc.constantFrom(...PATHS, ...['*', '**', 'a/*', '*/b', 'a/**', '**/a', '*/*/c'].map((path) => `spiffe://x/${path}`));
const MATCH = fc.record({
  cn: fc.option(NAME, { nil: undefined }),
  dns: fc.option(NAME, { nil: undefined }),
  uri: fc.option(fc.oneof(NAME, URI), { nil: undefined }),
  ou: fc.option(NAME, { nil: undefined }),
  fingerprint: fc.option(fc.constantFrom('1', '2'), { nil: undefined }),
});
const IDENTITY: fc.Arbitrary<Identity> = fc.record({
  commonName: fc.option(NAME, { nil: undefined }),
  dnsNames: fc.subarray(['a', 'b']),
  uriNames: fc.subarray(['a', 'b', 'B', ...PATHS]),
  organizationalUnits: fc.subarray(['a', 'b', 'B']),
  fingerprint: fc.constantFrom('1', '2'),
  twins: fc.constant([]),
});
const CLIENTS = fc.uniqueArray(fc.tuple(fc.constantFrom('a', 'b', 'B', 'c', 'd'), MATCH), { selector: ([id]) => id, maxLength: 5 });

test('what always overlaps is so for each certificate, and the index finds every client that has no certificate of its own', () => {
  fc.assert(
    fc.property(CLIENTS, IDENTITY, (given, identity) => {
      const clients = given.map(([id, match]) => client(id, match));
      const byId = new Map(clients.map((each) => [each.clientId, each]));
      const indexed = overlapsAmong(clients);
      for (const { narrow, wide, always } of indexed) {
        const [inner, outer] = [byId.get(narrow), byId.get(wide)];
        assert.ok(inner !== undefined && outer !== undefined);
        const peer = { identity, source: undefined };
        if (always && isClient(inner, peer)) assert.ok(isClient(outer, peer));
      }
      const narrow = (overlaps: readonly { narrow: string; always: boolean }[]) =>
        new Set(overlaps.filter(({ always }) => always).map((each) => each.narrow));
      const oneByOne = clients.flatMap((each) =>
        clients.filter((other) => other !== each && hasField(each) && takesInAll(other, each.match)).map(() => each.clientId),
      );
      assert.deepEqual(narrow(indexed), new Set(oneByOne));
    }),
    { numRuns: 2000 },
  );
});

test('ten thousand clients are looked through without comparing each with each', () => {
  const clients = Array.from({ length: 10_000 }, (_, index) => client(`c${index}`, { cn: `c${index}`, ou: 'same', uri: 'spiffe://same' }));
  let looks = 0;
  const counted = clients.map((each) => ({
    clientId: each.clientId,
    get match() {
      looks++;
      return each.match;
    },
  }));
  assert.deepEqual(overlapsAmong(counted), []);
  assert.ok(looks < 10_000_000, `${looks} looks`);
});

function hasField({ match }: Client): boolean {
  return Object.values(match).some((value) => value !== undefined);
}
