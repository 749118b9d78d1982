import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { test } from 'node:test';
import { parseConfig } from '../../../src/config/parse.ts';
import { DEFAULT_GROUP, DEFAULT_HEALTH_CHECK, DEFAULT_SERVER } from '../../../src/domain/defaults.ts';
import { ANY_NAME_MATCH, EMPTY_SNAPSHOT } from '../../../src/domain/model.ts';
import { apply } from '../../../src/domain/state.ts';

const examples = path.resolve(import.meta.dirname, '../../../examples');

function load(name: string) {
  const file = path.join(examples, name);
  return parseConfig(readFileSync(file, 'utf8'), file, { cwd: '/', exists: () => false });
}

test('the sample config loads as it is written', () => {
  const { listeners, targetGroups, clients, logLevel, admin, store } = load('sample.yaml');
  assert.deepEqual(
    listeners.map(({ name, address, tls }) => [name, address, tls?.certificate, tls?.privateKey, tls?.caCert]),
    [
      [
        'default',
        { host: '0.0.0.0', port: 8080 },
        path.join(examples, 'certs/loadbalancer.crt'),
        path.join(examples, 'certs/loadbalancer.key'),
        path.join(examples, 'certs/rootCA.pem'),
      ],
    ],
  );
  assert.deepEqual(
    targetGroups.map(({ name, servers }) => [name, servers.map((server) => server.address)]),
    [
      ['FrontEndService', ['127.0.0.1:8081', '127.0.0.1:8082']],
      ['DBService', ['127.0.0.1:8085', '127.0.0.1:8086']],
    ],
  );
  assert.deepEqual(
    clients.map(({ clientId, allowedTargetGroups, limits }) => [clientId, allowedTargetGroups, limits.connectionRate?.limit]),
    [
      ['clientA.bardomain.com', ['FrontEndService'], 10],
      ['clientB.bardomain.com', ['DBService'], 5],
    ],
  );
  assert.equal(logLevel, 'info');
  assert.deepEqual(admin.address, { host: '127.0.0.1', port: 9000 });
  assert.deepEqual(admin.tls, listeners[0]?.tls);
  assert.deepEqual(store, { kind: 'sqlite', path: path.join(examples, 'sample.state.db') });
});

