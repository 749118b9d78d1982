import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { addressBits, addressText } from '../../../src/domain/cidr.ts';
import { crc32c } from '../../../src/domain/crc32c.ts';
import {
  clientTlsTlv,
  LONGEST_V2,
  localHeader,
  type ProxiedEnds,
  proxyHeaderV1,
  proxyHeaderV2,
  readProxyHeader,
  TLV,
  type Tlv,
  textTlv,
} from '../../../src/domain/proxy-protocol.ts';

const V2 = '0d0a0d0a000d0a515549540a';
const bytes = (hex: string) => Uint8Array.from(Buffer.from(hex.replaceAll(' ', ''), 'hex'));
const text = (line: string) => Uint8Array.from(Buffer.from(line, 'latin1'));

const PLAIN = { noNullPrototype: true } as const;
const host4 = fc.ipV4();
const host6 = fc
  .ipV6()
  .map((host) => addressText(addressBits(host) ?? assert.fail(host)))
  .filter((host) => host.includes(':'));
const port = fc.integer({ min: 0, max: 65_535 });
const ends: fc.Arbitrary<ProxiedEnds> = fc.constantFrom(host4, host6).chain((host) => {
  const address = fc.record({ host, port }, PLAIN);
  return fc.record({ source: address, destination: address }, PLAIN);
});
const tlvs: fc.Arbitrary<readonly Tlv[]> = fc.array(
  fc.record(
    { type: fc.integer({ min: 0, max: 255 }).filter((type) => type !== TLV.crc32c), value: fc.uint8Array({ maxLength: 200 }) },
    PLAIN,
  ),
  { maxLength: 8 },
);

describe('a header is read as it was written, whatever follows it', () => {
  test('version 1', () => {
    fc.assert(
      fc.property(ends, fc.uint8Array({ maxLength: 30 }), (given, rest) => {
        const header = proxyHeaderV1(given);
        assert.ok(header.length <= 107);
        assert.deepEqual(readProxyHeader(Uint8Array.of(...header, ...rest)), {
          state: 'whole',
          length: header.length,
          header: { ends: given, tlvs: [] },
        });
      }),
    );
  });

  test('version 2', () => {
    fc.assert(
      fc.property(ends, tlvs, fc.uint8Array({ maxLength: 30 }), (given, extensions, rest) => {
        const header = proxyHeaderV2(given, extensions);
        assert.deepEqual(readProxyHeader(Uint8Array.of(...header, ...rest)), {
          state: 'whole',
          length: header.length,
          header: { ends: given, tlvs: extensions },
        });
      }),
    );
  });

  test('every part of it that is not the whole asks for more', () => {
    fc.assert(
      fc.property(ends, tlvs, (given, extensions) => {
        for (const header of [proxyHeaderV1(given), proxyHeaderV2(given, extensions), localHeader('v1'), localHeader('v2')]) {
          for (let length = 0; length < header.length; length++)
            assert.deepEqual(readProxyHeader(header.subarray(0, length)), { state: 'more' });
        }
      }),
      { numRuns: 30 },
    );
  });
});

test('no bytes make it throw, nor claim more than there are, nor ask for more for ever', () => {
  const begun = fc.constantFrom('', V2, `${V2}21`, `${V2}2111`, `${V2}2121`, `${V2}20`, Buffer.from('PROXY TCP4 ').toString('hex'));
  fc.assert(
    fc.property(begun, fc.uint8Array({ maxLength: LONGEST_V2 + 10 }), (start, rest) => {
      const all = Uint8Array.of(...bytes(start), ...rest);
      const read = readProxyHeader(all);
      if (read.state === 'whole') assert.ok(read.length <= all.length);
      if (read.state === 'more') assert.ok(all.length < LONGEST_V2);
    }),
    { numRuns: 2000 },
  );
});

test('what is read does not depend on what comes after it in memory', () => {
  const header = proxyHeaderV2({ source: { host: '10.0.0.1', port: 1 }, destination: { host: '10.0.0.2', port: 2 } }, []);
  const room = new Uint8Array(100).fill(0xff);
  room.set(header, 10);
  assert.deepEqual(readProxyHeader(room.subarray(10, 10 + header.length)), readProxyHeader(header));
  assert.deepEqual(readProxyHeader(room.subarray(10, 9 + header.length)), { state: 'more' });
});

describe('the examples of proxy-protocol.txt', () => {
  const longest = 'PROXY UNKNOWN ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff 65535 65535\r\n';
  for (const [line, ended] of [
    ['PROXY TCP4 255.255.255.255 255.255.255.255 65535 65535\r\n', '255.255.255.255'],
    [
      'PROXY TCP6 ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff 65535 65535\r\n',
      'ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff',
    ],
    ['PROXY UNKNOWN\r\n', undefined],
    [longest, undefined],
  ] as const) {
    test(JSON.stringify(line), () => {
      const read = readProxyHeader(text(line));
      assert.ok(read.state === 'whole');
      assert.equal(read.length, line.length);
      assert.equal(read.header.ends?.source.host, ended);
    });
  }
  test('the longest line has 107 bytes', () => assert.equal(longest.length, 107));
});

