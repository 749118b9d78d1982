import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { fingerprintOf } from '../../../src/dataplane/fingerprint.ts';
import { ClientIndex, type Identity, identityOf, isClient, matchesIdentity } from '../../../src/domain/identity.ts';
import { ANY_NAME_MATCH, type Client } from '../../../src/domain/model.ts';
import { intersect, parseUriPattern, patternTakes, takesIn, type UriPattern } from '../../../src/domain/uri-pattern.ts';
import { sampleClient } from '../../support/sample-state.ts';
import { certificate } from './tricky-certificates.ts';

function pattern(text: string): UriPattern {
  const parsed = parseUriPattern(text);
  assert.ok(!('problem' in parsed), 'problem' in parsed ? parsed.problem : '');
  return parsed;
}

/** The definition, by trying everything: `*` is one segment, `**` is one or more. */
function takes(wanted: readonly string[], given: readonly string[]): boolean {
  const [first, ...rest] = wanted;
  if (first === undefined) return given.length === 0;
  if (given.length === 0) return false;
  if (first === '**') return given.some((_, index) => takes(rest, given.slice(index + 1)));
  return (first === '*' || first === given[0]) && takes(rest, given.slice(1));
}

const SEGMENT = fc.constantFrom('a', 'b', 'c');
const PATH = fc.array(SEGMENT, { minLength: 1, maxLength: 5 });
const WILD = fc
  .array<string>(fc.oneof(SEGMENT, fc.constant('*')), { minLength: 0, maxLength: 4 })
  .chain((segments) => fc.tuple(fc.constant(segments), fc.option(fc.nat(segments.length))))
  .map(([segments, many]) => (many === null ? segments : segments.toSpliced(many, 0, '**')))
  .filter((segments) => segments.length > 0);
const ORIGIN = fc.constantFrom('spiffe://x', 'spiffe://y');
const uriOf = (origin: string, path: readonly string[]) => `${origin}/${path.join('/')}`;

function clientOf(id: string, uri: string): Client {
  return { ...sampleClient(id, ['web']), match: { ...ANY_NAME_MATCH, uri } };
}

function identityWith(...uriNames: string[]): Identity {
  return { commonName: undefined, dnsNames: [], uriNames, organizationalUnits: [], fingerprint: 'ab'.repeat(32), twins: [] };
}

/** All paths of up to five of the letters: more cannot tell two patterns of at most four apart. */
const ALL = Array.from({ length: 5 }, (_, length) => length + 1).flatMap((length) =>
  Array.from({ length: 3 ** length }, (_, n) => Array.from({ length }, (_, at) => 'abc'[Math.floor(n / 3 ** at) % 3] ?? '')),
);

