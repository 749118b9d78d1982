import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { fingerprintOf } from '../../../src/dataplane/fingerprint.ts';
import { ClientIndex, displayName, type Identity, identityOf, matchesIdentity } from '../../../src/domain/identity.ts';
import { ANY_NAME_MATCH, type Client, type IdentityMatch } from '../../../src/domain/model.ts';
import { client } from './snapshots.ts';
import { type CertificateText, certificate, utf8 } from './tricky-certificates.ts';

async function identityIn(text: CertificateText): Promise<Identity> {
  const identity = identityOf(await certificate(text), fingerprintOf);
  if (identity === 'ambiguous') assert.fail('the certificate is ambiguous');
  return identity;
}

/** The names of an identity, without the fingerprint that is another for each certificate. */
async function namesIn(text: CertificateText) {
  const { commonName, dnsNames, uriNames, organizationalUnits } = await identityIn(text);
  return { cn: commonName, dns: dnsNames, uri: uriNames, ou: organizationalUnits };
}

const NO_NAMES = { cn: undefined, dns: [], uri: [], ou: [] };

describe('the identity in an ordinary certificate', () => {
  test('has the common name, the units and the alternative names', async () => {
    const text = {
      subject: [{ OU: ['ops'] }, { O: ['Example'] }, { OU: ['db'] }, { CN: ['clientA.example.com'] }],
      dns: ['ClientA.Example.com', 'b.example.com'],
      uri: ['spiffe://example.com/ns/default/sa/a'],
      others: [
        { type: 'email' as const, value: 'a@example.com' },
        { type: 'ip' as const, value: '10.0.0.1' },
      ],
    };
    assert.deepEqual(await namesIn(text), {
      cn: 'clientA.example.com',
      dns: ['clienta.example.com', 'b.example.com'],
      uri: ['spiffe://example.com/ns/default/sa/a'],
      ou: ['ops', 'db'],
    });
  });

  test('has the fingerprint in the form that openssl and the configuration use', async () => {
    const made = await certificate({ subject: [{ CN: ['a'] }] });
    const identity = identityOf(made, fingerprintOf);
    assert.ok(identity !== 'ambiguous' && /^[\da-f]{64}$/.test(identity.fingerprint));
    assert.equal(identity.fingerprint, made.fingerprint256.replaceAll(':', '').toLowerCase());
  });

  test('may have no name at all', async () => {
    assert.deepEqual(await namesIn({}), NO_NAMES);
  });

  test('keeps characters that the printed form escapes', async () => {
    for (const name of [
      'a, b',
      'a+b',
      'a;b',
      '"a"',
      'a\\b',
      'a\\41',
      '<a>',
      '#a',
      ' a ',
      'a=b',
      '=a',
      'ä 漢 😀',
      'a + CN=b',
      'a \\+ CN=b',
      'CN=b',
      '\\',
    ]) {
      assert.equal((await identityIn({ subject: [{ CN: utf8(name) }] })).commonName, name);
    }
  });

  test('reads every attribute where one set of the subject holds several', async () => {
    const subject = [{ OU: utf8('ops + CN=admin', 'a '), CN: utf8('clientA') }];
    assert.deepEqual(await namesIn({ subject }), { ...NO_NAMES, cn: 'clientA', ou: ['ops + CN=admin', 'a '] });
  });
});

describe('more than one common name is ambiguous', () => {
  for (const { name, subject } of [
    { name: 'one after the other', subject: [{ CN: ['a'] }, { CN: ['b'] }] },
    { name: 'with other attributes between', subject: [{ CN: ['a'] }, { O: ['x'] }, { CN: ['b'] }] },
    { name: 'in one set', subject: [{ CN: ['a', 'b'] }] },
    { name: 'the same twice', subject: [{ CN: ['a'] }, { CN: ['a'] }] },
    { name: 'one of them with a control character', subject: [{ CN: ['a'] }, { CN: utf8('b\n') }] },
    { name: 'one of them empty', subject: [{ CN: utf8('') }, { CN: ['a'] }] },
  ]) {
    test(name, async () => assert.equal(identityOf(await certificate({ subject }), fingerprintOf), 'ambiguous'));
  }
});