describe('what is not a header is refused as soon as that is certain', () => {
  for (const [what, given] of [
    ['a ClientHello', bytes('160301')],
    ['HTTP', text('GET')],
    ['another word of the same beginning', text('PROXI')],
    ['a family that there is not', text('PROXY TCP5 1.2.3.4 1.2.3.4 1 1\r\n')],
    ['IPv6 in place of IPv4', text('PROXY TCP4 ::1 ::1 1 1\r\n')],
    ['IPv4 in place of IPv6', text('PROXY TCP6 1.2.3.4 1.2.3.4 1 1\r\n')],
    ['a zone', text('PROXY TCP6 fe80::1%eth0 ::1 1 1\r\n')],
    ['an octet too large', text('PROXY TCP4 1.2.3.256 1.2.3.4 1 1\r\n')],
    ['a port too large', text('PROXY TCP4 1.2.3.4 1.2.3.4 65536 1\r\n')],
    ['a port with a sign', text('PROXY TCP4 1.2.3.4 1.2.3.4 +1 1\r\n')],
    ['a port with a leading zero', text('PROXY TCP4 1.2.3.4 1.2.3.4 01 1\r\n')],
    ['no port', text('PROXY TCP4 1.2.3.4 1.2.3.4 1\r\n')],
    ['one field more', text('PROXY TCP4 1.2.3.4 1.2.3.4 1 1 1\r\n')],
    ['two blanks', text('PROXY TCP4  1.2.3.4 1.2.3.4 1 1\r\n')],
    ['a word that only begins as UNKNOWN', text('PROXY UNKNOWNX\r\n')],
    ['a bare LF', text('PROXY UNKNOWN\n')],
    ['a CR without LF', text('PROXY UNKNOWN\rx')],
    ['a NUL', text('PROXY TCP4 1.2.3.4\0')],
    ['a line that does not end', text(`PROXY UNKNOWN ${'x'.repeat(100)}`)],
    ['a CR as the 107th byte', text(`PROXY UNKNOWN ${'x'.repeat(92)}\r`)],
    ['another version', bytes(`${V2} 31`)],
    ['another command', bytes(`${V2} 22`)],
    ['UDP', bytes(`${V2} 21 12 000c`)],
    ['an unknown family', bytes(`${V2} 21 41 000c`)],
    ['addresses cut short', bytes(`${V2} 21 11 000b`)],
    ['more than is read', bytes(`${V2} 21 11 0ff1`)],
    ['an extension past the end', bytes(`${V2} 21 11 0010 7f000001 7f000001 0001 0002 02 0002 61`)],
    ['half an extension', bytes(`${V2} 21 11 000e 7f000001 7f000001 0001 0002 02 00`)],
    ['a wrong checksum', bytes(`${V2} 21 11 0013 7f000001 7f000001 0001 0002 03 0004 00000000`)],
  ] as const) {
    test(what, () => {
      const read = readProxyHeader(given);
      assert.equal(read.state, 'invalid');
    });
  }
});

test('a connection of the proxy itself, or of no IP addresses, has no ends', () => {
  for (const given of [
    localHeader('v1'),
    localHeader('v2'),
    bytes(`${V2} 20 11 000c 7f000001 7f000001 0001 0002`),
    bytes(`${V2} 21 00 0003 aabbcc`.replace('aabbcc', '020000')),
    bytes(`${V2} 21 31 00d8 ${'00'.repeat(216)}`),
  ]) {
    const read = readProxyHeader(given);
    assert.ok(read.state === 'whole');
    assert.equal(read.header.ends, undefined);
    assert.equal(read.length, given.length);
  }
});

test('a checksum that fits is accepted', () => {
  const blank = bytes(`${V2} 21 11 0013 7f000001 7f000001 0001 0002 03 0004 00000000`);
  const sum = crc32c(blank);
  new DataView(blank.buffer).setUint32(blank.length - 4, sum);
  assert.equal(readProxyHeader(blank).state, 'whole');
  // The check value of CRC-32C in the catalogue of parametrised CRC algorithms.
  assert.equal(crc32c(text('123456789')), 0xe3069283);
});

test('the ends of different families are both written as IPv6', () => {
  const mixed = { source: { host: '2001:db8::1', port: 1 }, destination: { host: '10.0.0.2', port: 2 } };
  assert.equal(Buffer.from(proxyHeaderV1(mixed)).toString(), 'PROXY TCP6 2001:db8::1 ::ffff:10.0.0.2 1 2\r\n');
  for (const header of [proxyHeaderV1(mixed), proxyHeaderV2(mixed, [])]) {
    const read = readProxyHeader(header);
    assert.ok(read.state === 'whole');
    assert.deepEqual(read.header.ends, mixed);
  }
});

test("a client's TLS is told as PP2_TYPE_SSL", () => {
  const { type, value } = clientTlsTlv({ version: 'TLSv1.3', cipher: 'C', commonName: 'a' });
  assert.equal(type, 0x20);
  assert.deepEqual(
    Buffer.from(value).toString('hex'),
    `07 00000000 21 0007 ${Buffer.from('TLSv1.3').toString('hex')} 22 0001 61 23 0001 43`.replaceAll(' ', ''),
  );
  assert.deepEqual(textTlv(TLV.alpn, 'h2'), { type: 1, value: text('h2') });
});

test('an address is written as RFC 5952 says, and reads as the same bits', () => {
  fc.assert(
    fc.property(fc.bigInt({ min: 0n, max: 2n ** 128n - 1n }), fc.bigInt({ min: 0n, max: 2n ** 128n - 1n }), (bits, mask) => {
      // Masked, so that there are runs of zeros.
      for (const some of [bits, bits & mask & (mask << 40n) & (2n ** 128n - 1n), bits & 0xffff0000000000000000ffff00000000n]) {
        assert.equal(addressBits(addressText(some)), some);
        assert.equal(
          new URL(`http://[${some >> 32n === 0xffffn ? '::' : addressText(some)}]`).hostname,
          `[${some >> 32n === 0xffffn ? '::' : addressText(some)}]`,
        );
      }
    }),
  );
  assert.equal(addressText(addressBits('a10:0:0:b:0:0:0:1') ?? 0n), 'a10:0:0:b::1');
});
