import assert from 'node:assert/strict';
import { hostname } from 'node:os';
import { test } from 'node:test';
import { hostCheck } from '../../../src/metrics/host.ts';

test('only addresses and own names are asked for', () => {
  const isOwn = hostCheck(['0.0.0.0', 'LB.example.com']);
  const cases: readonly [header: string | undefined, own: boolean][] = [
    [undefined, true],
    ['127.0.0.1', true],
    ['192.0.2.1:9100', true],
    ['[::1]', true],
    ['[2001:db8::1]:9100', true],
    ['localhost', true],
    ['LocalHost:9100', true],
    ['lb.EXAMPLE.com:9100', true],
    [`${hostname()}:9100`, true],
    ['', false],
    ['evil.example', false],
    ['evil.example:9100', false],
    ['localhost.evil.example', false],
    ['127.0.0.1.evil.example', false],
    ['lb.example.com.', false],
    ['[evil.example]', false],
    ['[127.0.0.1]', false],
    ['::1', false],
    ['2130706433', false],
    ['localhost@evil.example', false],
    ['localhost:x', false],
    ['localhost, evil.example', false],
  ];
  for (const [header, own] of cases) assert.equal(isOwn(header), own, String(header));
});