describe('a pattern', () => {
  test('takes what its definition says', () => {
    fc.assert(
      fc.property(ORIGIN, WILD, PATH, (origin, wanted, given) => {
        assert.equal(
          patternTakes(pattern(uriOf('SPIFFE://X', wanted)), uriOf(origin, given)),
          origin === 'spiffe://x' && takes(wanted, given),
        );
      }),
      { numRuns: 5000 },
    );
  });

  test('takes another in, and has URIs in common with it, as trying all says', () => {
    fc.assert(
      fc.property(WILD, WILD, (one, other) => {
        const [a, b] = [pattern(uriOf('spiffe://x', one)), pattern(uriOf('spiffe://x', other))];
        const common = ALL.some((path) => takes(one, path) && takes(other, path));
        // A pattern of nine segments may have its first common URI among longer paths.
        if (one.length + other.length <= 5) assert.equal(intersect(a, b), common);
        else if (common) assert.ok(intersect(a, b));
        if (takesIn(a, b)) assert.ok(ALL.every((path) => !takes(other, path) || takes(one, path)));
      }),
      { numRuns: 500 },
    );
  });

  test('finds its clients in an index as asking each of them does, through changes', () => {
    const CLIENTS = fc.uniqueArray(fc.tuple(fc.constantFrom('p', 'q', 'r', 's', 't'), ORIGIN, fc.oneof(WILD, PATH)), {
      selector: ([id]) => id,
    });
    fc.assert(
      fc.property(CLIENTS, CLIENTS, ORIGIN, PATH, (first, second, origin, path) => {
        const identity = identityWith(uriOf(origin, path));
        const [before, after] = [first, second].map(
          (list) => new Map(list.map(([id, at, wanted]) => [id, clientOf(id, uriOf(at, wanted))] as const)),
        );
        assert.ok(before !== undefined && after !== undefined);
        const index = new ClientIndex(before.values()).following(before, after);
        const all = [...after.values()].filter((each) => isClient(each, { identity, source: undefined }));
        const expected = all.length > 1 ? 'ambiguous' : (all[0] ?? 'unknown');
        assert.equal(index.find(identity), expected);
        assert.deepEqual(new Set(index.every({ identity, source: undefined })), new Set(all));
      }),
      { numRuns: 2000 },
    );
  });

  test('beside an exact URI that it takes makes a certificate ambiguous: nobody guesses which is meant', () => {
    const index = new ClientIndex([clientOf('exact', 'spiffe://x/a/b'), clientOf('wild', 'spiffe://x/a/*')]);
    assert.equal(index.find(identityWith('spiffe://x/a/b')), 'ambiguous');
    const other = index.find(identityWith('spiffe://x/a/c'));
    assert.ok(typeof other === 'object' && other.clientId === 'wild');
  });

  test('is found among ten thousand without asking each of them', () => {
    let asked = 0;
    const clients = Array.from({ length: 10_000 }, (_, n) => {
      const each = clientOf(`c${n}`, `spiffe://x/*/service-${n}/**`);
      return {
        ...each,
        get match() {
          asked++;
          return each.match;
        },
      };
    });
    const index = new ClientIndex(clients);
    asked = 0;
    const found = index.find(identityWith('spiffe://x/eu/service-4711/web'));
    assert.ok(typeof found === 'object' && found.clientId === 'c4711');
    assert.ok(asked < 10, `${asked} looks`);
  });

  for (const [text, problem] of [
    ['spiffe://x/foo*', /a wildcard for a part of the segment "foo\*"/],
    ['spiffe://x/a/***', /a wildcard for a part/],
    ['spiffe://x/**/a/**', /\*\* more than once/],
    ['spiffe://*/a', /wildcards in its path alone/],
    ['*://x/a', /wildcards in its path alone/],
    ['*', /wildcards in its path alone/],
    ['spiffe://x*', /wildcards in its path alone/],
    ['spiffe://x/a//*', /the segment ""/],
    ['spiffe://x/*/', /the segment ""/],
    ['spiffe://x/../*', /the segment "\.\."/],
    ['spiffe://x/%61/*', /the segment "%61"/],
    ['spiffe://x/a/*?b', /a part of the segment "\*\?b"/],
    ['spiffe://u@x/*', /wildcards in its path alone/],
  ] as const) {
    test(`is not ${text}`, () => {
      const parsed = parseUriPattern(text);
      assert.match('problem' in parsed ? parsed.problem : 'it was taken', problem);
    });
  }
});

describe('a URI that could be read in two ways is of no pattern', () => {
  const everything = ['spiffe://x/**', 'spiffe://x/a/*', 'spiffe://x/a/*/b', 'spiffe://x/*/b', 'spiffe://x/*', 'spiffe://x/a/**/b'];
  for (const uri of [
    'spiffe://x/a%2fb',
    'spiffe://x/a/%2e%2e/b',
    'spiffe://x/a/../b',
    'spiffe://x/a/./b',
    'spiffe://x//b',
    'spiffe://x/a//b',
    'spiffe://x/b/',
    'spiffe://x/',
    'spiffe://x',
    'spiffe://x/a/b?c',
    'spiffe://x/a/b#c',
    'spiffe://x/a\\b/b',
    'spiffe://x/a/ b',
    'spiffe://x/a/b, URI:spiffe://x/b',
    'spiffe://x/a\nURI:spiffe://x/b',
    'spiffe://x/b\0',
    'spiffe://x/*',
    'spiffe://x/a/**',
    'spiffe://x:443/b',
    'spiffe://u@x/b',
    'spiffe://x@y/b',
    'spiffe://x.y/b',
    'spiffe:/x/b',
    'spiffe:x/b',
    'https://x/b',
    ' spiffe://x/b',
    'spiffe://xn--x/b',
    'spiffe://x/é',
    `spiffe://x/${'a'.repeat(3000)}`,
  ]) {
    test(JSON.stringify(uri.slice(0, 60)), async () => {
      const identity = identityOf(await certificate({ uri: [uri] }), fingerprintOf);
      assert.ok(identity !== 'ambiguous');
      for (const text of everything) assert.equal(matchesIdentity({ ...ANY_NAME_MATCH, uri: text }, identity), false, text);
      assert.equal(new ClientIndex(everything.map((text) => clientOf(text, text))).find(identity), 'unknown');
    });
  }

  test('but one in capitals is that of the same trust domain, as the standard says', async () => {
    const identity = identityOf(await certificate({ uri: ['SPIFFE://X/a/Web-1.prod_2'] }), fingerprintOf);
    assert.ok(identity !== 'ambiguous' && matchesIdentity({ ...ANY_NAME_MATCH, uri: 'spiffe://x/a/*' }, identity));
  });
});
