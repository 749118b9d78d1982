/**
 * Arbitrary target groups, clients, listeners and revocations for property tests: every value that the domain, the config file and
 * the admin API all take, with the texts that break formats among them. A field missing here is a type error.
 */
import fc from 'fast-check';
import { DEFAULT_CIPHERS } from '../../src/config/ciphers.ts';
import type { HealthCheck } from '../../src/domain/health-check.ts';
import {
  type AgentCheck,
  ALGORITHMS,
  ANY_NAME_MATCH,
  type Client,
  type ConnectionRate,
  type IdentityMatch,
  type Limits,
  type Listener,
  type OutlierDetection,
  PROXY_PROTOCOL_VERSIONS,
  RATE_ALGORITHMS,
  type Revocation,
  SERVER_MODES,
  type TargetGroup,
  type UpstreamServer,
  type UpstreamTls,
} from '../../src/domain/model.ts';
import type { KeyPairFiles, ServedKeyPairFiles, TlsParams } from '../../src/domain/tls-material.ts';

const DAY_MS = 86_400_000;
const MAX_CONNECTIONS = 2 ** 31 - 1;

const whole = (min: number, max: number) => fc.integer({ min, max });
const orNone = <T>(arbitrary: fc.Arbitrary<T>) => fc.option(arbitrary, { nil: undefined });
/** An object with an ordinary prototype: what the code under test makes has one too. */
const record = <T>(fields: { [K in keyof T]: fc.Arbitrary<T[K]> }) => fc.record(fields, { noNullPrototype: true });

const entryName = fc.oneof(
  fc.constantFrom('on', 'null', '1', '0x1', '1:30', '*', '@web', '-', '--', '1e3', 'true', '.inf'),
  fc.stringMatching(/^[\w.:/@*-]{1,20}$/),
);
const words = fc
  .oneof(fc.string({ unit: 'grapheme', minLength: 1, maxLength: 20 }), fc.constantFrom('yes', ' a ', '#', '"', "'", ': ', '- ', '\u2028'))
  .filter((text) => !/\p{Cc}/u.test(text) && text.isWellFormed());
/** What holds a wildcard must be a pattern; anything else is compared as it is. */
const uris = fc.oneof(
  words.filter((text) => !text.includes('*')),
  fc.constantFrom('spiffe://example.org/team/*', 'spiffe://example.org/**/web', 'spiffe://example.org/a/*/c/**'),
);
/** Line ends and other control characters included. */
const probeText = fc
  .oneof(fc.string({ unit: 'binary', maxLength: 20 }), fc.constantFrom('PING\r\n', '\0', ' ', '\n', '\t', '\u0085', '\ufeff', 'null'))
  .filter((text) => text.isWellFormed());
const expected = probeText.filter((text) => text !== '');
const file = fc.stringMatching(/^\/[\w -]{1,20}\.pem$/);
const fingerprint = fc.stringMatching(/^[\da-f]{64}$/);
const network = fc.constantFrom('10.0.0.0/8', '192.0.2.7', '0.0.0.0/0', '2001:db8::/32', '::1', 'fe80::/10');
const hostHeader = fc.stringMatching(/^[\x21-\x7e]{1,30}$/);

const keyPairFiles: fc.Arbitrary<KeyPairFiles> = record<KeyPairFiles>({ certificate: file, privateKey: file });

const servedKeyPairFiles: fc.Arbitrary<ServedKeyPairFiles> = record<ServedKeyPairFiles>({
  certificate: file,
  privateKey: file,
  ocspResponse: orNone(file),
});

const healthCheck: fc.Arbitrary<HealthCheck> = record<HealthCheck>({
  type: fc.constantFrom('tcp', 'tls', 'http', 'grpc', 'sendExpect', 'none'),
  intervalMs: whole(10, DAY_MS),
  timeoutMs: whole(10, DAY_MS),
  unhealthyThreshold: whole(1, 1000),
  healthyThreshold: whole(1, 1000),
  maxIntervalMs: whole(10, DAY_MS),
  http: record<NonNullable<HealthCheck['http']>>({
    path: fc.stringMatching(/^\/[\x21-\x7e]{0,30}$/),
    host: orNone(hostHeader),
    statusFrom: whole(100, 300),
    statusTo: whole(300, 599),
    body: orNone(expected),
  }),
  grpc: record<NonNullable<HealthCheck['grpc']>>({ service: fc.oneof(fc.constant(''), words), authority: orNone(hostHeader) }),
  sendExpect: record<NonNullable<HealthCheck['sendExpect']>>({ send: probeText, expect: expected }),
}).map(({ http, grpc, sendExpect, ...check }) => ({
  ...check,
  // The file takes no interval while down that is shorter than the one before.
  maxIntervalMs: Math.max(check.intervalMs, check.maxIntervalMs),
  http: check.type === 'http' ? http : undefined,
  grpc: check.type === 'grpc' ? grpc : undefined,
  sendExpect: check.type === 'sendExpect' ? sendExpect : undefined,
}));

