import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { addressBits, addressText, contains, networkAround, parseCidr } from '../../../src/domain/cidr.ts';
import { ClientIndex, type Identity, isClient } from '../../../src/domain/identity.ts';
import { ANY_NAME_MATCH, type Client, type IdentityMatch } from '../../../src/domain/model.ts';
import { sampleClient } from '../../support/sample-state.ts';

const ALICE: Identity = {
  commonName: 'alice',
  dnsNames: [],
  uriNames: [],
  organizationalUnits: ['ops'],
  fingerprint: 'a'.repeat(64),
  twins: [],
};
const bits = (address: string) => addressBits(address) ?? assert.fail(address);
const client = (clientId: string, match: Partial<IdentityMatch>): Client =>
  sampleClient(clientId, ['web'], { match: { ...ANY_NAME_MATCH, ...match } });
const nameOf = (found: Client | 'unknown' | 'ambiguous') => (typeof found === 'string' ? found : found.clientId);

test('the longest network that holds the address wins, and two clients of one network are ambiguous', () => {
  const index = new ClientIndex([
    client('all', { cidr: '0.0.0.0/0' }),
    client('ten', { cidr: '10.0.0.0/8' }),
    client('one', { cidr: '10.1.2.3' }),
    client('site', { cidr: '2001:db8::/32' }),
    client('left', { cidr: '192.0.2.0/24' }),
    client('right', { cidr: '192.0.2.0/24' }),
  ]);
  for (const [address, expected] of [
    ['10.1.2.3', 'one'],
    ['::ffff:10.1.2.3', 'one'],
    ['10.1.2.4', 'ten'],
    ['11.0.0.1', 'all'],
    ['2001:db8:1::1', 'site'],
    ['2001:db9::1', 'unknown'],
    ['192.0.2.9', 'ambiguous'],
  ] as const) {
    assert.equal(nameOf(index.findBySource(bits(address))), expected, address);
  }
});

test('a network alone is no certificate’s, and beside a certificate’s field both must fit', () => {
  const lan = client('alice', { cidr: '10.0.0.0/8' });
  const both = client('ops', { ou: 'ops', cidr: '10.0.0.0/8' });
  const named = client('alice', {});
  const index = new ClientIndex([lan, both]);
  assert.equal(nameOf(index.find(ALICE, bits('10.0.0.1'))), 'ops');
  assert.equal(nameOf(index.find(ALICE, bits('11.0.0.1'))), 'unknown');
  assert.equal(nameOf(index.find(ALICE)), 'ops', 'wherever it comes from');
  assert.equal(nameOf(index.findBySource(bits('10.0.0.1'))), 'alice');
  for (const [who, identity, address, expected] of [
    [lan, ALICE, '10.0.0.1', false],
    [lan, undefined, '10.0.0.1', true],
    [lan, undefined, '11.0.0.1', false],
    [both, undefined, '10.0.0.1', false],
    [both, ALICE, '11.0.0.1', false],
    [named, ALICE, '11.0.0.1', true],
    [named, undefined, '11.0.0.1', false],
  ] as const) {
    assert.equal(isClient(who, { identity, source: bits(address) }), expected, `${who.clientId} ${address}`);
  }
});

test('an index that follows changes finds what one made anew finds, and what looking at every client finds', () => {
  const network = fc
    .tuple(fc.constantFrom('10.0.0.1', '10.1.0.1', '10.1.2.3', '2001:db8::1'), fc.nat(32))
    .map(([address, length]) => {
      const prefix = address.includes(':') ? length : 96 + length;
      return `${addressText(networkAround(bits(address), prefix).bits)}/${length}`;
    })
    .filter((cidr) => !('problem' in parseCidr(cidr)));
  const clients = fc.uniqueArray(fc.tuple(fc.constantFrom('a', 'b', 'c', 'd'), network), { selector: ([id]) => id });
  fc.assert(
    fc.property(clients, clients, (first, second) => {
      const asClients = (list: typeof first) => new Map(list.map(([id, cidr]) => [id, client(id, { cidr })]));
      const [before, after] = [asClients(first), asClients(second)];
      const followed = new ClientIndex(before.values()).following(before, after);
      const anew = new ClientIndex(after.values());
      for (const address of ['10.0.0.1', '10.1.0.1', '10.1.2.3', '2001:db8::1', '192.0.2.1'].map(bits)) {
        const holding = [...after.values()].map((each) => ({ each, net: parseCidr(each.match.cidr ?? '') }));
        const fits = holding.flatMap(({ each, net }) =>
          'problem' in net || !contains(net, address) ? [] : [{ each, prefix: net.prefix }],
        );
        const longest = Math.max(...fits.map(({ prefix }) => prefix));
        const best = fits.filter(({ prefix }) => prefix === longest);
        const expected = best.length === 0 ? 'unknown' : best.length > 1 ? 'ambiguous' : (best[0]?.each.clientId ?? '');
        assert.equal(nameOf(followed.findBySource(address)), expected);
        assert.equal(nameOf(anew.findBySource(address)), expected);
      }
    }),
  );
});

test('ten thousand networks are looked up by their lengths, not one by one', () => {
  const index = new ClientIndex(
    Array.from({ length: 10_000 }, (_, number) => client(`c${number}`, { cidr: `10.${number >> 8}.${number & 255}.0/24` })),
  );
  for (let number = 0; number < 10_000; number++) {
    assert.equal(nameOf(index.findBySource(bits(`10.${number >> 8}.${number & 255}.7`))), `c${number}`);
  }
});
