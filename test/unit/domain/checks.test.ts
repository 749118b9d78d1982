import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { checkClientValues, checkGroupValues, checkServer } from '../../../src/domain/checks.ts';
import { DEFAULT_OUTLIER_DETECTION, NO_LIMITS } from '../../../src/domain/defaults.ts';
import { DomainError } from '../../../src/domain/errors.ts';
import type { HealthCheck, HttpCheck } from '../../../src/domain/health-check.ts';
import {
  ANY_NAME_MATCH,
  type Client,
  type ConnectionRate,
  type IdentityMatch,
  type OutlierDetection,
  type TargetGroup,
  type UpstreamTls,
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
    health({ type: 'http', http: { path: '/', host: undefined, statusFrom: 200, statusTo: 399, body: undefined, ...changes } });

  const outliers = (changes: Partial<OutlierDetection>) => group({ outlierDetection: { ...DEFAULT_OUTLIER_DETECTION, ...changes } });
  const AGENT = { port: 9999, intervalMs: 5000, timeoutMs: 5000 };

  bounded('retries', 0, 10, (retries) => group({ retries }));
  bounded('connectTimeout', 1, 600_000, (connectTimeoutMs) => group({ connectTimeoutMs }));
  bounded('healthCheck.interval', 10, DAY_MS, (intervalMs) => health({ intervalMs }));
  bounded('healthCheck.timeout', 10, DAY_MS, (timeoutMs) => health({ timeoutMs }));
  bounded('healthCheck.maxInterval', 10, DAY_MS, (maxIntervalMs) => health({ maxIntervalMs }));
  bounded('healthCheck.unhealthyThreshold', 1, 1000, (unhealthyThreshold) => health({ unhealthyThreshold }));
  bounded('healthCheck.healthyThreshold', 1, 1000, (healthyThreshold) => health({ healthyThreshold }));
  bounded('healthCheck.http.statusFrom', 100, 599, (statusFrom) => http({ statusFrom, statusTo: 599 }));
  bounded('healthCheck.http.statusTo', 200, 599, (statusTo) => http({ statusTo }));

  bounded('slowStart', 0, DAY_MS, (slowStartMs) => group({ slowStartMs }));
  bounded('panicThreshold', 0, 100, (panicThreshold) => group({ panicThreshold }));
  bounded('queue.maxLength', 1, 16_384, (maxLength) => group({ queue: { maxLength, timeoutMs: 1 } }));
  bounded('queue.timeout', 1, 600_000, (timeoutMs) => group({ queue: { maxLength: 1, timeoutMs } }));
  bounded('agentCheck.port', 1, 65_535, (port) => group({ agentCheck: { ...AGENT, port } }));
  bounded('agentCheck.interval', 10, DAY_MS, (intervalMs) => group({ agentCheck: { ...AGENT, intervalMs } }));
  bounded('agentCheck.timeout', 10, DAY_MS, (timeoutMs) => group({ agentCheck: { ...AGENT, timeoutMs } }));
  bounded('rebalance.perSecond', 1, 10_000, (perSecond) => group({ rebalance: { perSecond } }));
  bounded('resolveInterval', 100, DAY_MS, (resolveIntervalMs) => group({ resolveIntervalMs }));
  bounded('outlierDetection.consecutiveFailures', 0, 1000, (consecutiveFailures) => outliers({ consecutiveFailures }));
  bounded('outlierDetection.baseEjectionTime', 1, DAY_MS, (baseEjectionMs) => outliers({ baseEjectionMs }));
  bounded('outlierDetection.maxEjectionTime', 1, DAY_MS, (maxEjectionMs) => outliers({ maxEjectionMs }));
  bounded('outlierDetection.maxEjectionPercent', 0, 100, (maxEjectionPercent) => outliers({ maxEjectionPercent }));

  test('bounds hashed load by more than the average, or not at all', () => {
    for (const hashBalanceFactor of [0, 101, 10_000]) group({ hashBalanceFactor });
    for (const hashBalanceFactor of [-1, 1, 100, 10_001, 125.5]) refused('hashBalanceFactor', () => group({ hashBalanceFactor }));
  });

  test('has an agent where its algorithm goes by load', () => {
    group({ algorithm: 'resource', agentCheck: AGENT });
    refused('agentCheck', () => group({ algorithm: 'resource' }));
  });

  test('sends and expects texts of a bounded length, and expects something', () => {
    const sendExpect = (send: string, expect: string) => health({ type: 'sendExpect', sendExpect: { send, expect } });
    sendExpect('', 'x');
    sendExpect('\0\r\n'.padEnd(4096), 'x'.repeat(4096));
    for (const expect of ['', 'x'.repeat(4097)]) refused('healthCheck.sendExpect.expect', () => sendExpect('', expect));
    refused('healthCheck.sendExpect.send', () => sendExpect('x'.repeat(4097), 'x'));
    for (const body of ['', 'x'.repeat(4097)]) refused('healthCheck.http.body', () => http({ body }));
    for (const authority of ['', 'a b', 'a\r\nx: y'])
      refused('healthCheck.grpc.authority', () => health({ type: 'grpc', grpc: { service: '', authority } }));
  });

  test('asks about a gRPC service whose name is one line', () => {
    const grpc = (service: string) => health({ type: 'grpc', grpc: { service, authority: undefined } });
    for (const service of ['', 'shop.Cart', 'x'.repeat(253)]) grpc(service);
    for (const service of ['a\n', 'x'.repeat(254)]) refused('healthCheck.grpc.service', () => grpc(service));
  });

  test('names the files and the server of its TLS without control characters', () => {
    const tls = (changes: Partial<UpstreamTls>) =>
      group({ upstreamTls: { ca: undefined, serverName: undefined, clientCertificate: undefined, insecureSkipVerify: false, ...changes } });
    tls({ ca: '/ca.pem', serverName: 'db.internal', clientCertificate: { certificate: '/c', privateKey: '/k' } });
    for (const bad of ['', 'a\n', 'x'.repeat(4097)]) {
      refused('upstreamTls.ca', () => tls({ ca: bad }));
      refused('upstreamTls.serverName', () => tls({ serverName: bad }));
      refused('upstreamTls.certificate', () => tls({ clientCertificate: { certificate: bad, privateKey: '/k' } }));
      refused('upstreamTls.privateKey', () => tls({ clientCertificate: { certificate: '/c', privateKey: bad } }));
    }
  });

  test('may have a server name that is no host name, as older versions stored it', () => {
    group({ upstreamTls: { ca: undefined, serverName: 'bad name!', clientCertificate: undefined, insecureSkipVerify: false } });
  });

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
  const rate = (changes: Partial<ConnectionRate>) => changed({ limits: { ...NO_LIMITS, connectionRate: { ...RATE, ...changes } } });
  const match = (changes: Partial<IdentityMatch>) => changed({ match: { ...ANY_NAME_MATCH, ...changes } });

  bounded('limits.connectionRate.limit', 1, 1_000_000, (limit) => rate({ limit }));
  bounded('limits.connectionRate.limit', 1, 100_000, (limit) => rate({ algorithm: 'slidingWindowLog', limit }));
  bounded('limits.connectionRate.window', 1, DAY_MS, (windowMs) => rate({ windowMs }));
  bounded('limits.connectionRate.burst', 1, 1_000_000, (burst) => rate({ burst }));
  bounded('limits.connectionRate.maxDelay', 0, 60_000, (maxDelayMs) => rate({ maxDelayMs }));
  bounded('limits.concurrentConnections', 1, 2 ** 31 - 1, (concurrentConnections) =>
    changed({ limits: { ...NO_LIMITS, concurrentConnections } }),
  );

  bounded('limits.bandwidth.upload', 1024, 2 ** 40, (uploadBytesPerSecond) =>
    changed({ limits: { ...NO_LIMITS, bandwidth: { uploadBytesPerSecond, downloadBytesPerSecond: undefined } } }),
  );
  bounded('limits.bandwidth.download', 1024, 2 ** 40, (downloadBytesPerSecond) =>
    changed({ limits: { ...NO_LIMITS, bandwidth: { uploadBytesPerSecond: undefined, downloadBytesPerSecond } } }),
  );

  test('comes from a network', () => {
    for (const cidr of ['10.0.0.0/8', '::1']) match({ cidr });
    for (const cidr of ['', '10.0.0.1/8', '10.0.0.0/33', 'example.com']) refused('match.cidr', () => match({ cidr }));
  });

  test('is allowed at least one group', () => refused('allowedTargetGroups', () => changed({ allowedTargetGroups: [] })));

  test('matches by fields that are not empty, and by a whole fingerprint', () => {
    match({ cn: 'a', dns: 'b', uri: 'c', ou: 'd', fingerprint: '0a'.repeat(32) });
    for (const field of ['cn', 'dns', 'uri', 'ou'] as const) refused(`match.${field}`, () => match({ [field]: '' }));
    for (const fingerprint of ['', '0A'.repeat(32), '0a'.repeat(31), `0a:${'0a'.repeat(31)}`]) {
      refused('match.fingerprint', () => match({ fingerprint }));
    }
  });
});