const upstreamServer: fc.Arbitrary<UpstreamServer> = record<UpstreamServer>({
  address: fc.tuple(fc.constantFrom('10.0.0.1', '[::1]', 'db.example.com'), whole(1, 65_535)).map(([host, port]) => `${host}:${port}`),
  weight: whole(0, 256),
  maxConnections: orNone(whole(1, MAX_CONNECTIONS)),
  backup: fc.boolean(),
  mode: fc.constantFrom(...SERVER_MODES),
});

const agentCheck: fc.Arbitrary<AgentCheck> = record<AgentCheck>({
  port: whole(1, 65_535),
  intervalMs: whole(10, DAY_MS),
  timeoutMs: whole(10, DAY_MS),
});

const SOME_AGENT: AgentCheck = { port: 9999, intervalMs: 5000, timeoutMs: 5000 };

export const anyTargetGroup: fc.Arbitrary<TargetGroup> = record<TargetGroup>({
  name: entryName,
  algorithm: fc.constantFrom(...ALGORITHMS),
  servers: fc.uniqueArray(upstreamServer, { selector: ({ address }) => address, maxLength: 4 }),
  healthCheck,
  connectTimeoutMs: whole(1, 600_000),
  retries: whole(0, 10),
  onUnhealthy: fc.constantFrom('keep', 'close'),
  slowStartMs: whole(0, DAY_MS),
  panicThreshold: whole(0, 100),
  outlierDetection: record<OutlierDetection>({
    consecutiveFailures: whole(0, 1000),
    baseEjectionMs: whole(1, DAY_MS),
    maxEjectionMs: whole(1, DAY_MS),
    maxEjectionPercent: whole(0, 100),
  }),
  queue: orNone(record<NonNullable<TargetGroup['queue']>>({ maxLength: whole(1, 16_384), timeoutMs: whole(1, 600_000) })),
  hashBalanceFactor: fc.oneof(fc.constant(0), whole(101, 10_000)),
  agentCheck: orNone(agentCheck),
  rebalance: orNone(record<NonNullable<TargetGroup['rebalance']>>({ perSecond: whole(1, 10_000) })),
  sendProxyProtocol: orNone(fc.constantFrom(...PROXY_PROTOCOL_VERSIONS)),
  upstreamTls: orNone(
    record<UpstreamTls>({
      ca: orNone(file),
      serverName: orNone(fc.oneof(fc.domain(), fc.ipV4(), fc.constantFrom('::1', 'db_1.internal', 'on'))),
      clientCertificate: orNone(keyPairFiles),
      insecureSkipVerify: fc.boolean(),
    }),
  ),
  resolveIntervalMs: whole(100, DAY_MS),
}).map((group) => (group.algorithm === 'resource' && group.agentCheck === undefined ? { ...group, agentCheck: SOME_AGENT } : group));

const match: fc.Arbitrary<IdentityMatch> = fc.oneof(
  fc.constant(ANY_NAME_MATCH),
  record<IdentityMatch>({
    cn: orNone(words),
    dns: orNone(words.map((text) => text.toLowerCase())),
    uri: orNone(uris),
    ou: orNone(words),
    fingerprint: orNone(fingerprint),
    cidr: orNone(network),
  }),
);

