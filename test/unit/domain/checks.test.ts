import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { checkClientValues, checkGroupValues, checkServer } from '../../../src/domain/checks.ts';
import { DomainError } from '../../../src/domain/errors.ts';
import {
  ANY_NAME_MATCH,
  type Client,
  type ConnectionRate,
  type HealthCheck,
  type HttpCheck,
  type IdentityMatch,
  type TargetGroup,
} from '../../../src/domain/model.ts';
import { client, RATE, targetGroup, upstream } from './snapshots.ts';

const DAY_MS = 86_400_000;

/** Tries the least and the most that is allowed, and what lies just outside, and what is no whole number. */
function bounded(field: string, least: number, most: number, check: (value: number) => void): void {
  test(`${field} is a whole number from ${least} to ${most}`, () => {
    for (const good of [least, most]) check(good);
    for (const bad of [least - 1, most + 1, least + 0.5, Number.NaN, Number.POSITIVE_INFINITY]) refused(field, () => check(bad));
  });
}

function refused(field: string, check: () => void): void {
  assert.throws(check, (error) => {
    assert.ok(error instanceof DomainError);
    assert.deepEqual([error.code, error.field], ['invalid', field]);
    assert.match(error.message, /^[^\n]{20,200}$/);
    return true;
  });
}

describe('a target group', () => {
  const group = (changes: Partial<TargetGroup>) => checkGroupValues(targetGroup('g', changes));
  const health = (changes: Partial<HealthCheck>) => group({ healthCheck: { ...targetGroup('g').healthCheck, ...changes } });
  const http = (changes: Partial<HttpCheck>) =>
    health({ type: 'http', http: { path: '/', host: undefined, statusFrom: 200, statusTo: 399, ...changes } });

  bounded('retries', 0, 10, (retries) => group({ retries }));
  bounded('connectTimeout', 1, 600_000, (connectTimeoutMs) => group({ connectTimeoutMs }));
  bounded('healthCheck.interval', 10, DAY_MS, (intervalMs) => health({ intervalMs }));
  bounded('healthCheck.timeout', 10, DAY_MS, (timeoutMs) => health({ timeoutMs }));
  bounded('healthCheck.maxInterval', 10, DAY_MS, (maxIntervalMs) => health({ maxIntervalMs }));
  bounded('healthCheck.unhealthyThreshold', 1, 1000, (unhealthyThreshold) => health({ unhealthyThreshold }));
  bounded('healthCheck.healthyThreshold', 1, 1000, (healthyThreshold) => health({ healthyThreshold }));
  bounded('healthCheck.http.statusFrom', 100, 599, (statusFrom) => http({ statusFrom, statusTo: 599 }));
  bounded('healthCheck.http.statusTo', 200, 599, (statusTo) => http({ statusTo }));

  test('asks for a path and a host that cannot add lines to the request', () => {
    http({ path: '/healthz?full=1', host: 'example.com:80' });
    for (const path of ['', 'x', '/a b', '/\r\nX: y', '/ä']) refused('healthCheck.http.path', () => http({ path }));
    for (const host of ['', 'a b', 'a\r\nX: y']) refused('healthCheck.http.host', () => http({ host }));
  });

  test('has a name that can go into a log line', () => {
    for (const name of ['', 'a b', 'a\n', 'ä', '"', 'x'.repeat(254)]) refused('name', () => checkGroupValues(targetGroup(name)));
    checkGroupValues(targetGroup('spiffe://example.com/a_b-c.d:1@*'));
  });

  test('has good servers', () => refused('servers', () => group({ servers: [upstream('127.0.0.1:1'), upstream('127.0.0.1')] })));
});

describe('a server', () => {
  bounded('weight', 0, 256, (weight) => checkServer(upstream('127.0.0.1:1', { weight }), 'server'));
  bounded('maxConnections', 1, 2 ** 31 - 1, (maxConnections) => checkServer(upstream('127.0.0.1:1', { maxConnections }), 'server'));
});

describe('a client', () => {
  const changed = (changes: Partial<Client>) => checkClientValues(client('c', ['g'], changes));
  const rate = (changes: Partial<ConnectionRate>) =>
    changed({ limits: { connectionRate: { ...RATE, ...changes }, concurrentConnections: undefined } });
  const match = (changes: Partial<IdentityMatch>) => changed({ match: { ...ANY_NAME_MATCH, ...changes } });

  bounded('limits.connectionRate.limit', 1, 1_000_000, (limit) => rate({ limit }));
  bounded('limits.connectionRate.limit', 1, 100_000, (limit) => rate({ algorithm: 'slidingWindowLog', limit }));
  bounded('limits.connectionRate.window', 1, DAY_MS, (windowMs) => rate({ windowMs }));
  bounded('limits.connectionRate.burst', 1, 1_000_000, (burst) => rate({ burst }));
  bounded('limits.connectionRate.maxDelay', 0, 60_000, (maxDelayMs) => rate({ maxDelayMs }));
  bounded('limits.concurrentConnections', 1, 2 ** 31 - 1, (concurrentConnections) =>
    changed({ limits: { connectionRate: undefined, concurrentConnections } }),
  );

  test('is allowed at least one group', () => refused('allowedTargetGroups', () => changed({ allowedTargetGroups: [] })));

  test('matches by fields that are not empty, and by a whole fingerprint', () => {
    match({ cn: 'a', dns: 'b', uri: 'c', ou: 'd', fingerprint: '0a'.repeat(32) });
    for (const field of ['cn', 'dns', 'uri', 'ou'] as const) refused(`match.${field}`, () => match({ [field]: '' }));
    for (const fingerprint of ['', '0A'.repeat(32), '0a'.repeat(31), `0a:${'0a'.repeat(31)}`]) {
      refused('match.fingerprint', () => match({ fingerprint }));
    }
  });
});