describe('a name that pretends to be two, or another, is not believed', () => {
  const tricks: readonly { readonly name: string; readonly text: CertificateText }[] = [
    { name: 'a newline in the common name', text: { subject: [{ CN: utf8('x\nCN=victim') }] } },
    { name: 'a newline in another attribute', text: { subject: [{ O: utf8('x\nCN=victim') }] } },
    { name: 'a carriage return', text: { subject: [{ CN: utf8('victim\r') }] } },
    { name: 'a NUL after the name', text: { subject: [{ CN: utf8('victim\0.evil.example') }] } },
    { name: 'a NUL at the end', text: { subject: [{ CN: utf8('victim\0') }] } },
    { name: 'a plus in the organization', text: { subject: [{ O: utf8('x + CN=victim') }] } },
    { name: 'an escaped newline as text', text: { subject: [{ O: utf8('x\\0ACN=victim') }] } },
    { name: 'a comma in the common name', text: { subject: [{ CN: utf8('victim, O=x') }] } },
    { name: 'an attribute of an unknown kind', text: { subject: [{ '1.2.3.4': utf8('x\nCN=victim') }] } },
    { name: 'a comma in a DNS name', text: { dns: ['x.example, DNS:victim'] } },
    { name: 'a newline in a DNS name', text: { dns: ['x\nDNS:victim'] } },
    { name: 'a NUL in a DNS name', text: { dns: ['victim\0.evil.example'] } },
    { name: 'quotes around a DNS name', text: { dns: ['"victim"'] } },
    { name: 'a quote that ends early', text: { dns: ['x", DNS:victim, DNS:"y'] } },
    { name: 'a blank before a DNS name', text: { dns: [' victim'] } },
    { name: 'a dot after a DNS name', text: { dns: ['victim.'] } },
    { name: 'a comma in a URI', text: { uri: ['http://x/, DNS:victim, URI:victim'] } },
    { name: 'a comma in an e-mail address', text: { others: [{ type: 'email', value: 'x, DNS:victim' }] } },
    { name: 'a comma in a directory name', text: { others: [{ type: 'dn', value: 'CN=x\\, DNS:victim' }] } },
    { name: 'a comma in a user principal name', text: { others: [{ type: 'upn', value: 'x, DNS:victim' }] } },
    { name: 'a directory name of that common name', text: { others: [{ type: 'dn', value: 'CN=victim' }] } },
    { name: 'an e-mail address of that name', text: { others: [{ type: 'email', value: 'victim' }] } },
  ];
  const index = new ClientIndex([client('victim', ['g'])]);

  for (const { name, text } of tricks) {
    test(name, async () => {
      const identity = await identityIn(text);
      assert.equal(index.find(identity), 'unknown');
      for (const field of ['cn', 'dns', 'uri', 'ou'] as const) {
        assert.equal(matchesIdentity({ ...ANY_NAME_MATCH, [field]: 'victim' }, identity), false, field);
      }
    });
  }

  test('names that follow an odd one still count', async () => {
    const text: CertificateText = {
      others: [
        { type: 'upn', value: 'x, y' },
        { type: 'dn', value: 'CN=z' },
      ],
      dns: ['a"b', '', 'real.example'],
    };
    assert.deepEqual((await identityIn(text)).dnsNames, ['a"b', 'real.example']);
  });

  test('a control character makes a name nobody, not an error', async () => {
    assert.deepEqual(
      await namesIn({ subject: [{ CN: utf8('\u001b[2J') }, { OU: utf8('\u007f') }], dns: ['\u0001'], uri: ['a\tb'] }),
      NO_NAMES,
    );
  });
});

const IDENTITY: Identity = {
  commonName: 'web-1',
  dnsNames: ['web.example.com', 'www.example.com'],
  uriNames: ['spiffe://example.com/web'],
  organizationalUnits: ['front', 'ops'],
  fingerprint: 'ab'.repeat(32),
  twins: [],
};

describe('a match', () => {
  for (const { match, expected } of [
    { match: {}, expected: false },
    { match: { cn: 'web-1' }, expected: true },
    { match: { cn: 'WEB-1' }, expected: false },
    { match: { cn: 'web' }, expected: false },
    { match: { dns: 'www.example.com' }, expected: true },
    { match: { dns: 'WWW.Example.com' }, expected: true },
    { match: { dns: 'example.com' }, expected: false },
    { match: { dns: '*.example.com' }, expected: false },
    { match: { uri: 'spiffe://example.com/web' }, expected: true },
    { match: { uri: 'spiffe://example.com/web/2' }, expected: false },
    { match: { ou: 'ops' }, expected: true },
    { match: { fingerprint: 'ab'.repeat(32) }, expected: true },
    { match: { fingerprint: 'cd'.repeat(32) }, expected: false },
    { match: { cn: 'web-1', ou: 'front', dns: 'web.example.com' }, expected: true },
    { match: { cn: 'web-1', ou: 'back' }, expected: false },
  ] satisfies readonly { match: Partial<IdentityMatch>; expected: boolean }[]) {
    test(`${JSON.stringify(match)} is ${expected}`, () =>
      assert.equal(matchesIdentity({ ...ANY_NAME_MATCH, ...match }, IDENTITY), expected));
  }
});