test('the full config loads, and each key arrives where it belongs', () => {
  const config = load('full.yaml');
  assert.deepEqual(
    config.listeners.map(({ name, address, targetGroup, routes }) => ({ name, address, targetGroup, routes })),
    [
      { name: 'default', address: { host: '0.0.0.0', port: 8080 }, targetGroup: undefined, routes: [] },
      { name: 'database', address: { host: '0.0.0.0', port: 8432 }, targetGroup: 'DBService', routes: [] },
      {
        name: 'public',
        address: { host: '::', port: 8443 },
        targetGroup: undefined,
        routes: [
          { sni: '*.db.example.com', alpn: undefined, targetGroup: 'DBService' },
          { sni: 'app.example.com', alpn: 'h2', targetGroup: 'FrontEndService' },
        ],
      },
      { name: 'inside', address: { host: '10.0.0.1', port: 8080 }, targetGroup: undefined, routes: [] },
    ],
  );
  assert.equal(
    config.listeners[0]?.tls?.ciphers,
    'TLS_AES_128_GCM_SHA256:TLS_AES_256_GCM_SHA384:ECDHE-RSA-AES128-GCM-SHA256:ECDHE-ECDSA-AES128-GCM-SHA256',
  );
  assert.equal(config.listeners[0]?.tls?.crl, path.join(examples, 'certs/revoked.crl'));
  assert.equal(config.listeners[2]?.tls?.minVersion, 'TLSv1.3');
  assert.deepEqual(config.targetGroups[0], {
    ...DEFAULT_GROUP,
    name: 'FrontEndService',
    algorithm: 'weightedLeastConnections',
    servers: [
      { address: '127.0.0.1:8081', weight: 1, maxConnections: undefined, backup: false, mode: 'ready' },
      { address: '127.0.0.1:8082', weight: 5, maxConnections: 200, backup: false, mode: 'ready' },
      { address: '127.0.0.1:8083', weight: 1, maxConnections: undefined, backup: true, mode: 'drain' },
    ],
    healthCheck: {
      type: 'http',
      intervalMs: 10_000,
      timeoutMs: 2000,
      unhealthyThreshold: 3,
      healthyThreshold: 2,
      maxIntervalMs: 120_000,
      http: { path: '/healthz', host: 'app.example.com', statusFrom: 200, statusTo: 299, body: 'OK' },
      grpc: undefined,
      sendExpect: undefined,
    },
    connectTimeoutMs: 2000,
    retries: 1,
    onUnhealthy: 'close',
  });
  assert.deepEqual(config.targetGroups[1], {
    ...DEFAULT_GROUP,
    name: 'DBService',
    servers: ['127.0.0.1:8085', '127.0.0.1:8086'].map((address) => ({ address, ...DEFAULT_SERVER })),
    algorithm: 'resource',
    healthCheck: { ...DEFAULT_HEALTH_CHECK, type: 'sendExpect', sendExpect: { send: 'PING\r\n', expect: '+PONG' } },
    slowStartMs: 30_000,
    panicThreshold: 50,
    outlierDetection: { consecutiveFailures: 3, baseEjectionMs: 10_000, maxEjectionMs: 600_000, maxEjectionPercent: 20 },
    queue: { maxLength: 100, timeoutMs: 2000 },
    hashBalanceFactor: 150,
    agentCheck: { port: 9999, intervalMs: 2000, timeoutMs: 1000 },
    rebalance: { perSecond: 5 },
    sendProxyProtocol: 'v2',
    upstreamTls: {
      ca: path.join(examples, 'certs/internalCA.pem'),
      serverName: 'db.internal',
      clientCertificate: {
        certificate: path.join(examples, 'certs/lb-client.crt'),
        privateKey: path.join(examples, 'certs/lb-client.key'),
      },
      insecureSkipVerify: false,
    },
    resolveIntervalMs: 10_000,
  });
  assert.deepEqual(config.targetGroups[2]?.healthCheck.grpc, { service: 'shop.Cart', authority: 'cart.example.com' });
  assert.deepEqual(config.listeners[1]?.perAddress, {
    connectionsPerSecond: 50,
    burst: 100,
    pendingHandshakes: 20,
    concurrentConnections: 1000,
  });
  const { tls, acceptProxyProtocol } = config.listeners[3] ?? assert.fail();
  assert.deepEqual([tls, acceptProxyProtocol], [undefined, ['10.0.0.0/24']]);
  assert.deepEqual(config.clients[2]?.match, { ...ANY_NAME_MATCH, cidr: '10.0.0.0/24' });
  assert.deepEqual(config.clients[1], {
    clientId: 'billing',
    match: {
      cn: 'billing-1',
      dns: 'billing.bardomain.com',
      uri: 'spiffe://bardomain.com/billing',
      ou: 'finance',
      fingerprint: '9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08',
      cidr: undefined,
    },
    allowedTargetGroups: ['FrontEndService', 'DBService'],
    limits: {
      connectionRate: { algorithm: 'tokenBucket', limit: 100, windowMs: 60_000, burst: 20, action: 'delay', maxDelayMs: 2000 },
      concurrentConnections: 50,
      bandwidth: { uploadBytesPerSecond: 10_000_000, downloadBytesPerSecond: 104_857_600 },
      shadow: false,
    },
  });
  assert.deepEqual(config.revocations, [{ fingerprint: 'a1'.repeat(32), comment: 'laptop lost', atMs: Date.UTC(2026, 0, 31, 12) }]);
  assert.equal(config.admin.rolesConfigured, true);
  assert.deepEqual(config.admin.roles.viewer, [
    { ...ANY_NAME_MATCH, cn: 'dashboard' },
    { ...ANY_NAME_MATCH, ou: 'support' },
  ]);
  assert.deepEqual(config.store, { kind: 'sqlite', path: path.join(examples, 'full.state.db') });
  assert.equal(config.workers, 2);
});

for (const name of ['sample.yaml', 'full.yaml']) {
  test(`the state takes ${name} in`, () => {
    const { listeners, targetGroups, clients, revocations } = load(name);
    const snapshot = apply(EMPTY_SNAPSHOT, { kind: 'replaceAll', listeners, targetGroups, clients, revocations });
    assert.equal(snapshot.clients.size, clients.length);
  });
}
