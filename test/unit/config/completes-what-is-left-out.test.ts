import assert from 'node:assert/strict';
import { availableParallelism } from 'node:os';
import { test } from 'node:test';
import { parseConfig } from '../../../src/config/parse.ts';
import { DEFAULT_GROUP, DEFAULT_SERVER } from '../../../src/domain/defaults.ts';
import { ANY_NAME_MATCH } from '../../../src/domain/model.ts';

const MINIMAL = `
listenAddress: "127.0.0.1:0"
tlsParams: {certificate: a.crt, privateKey: a.key, caCert: ca.pem}
targetGroups:
  - {name: web, upstreamServers: ["127.0.0.1:1"]}
clients:
  - {clientId: a, allowedTargetGroup: web, limits: {connectionRate: {limit: 7}}}
`;

function parse(text: string, file = '/etc/lb/lb.yaml', existing: readonly string[] = [], cwd = '/srv') {
  return parseConfig(text, file, { cwd, exists: (path) => existing.includes(path) });
}

test('defaults are filled in', () => {
  const config = parse(MINIMAL);
  assert.deepEqual(config.timeouts, {
    handshakeMs: 10_000,
    idleMs: 3_600_000,
    halfCloseMs: 30_000,
    maxDurationMs: undefined,
    drainMs: 30_000,
  });
  assert.equal(config.workers, Math.min(64, availableParallelism()));
  assert.equal(config.maxPendingHandshakes, 1024);
  assert.equal(config.logLevel, 'info');
  assert.equal(config.listeners[0]?.tls?.minVersion, 'TLSv1.2');
  assert.deepEqual(config.targetGroups, [{ ...DEFAULT_GROUP, name: 'web', servers: [{ ...DEFAULT_SERVER, address: '127.0.0.1:1' }] }]);
  assert.deepEqual(config.clients[0]?.limits.connectionRate, {
    algorithm: 'fixedWindow',
    limit: 7,
    windowMs: 1000,
    burst: undefined,
    action: 'reset',
    maxDelayMs: 5000,
  });
});

test('requests_per_second is a fixed window of one second that resets', () => {
  const config = parse(
    MINIMAL.replace('limits: {connectionRate: {limit: 7}}', 'requests_per_second: 4, limits: {concurrentConnections: 2}'),
  );
  assert.deepEqual(config.clients[0]?.limits, {
    connectionRate: { algorithm: 'fixedWindow', limit: 4, windowMs: 1000, burst: undefined, action: 'reset', maxDelayMs: 5000 },
    concurrentConnections: 2,
    bandwidth: undefined,
    shadow: false,
  });
});

test('timeouts are the defaults of target groups', () => {
  const config = parse(`${MINIMAL}timeouts: {connectTimeout: 250ms, retries: 0, maxDuration: none}`);
  assert.deepEqual([config.targetGroups[0]?.connectTimeoutMs, config.targetGroups[0]?.retries], [250, 0]);
  assert.equal(config.timeouts.maxDurationMs, undefined);
});

test('without roles, an OU or CN that names a role has it', () => {
  const { admin } = parse(MINIMAL);
  assert.equal(admin.rolesConfigured, false);
  assert.deepEqual(admin.roles.operator, [
    { ...ANY_NAME_MATCH, ou: 'operator' },
    { ...ANY_NAME_MATCH, cn: 'operator' },
  ]);
});

test('roles may be a list, with or without match', () => {
  const { admin } = parse(
    `${MINIMAL}admin: {roles: [{role: admin, match: {cn: alice}}, {role: viewer, ou: support}, {role: admin, cn: bob}]}`,
  );
  assert.deepEqual(admin.roles, {
    viewer: [{ ...ANY_NAME_MATCH, ou: 'support' }],
    operator: [],
    admin: [
      { ...ANY_NAME_MATCH, cn: 'alice' },
      { ...ANY_NAME_MATCH, cn: 'bob' },
    ],
  });
});

test('files are looked up beside the config file, then in the working directory', () => {
  const { tls } = parse(MINIMAL, 'conf/lb.yaml', ['/srv/conf/a.crt', '/srv/a.crt', '/srv/a.key']).admin;
  assert.deepEqual([tls.certificate, tls.privateKey, tls.caCert], ['/srv/conf/a.crt', '/srv/a.key', '/srv/conf/ca.pem']);
});

test('the state file stands beside the config file', () => {
  assert.deepEqual(parse(MINIMAL, 'conf/lb.yml').store, { kind: 'sqlite', path: '/srv/conf/lb.state.db' });
  assert.deepEqual(parse(MINIMAL, '/etc/lb').store, { kind: 'sqlite', path: '/etc/lb.state.db' });
  assert.deepEqual(parse(`${MINIMAL}store: {path: x.db}`).store, { kind: 'sqlite', path: '/etc/lb/x.db' });
  assert.deepEqual(parse(`${MINIMAL}store: {kind: memory}`).store, { kind: 'memory' });
});

test('cipher suites are taken by either name and offered by their OpenSSL name', () => {
  const withCiphers = (value: string) => parse(MINIMAL.replace('caCert: ca.pem', `caCert: ca.pem, ciphers: ${value}`)).admin.tls.ciphers;
  assert.equal(withCiphers('TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256'), 'ECDHE-RSA-AES128-GCM-SHA256');
  assert.equal(withCiphers('"TLS_AES_128_GCM_SHA256:ECDHE-RSA-CHACHA20-POLY1305"'), 'TLS_AES_128_GCM_SHA256:ECDHE-RSA-CHACHA20-POLY1305');
  assert.equal(
    withCiphers('[TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384, TLS_AES_256_GCM_SHA384]'),
    'ECDHE-ECDSA-AES256-GCM-SHA384:TLS_AES_256_GCM_SHA384',
  );
});

test('addresses and names take the spelling of the domain', () => {
  const config = parse(
    MINIMAL.replace('127.0.0.1:1"]', 'Server-1.Example.COM:80", "[::1]:81"]').replace(
      'clients:',
      'listeners: [{name: x, address: "[::1]:443", routes: [{sni: "*.Example.COM", targetGroup: web}]}]\nclients:',
    ),
  );
  assert.deepEqual(
    config.targetGroups[0]?.servers.map((server) => server.address),
    ['server-1.example.com:80', '[::1]:81'],
  );
  assert.deepEqual(config.listeners[1]?.address, { host: '::1', port: 443 });
  assert.equal(config.listeners[1]?.routes[0]?.sni, '*.example.com');
});

test('an alias stands for what its anchor names', () => {
  const config = parse(`${MINIMAL.replace('tlsParams: {', 'tlsParams: &tls {')}admin: {tls: *tls}`);
  assert.deepEqual(config.admin.tls, config.listeners[0]?.tls);
});

test('nothing in the config can be changed', () => {
  const config = parse(MINIMAL);
  assert.throws(() => Reflect.apply(Array.prototype.push, config.targetGroups[0]?.servers, [1]), TypeError);
  assert.ok(
    Object.isFrozen(config) && Object.isFrozen(config.clients[0]?.limits.connectionRate) && Object.isFrozen(config.admin.roles.admin),
  );
});