describe('the client of an identity', () => {
  const byId = client('web-1', ['g']);
  const byDns = client('site', ['g'], { match: { ...ANY_NAME_MATCH, dns: 'Web.example.com' } });
  const byUnit = client('operators', ['g'], { match: { ...ANY_NAME_MATCH, ou: 'ops', cn: 'web-2' } });
  const byPin = client('pinned', ['g'], { match: { ...ANY_NAME_MATCH, fingerprint: 'ab'.repeat(32) } });

  for (const { name, clients, identity, expected } of [
    { name: 'by its id as the common name', clients: [byId], identity: IDENTITY, expected: byId },
    {
      name: 'by its id as a DNS name, in any case',
      clients: [client('WWW.example.com', ['g'])],
      identity: IDENTITY,
      expected: 'WWW.example.com',
    },
    {
      name: 'by its id as a URI',
      clients: [client('spiffe://example.com/web', ['g'])],
      identity: IDENTITY,
      expected: 'spiffe://example.com/web',
    },
    {
      name: 'once, though its id is in the certificate twice',
      clients: [byId],
      identity: { ...IDENTITY, dnsNames: ['web-1'] },
      expected: byId,
    },
    { name: 'by a DNS name', clients: [byDns], identity: IDENTITY, expected: byDns },
    { name: 'by the fingerprint', clients: [byPin], identity: IDENTITY, expected: byPin },
    { name: 'only where all of its match fits', clients: [byUnit], identity: IDENTITY, expected: 'unknown' },
    {
      name: 'among others of the same unit',
      clients: [byUnit, byDns],
      identity: { ...IDENTITY, commonName: 'web-2', dnsNames: [] },
      expected: byUnit,
    },
    {
      name: 'not by its id where it has a match',
      clients: [client('web-1', ['g'], { match: byUnit.match })],
      identity: IDENTITY,
      expected: 'unknown',
    },
    { name: 'not by its id as a unit', clients: [client('ops', ['g'])], identity: IDENTITY, expected: 'unknown' },
    { name: 'unknown where there is none', clients: [], identity: IDENTITY, expected: 'unknown' },
    { name: 'ambiguous where two fit', clients: [byId, byPin], identity: IDENTITY, expected: 'ambiguous' },
    {
      name: 'ambiguous where two fit by names of one kind',
      clients: [client('web.example.com', ['g']), client('www.example.com', ['g'])],
      identity: IDENTITY,
      expected: 'ambiguous',
    },
  ]) {
    test(name, () => {
      const found = new ClientIndex(clients).find(identity);
      const known = clients.find(({ clientId }) => clientId === expected);
      assert.equal(found, known ?? expected);
    });
  }
});

test('a log calls an identity by its common name, else an alternative name, else the fingerprint', () => {
  const nameless = { ...IDENTITY, commonName: undefined };
  assert.equal(displayName(IDENTITY), 'web-1');
  assert.equal(displayName(nameless), 'web.example.com');
  assert.equal(displayName({ ...nameless, dnsNames: [] }), 'spiffe://example.com/web');
  assert.equal(displayName({ ...nameless, dnsNames: [], uriNames: [] }), 'ab'.repeat(32));
});

test('an index that follows changes finds what a new one would, and leaves the one before as it was', () => {
  const match = fc.constantFrom<Partial<IdentityMatch>>({}, { cn: 'a' }, { dns: 'b' }, { ou: 'x' }, { fingerprint: 'ab'.repeat(32) });
  const clients = fc
    .uniqueArray(fc.tuple(fc.constantFrom('a', 'b', 'c', 'd'), match), { selector: ([id]) => id })
    .map((each) => new Map(each.map(([id, fields]) => [id, client(id, ['web'], { match: { ...ANY_NAME_MATCH, ...fields } })])));
  const identities = ['a', 'b', 'c', 'd'].flatMap((name) =>
    ['x', 'y'].map((unit) => ({
      commonName: name,
      dnsNames: ['b'],
      uriNames: [],
      organizationalUnits: [unit],
      fingerprint: 'ab'.repeat(32),
      twins: [],
    })),
  );
  const answers = (index: ClientIndex) => identities.map((identity) => index.find(identity));
  fc.assert(
    fc.property(fc.array(clients, { minLength: 2, maxLength: 5 }), (states) => {
      let before: ReadonlyMap<string, Client> = new Map();
      let index = new ClientIndex([]);
      for (const after of states) {
        const [was, next] = [answers(index), index.following(before, after)];
        assert.deepEqual(answers(next), answers(new ClientIndex(after.values())));
        assert.deepEqual(answers(index), was);
        [before, index] = [after, next];
      }
    }),
  );
});