const limits: fc.Arbitrary<Limits> = record<Limits>({
  connectionRate: orNone(
    record<ConnectionRate>({
      algorithm: fc.constantFrom(...RATE_ALGORITHMS),
      limit: whole(1, 100_000),
      windowMs: whole(1, DAY_MS),
      burst: orNone(whole(1, 1_000_000)),
      action: fc.constantFrom('reset', 'close', 'delay'),
      maxDelayMs: whole(0, 60_000),
    }),
  ),
  concurrentConnections: orNone(whole(1, MAX_CONNECTIONS)),
  bandwidth: orNone(
    record<NonNullable<Limits['bandwidth']>>({
      uploadBytesPerSecond: orNone(fc.maxSafeNat().map((count) => 1024 + (count % (2 ** 40 - 1023)))),
      downloadBytesPerSecond: orNone(whole(1024, 1_000_000)),
    }).filter((each) => (each.uploadBytesPerSecond ?? each.downloadBytesPerSecond) !== undefined),
  ),
  shadow: fc.boolean(),
});

/** A client that may reach some of these groups. */
export function anyClient(groupNames: readonly string[]): fc.Arbitrary<Client> {
  return record<Client>({
    clientId: entryName,
    match,
    allowedTargetGroups: fc.uniqueArray(fc.constantFrom(...groupNames), { minLength: 1 }),
    limits,
  });
}

const tlsParams: fc.Arbitrary<TlsParams> = record<TlsParams>({
  certificate: file,
  privateKey: file,
  ocspResponse: orNone(file),
  certificates: fc.array(servedKeyPairFiles, { maxLength: 2 }),
  caCert: file,
  crl: orNone(file),
  minVersion: fc.constantFrom('TLSv1.2', 'TLSv1.3'),
  ciphers: fc.constantFrom(DEFAULT_CIPHERS, 'TLS_AES_128_GCM_SHA256'),
  sessionTickets: fc.boolean(),
});

function anyListener(groupNames: readonly string[]): fc.Arbitrary<Listener> {
  const group = fc.constantFrom(...groupNames);
  return record<Listener>({
    name: entryName,
    address: record<Listener['address']>({ host: fc.constantFrom('10.9.9.9', '::1'), port: whole(0, 65_535) }),
    tls: orNone(tlsParams),
    alpn: fc.uniqueArray(fc.constantFrom('h2', 'http/1.1', 'postgresql'), { maxLength: 2 }),
    acceptProxyProtocol: fc.uniqueArray(network, { maxLength: 2 }),
    perAddress: orNone(
      record<NonNullable<Listener['perAddress']>>({
        connectionsPerSecond: orNone(whole(1, 1_000_000)),
        burst: whole(1, 1_000_000),
        pendingHandshakes: orNone(whole(1, MAX_CONNECTIONS)),
        concurrentConnections: orNone(whole(1, MAX_CONNECTIONS)),
      }),
    ),
    targetGroup: orNone(group),
    routes: fc.array(
      record<Listener['routes'][number]>({
        sni: orNone(fc.constantFrom('a.example.com', '*.example.com')),
        alpn: orNone(fc.constantFrom('h2', 'x y')),
        targetGroup: group,
      }),
      { maxLength: 2 },
    ),
  }).map((listener) => ({
    ...listener,
    alpn: listener.tls === undefined ? [] : listener.alpn,
    routes: listener.tls === undefined || listener.targetGroup !== undefined ? [] : listener.routes,
  }));
}

const revocation: fc.Arbitrary<Revocation> = record<Revocation>({
  fingerprint,
  comment: fc.oneof(fc.constant(''), words),
  atMs: fc.oneof(fc.constant(0), whole(1, 2 ** 31 - 1), fc.constant(253_402_300_799_999)),
});

/** The entries of a state that holds together: names are unique, and what is named is there. */
export interface Entries {
  readonly listeners: readonly Listener[];
  readonly targetGroups: readonly TargetGroup[];
  readonly clients: readonly Client[];
  readonly revocations: readonly Revocation[];
}

export const anyEntries: fc.Arbitrary<Entries> = fc
  .uniqueArray(anyTargetGroup, { selector: ({ name }) => name, minLength: 1, maxLength: 4 })
  .chain((targetGroups) => {
    const names = targetGroups.map(({ name }) => name);
    return record<Entries>({
      listeners: fc.uniqueArray(anyListener(names), {
        comparator: (one, other) =>
          one.name === other.name || (one.address.host === other.address.host && one.address.port === other.address.port),
        minLength: 1,
        maxLength: 3,
      }),
      targetGroups: fc.constant(targetGroups),
      clients: fc.uniqueArray(anyClient(names), { selector: ({ clientId }) => clientId, maxLength: 4 }),
      revocations: fc.uniqueArray(revocation, { selector: (each) => each.fingerprint, maxLength: 3 }),
    });
  });
