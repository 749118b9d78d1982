import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { addressBits, contains, type Network, parseCidr } from '../../../src/domain/cidr.ts';

function networkOf(text: string): Network {
  const network = parseCidr(text);
  return 'problem' in network ? assert.fail(`${text}: ${network.problem}`) : network;
}

function bitsOf(address: string): bigint {
  return addressBits(address) ?? assert.fail(`${address} is no address`);
}

const IN_AND_OUT: readonly (readonly [network: string, inside: readonly string[], outside: readonly string[]])[] = [
  ['10.0.0.0/8', ['10.0.0.0', '10.255.255.255', '::ffff:10.1.2.3', '::ffff:0a01:203'], ['9.255.255.255', '11.0.0.0', '::10.0.0.1', '::1']],
  ['192.0.2.7', ['192.0.2.7', '::ffff:192.0.2.7'], ['192.0.2.6', '192.0.2.8']],
  ['192.0.2.7/32', ['192.0.2.7'], ['192.0.2.6']],
  ['192.0.2.128/25', ['192.0.2.128', '192.0.2.255'], ['192.0.2.127', '192.0.3.128']],
  ['0.0.0.0/0', ['0.0.0.0', '255.255.255.255', '::ffff:1.2.3.4'], ['::1', '2001:db8::1']],
  ['2001:db8::/32', ['2001:db8::', '2001:DB8:ffff:ffff:ffff:ffff:ffff:ffff', '2001:db8::1%eth0'], ['2001:db7::', '2001:db9::', '10.0.0.1']],
  ['::1', ['::1', '0:0:0:0:0:0:0:1'], ['::', '::2', '127.0.0.1']],
  ['fe80::/10', ['fe80::1', 'febf::1%en0'], ['fec0::1', 'fe7f::1']],
  ['::/0', ['::', '2001:db8::1', '10.0.0.1'], []],
  ['::ffff:10.0.0.0/104', ['10.9.9.9'], ['11.0.0.0']],
];

describe('a network', () => {
  for (const [text, inside, outside] of IN_AND_OUT) {
    test(`${text} holds its own addresses and no others`, () => {
      const network = networkOf(text);
      for (const address of inside) assert.ok(contains(network, bitsOf(address)), `${address} is in ${text}`);
      for (const address of outside) assert.ok(!contains(network, bitsOf(address)), `${address} is not in ${text}`);
    });
  }

  for (const text of [
    '',
    ' 10.0.0.0/8',
    '10.0.0.0/8 ',
    '10.0.0.0/',
    '10.0.0.0/33',
    '10.0.0.0/-1',
    '10.0.0.0/8/8',
    '10.0.0/8',
    '10.0.0.256/32',
    '010.0.0.0/8',
    '10.0.0.0/255.0.0.0',
    'example.com',
    'fe80::%eth0/10',
    '[::1]',
    '::/129',
    ':::/0',
    '1::2::3/128',
    '12345::/16',
    '10.0.0.0/8\n',
  ]) {
    test(`${JSON.stringify(text)} is none`, () => {
      const network = parseCidr(text);
      assert.ok('problem' in network, 'it was taken');
      assert.match(network.problem, /^expected a network such as/);
    });
  }

  for (const text of ['10.0.0.1/8', '192.0.2.129/25', '2001:db8::1/32', '0.0.0.1/0']) {
    test(`${text} has bits after its prefix, and is told so`, () => {
      const network = parseCidr(text);
      assert.ok('problem' in network);
      assert.match(network.problem, /bits after \/\d+ are not 0/);
    });
  }

  test('holds an address exactly when their first bits are the same', () => {
    const ipv6 = fc.bigInt({ min: 0n, max: 2n ** 128n - 1n });
    fc.assert(
      fc.property(ipv6, ipv6, fc.integer({ min: 0, max: 128 }), (base, other, prefix) => {
        const rest = BigInt(128 - prefix);
        const network = networkOf(`${spelled((base >> rest) << rest)}/${prefix}`);
        assert.ok(contains(network, bitsOf(spelled(base))));
        assert.equal(contains(network, bitsOf(spelled(other))), base >> rest === other >> rest);
      }),
    );
  });
});

describe('an address', () => {
  test('is the same number however it is spelled', () => {
    const spellings = ['2001:db8::1', '2001:DB8::1', '2001:db8:0:0:0:0:0:1', '2001:0db8::0001', '2001:db8::0.0.0.1', '2001:db8::1%lo'];
    assert.deepEqual(new Set(spellings.map(bitsOf)), new Set([0x2001_0db8_0000_0000_0000_0000_0000_0001n]));
    assert.equal(bitsOf('1.2.3.4'), 0xffff_0102_0304n);
    assert.equal(bitsOf('::ffff:1.2.3.4'), 0xffff_0102_0304n);
  });

  for (const text of ['', 'localhost', '1.2.3', '1.2.3.4.5', '1.2.3.4:80', '::1::', '%eth0']) {
    test(`${JSON.stringify(text)} is none`, () => assert.equal(addressBits(text), undefined));
  }
});

/** All eight groups. */
function spelled(bits: bigint): string {
  return Array.from({ length: 8 }, (_, index) => ((bits >> BigInt(112 - 16 * index)) & 0xffffn).toString(16)).join(':');
}
