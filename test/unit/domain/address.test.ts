import assert from 'node:assert/strict';
import { isIPv4, isIPv6 } from 'node:net';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { parseAddress, parseHost } from '../../../src/domain/address.ts';
import { formatAddress } from '../../../src/domain/model.ts';

describe('a host', () => {
  for (const [text, host] of [
    ['DB_1.Internal', 'db_1.internal'],
    ['localhost', 'localhost'],
    ['db.example.com.', 'db.example.com'],
    ['10.0.0.1', '10.0.0.1'],
    ['2001:DB8::1', '2001:db8::1'],
  ] as const) {
    test(`${text} is read`, () => assert.equal(parseHost(text), host));
  }

  for (const text of [
    '',
    '.',
    'bad name!',
    'a\n',
    '*.internal',
    'a..b',
    '10.0.0',
    '256.0.0.1',
    '[::1]',
    '::1]:1',
    'db.internal:443',
    'x'.repeat(254),
  ]) {
    test(`${JSON.stringify(text.slice(0, 30))} is none`, () => assert.equal(parseHost(text), undefined));
  }
});

describe('an address', () => {
  for (const [text, host, port] of [
    ['127.0.0.1:8081', '127.0.0.1', 8081],
    ['[::1]:1', '::1', 1],
    ['[2001:DB8::1]:65535', '2001:db8::1', 65535],
    ['[::ffff:10.0.0.1]:80', '::ffff:10.0.0.1', 80],
    ['Web-1.Example.com:443', 'web-1.example.com', 443],
    ['my_service:80', 'my_service', 80],
    ['example.com.:80', 'example.com.', 80],
    [`${'a'.repeat(63)}:80`, 'a'.repeat(63), 80],
  ] as const) {
    test(`${text.slice(0, 30)} is read`, () => assert.deepEqual(parseAddress(text), { host, port }));
  }

  for (const text of [
    '',
    ':80',
    '127.0.0.1',
    '127.0.0.1:',
    '127.0.0.1:0',
    '127.0.0.1:65536',
    '127.0.0.1:-1',
    '127.0.0.1:8081 ',
    ' 127.0.0.1:8081',
    '127.0.0.1:80\n',
    '127.0.0.1:1e3',
    '256.0.0.1:80',
    '1.2.3:80',
    '1.2.3.4.:80',
    '1.2.3.4.5:80',
    '01.2.3.4:80',
    '::1:80',
    '[::1]',
    '[]:80',
    '[1.2.3.4]:80',
    '[1.2.3.4::]:80',
    '[1::2::3]:80',
    '[::1%eth0]:80',
    'a b:80',
    '-a:80',
    'a-:80',
    'a..b:80',
    'http://a:80',
    `${'a'.repeat(64)}:80`,
    `${'a.'.repeat(127)}a:80`,
    'ä:80',
  ]) {
    test(`${JSON.stringify(text.slice(0, 30))} is refused`, () => {
      const parsed = parseAddress(text);
      assert.ok('problem' in parsed);
      assert.match(parsed.problem, /expected host:port, for example 127\.0\.0\.1:8081 or \[::1\]:8081$/);
    });
  }

  test('may have port 0 only where the system is to choose', () => {
    assert.deepEqual(parseAddress('127.0.0.1:0', { allowPortZero: true }), { host: '127.0.0.1', port: 0 });
    assert.ok('problem' in parseAddress('127.0.0.1:0', {}));
  });

  test('a problem quotes the text so that it cannot steer a terminal, and not for ever', () => {
    const parsed = parseAddress(`\u001b[2J${'x'.repeat(10_000)}`);
    assert.ok('problem' in parsed && !parsed.problem.includes('\u001b') && parsed.problem.length < 300);
  });

  test('of digits and dots, or of groups in brackets, is read exactly where Node takes it for an IP address', () => {
    const dotted = fc
      .array(fc.constantFrom('0', '1', '01', '9', '25', '255', '256', '.', '.', '.'), { maxLength: 9 })
      .map((parts) => parts.join(''));
    const grouped = fc
      .array(fc.constantFrom('0', 'f', 'db8', 'FFFF', '10000', '1.2.3.4', ':', ':', '::'), { maxLength: 15 })
      .map((parts) => parts.join(''));
    const regular = fc
      .array(fc.constantFrom('0', 'db8', 'FFFF', '', '1.2.3.4'), { minLength: 1, maxLength: 9 })
      .map((parts) => parts.join(':'));
    fc.assert(
      fc.property(dotted, (host) => assert.equal('host' in parseAddress(`${host}:80`), isIPv4(host))),
      { numRuns: 1000 },
    );
    fc.assert(
      fc.property(fc.oneof(grouped, regular), (host) => assert.equal('host' in parseAddress(`[${host}]:80`), isIPv6(host))),
      { numRuns: 5000 },
    );
  });

  test('is written as it is read', () => {
    const host = fc.oneof(
      fc.ipV4(),
      fc.domain(),
      fc.ipV6().filter((text) => isIPv6(text)),
    );
    fc.assert(
      fc.property(host, fc.integer({ min: 1, max: 65535 }), (name, port) => {
        const address = { host: name.toLowerCase(), port };
        assert.deepEqual(parseAddress(formatAddress(address)), address);
      }),
    );
  });
});
