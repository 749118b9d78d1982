import assert from 'node:assert/strict';
import { test } from 'node:test';
import { InvalidArgumentError } from 'commander';
import {
  address,
  byteRate,
  collect,
  count,
  duration,
  escapedText,
  positiveDuration,
  revision,
  splitAddress,
  statusRange,
  word,
} from '../../../cli/values.ts';
import { ALGORITHM_WORDS } from '../../../cli/words.ts';
import { Algorithm } from '../../../src/gen/lb/admin/v1/admin.ts';

const refuses = (read: (text: string) => unknown, ...texts: readonly string[]) => {
  for (const text of texts) assert.throws(() => read(text), InvalidArgumentError, text);
};

test('splits addresses, IPv6 without its brackets', () => {
  assert.deepEqual(splitAddress('127.0.0.1:9000'), { host: '127.0.0.1', port: 9000 });
  assert.deepEqual(splitAddress('lb.example.com:1'), { host: 'lb.example.com', port: 1 });
  assert.deepEqual(splitAddress('[::1]:65535'), { host: '::1', port: 65_535 });
});

test('refuses what is no address', () => {
  refuses(address, '', 'lb', ':9000', 'lb:', 'lb:0', 'lb:65536', 'lb:90000', '::1:9000', '[::1]', 'https://lb:9000', 'a b:1', 'u@h:1');
});

test('reads durations, and above zero where zero has no meaning', () => {
  assert.equal(duration('0s'), 0);
  assert.equal(positiveDuration('10s'), 10_000);
  refuses(duration, '10', 'soon');
  refuses(positiveDuration, '0s');
});

test('reads whole numbers within bounds', () => {
  assert.equal(count(0, 256)('256'), 256);
  refuses(count(0, 256), '257', '-1', '1.5', '1e2', '', '0x10');
  refuses(count(1), '0', '4294967296');
});

test('reads revisions of 64 bits', () => {
  assert.equal(revision('18446744073709551615'), 2n ** 64n - 1n);
  refuses(revision, '18446744073709551616', '-1', 'latest');
});

test('reads bytes per second in powers of 1,000 and of 1,024', () => {
  const amounts = { '0': 0, '1500': 1500, '10MB': 10_000_000, '1.5 kB': 1500, '512KiB': 524_288, '1GiB': 2 ** 30, '2gb': 2e9, '7B': 7 };
  for (const [text, bytes] of Object.entries(amounts)) assert.equal(byteRate(text), BigInt(bytes), text);
  refuses(byteRate, '', '-1', '10 M', '10MBit', 'MB', '1e6', '1,000', '10MB/s', 'constructor');
});

test('reads escapes, and lets the rest stand', () => {
  assert.equal(escapedText('PING\\r\\n'), 'PING\r\n');
  assert.equal(escapedText('\\x00\\xFF\\0\\t\\\\n é'), '\0\u00ff\0\t\\n é');
  assert.equal(escapedText('as\nit is'), 'as\nit is');
  refuses(escapedText, '\\q', '\\', '\\x0', '\\xgg', 'a\\u0041');
});

test('reads ranges of HTTP status codes', () => {
  assert.deepEqual(statusRange('200-399'), { from: 200, to: 399 });
  assert.deepEqual(statusRange('204'), { from: 204, to: 204 });
  refuses(statusRange, '399-200', '99', '200-', '600');
});

test('reads the words of the configuration file as what the wire carries', () => {
  assert.equal(word(ALGORITHM_WORDS)('powerOfTwoChoices'), Algorithm.POWER_OF_TWO_CHOICES);
  assert.throws(() => word(ALGORITHM_WORDS)('fastest'), /leastConnections, weightedLeastConnections, roundRobin/);
  refuses(word(ALGORITHM_WORDS), 'unspecified', 'unrecognized', 'ALGORITHM_RANDOM');
});

test('collects an option that is given several times', () => {
  const read = collect(address);
  assert.deepEqual(read('a:2', read('a:1', undefined)), ['a:1', 'a:2']);
});
