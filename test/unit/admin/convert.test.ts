import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { clientFrom, clientMessage } from '../../../src/admin/convert.ts';
import { targetGroupFrom, targetGroupMessage } from '../../../src/admin/convert-groups.ts';
import { durationMessage, msFrom } from '../../../src/admin/convert-values.ts';
import { DomainError } from '../../../src/domain/errors.ts';
import {
  ALGORITHMS,
  type Client,
  type HealthCheck,
  type IdentityMatch,
  RATE_ALGORITHMS,
  SERVER_MODES,
  type TargetGroup,
} from '../../../src/domain/model.ts';
import { Client as ClientMessage, TargetGroup as TargetGroupMessage } from '../../../src/gen/lb/admin/v1/admin.ts';

const optional = <T>(arbitrary: fc.Arbitrary<T>) => fc.option(arbitrary, { nil: undefined });
const word = fc.stringMatching(/^[a-z][a-z0-9]{0,20}$/);
const positive = fc.integer({ min: 1, max: 1_000_000 });
const durationMs = fc.integer({ min: 1, max: 86_400_000 });

const checkBase = {
  intervalMs: durationMs,
  timeoutMs: durationMs,
  unhealthyThreshold: positive,
  healthyThreshold: positive,
  maxIntervalMs: durationMs,
};
const http = fc
  .tuple(fc.integer({ min: 100, max: 599 }), fc.integer({ min: 100, max: 599 }), word, optional(word))
  .map(([a, b, path, host]) => ({ path: `/${path}`, host, statusFrom: Math.min(a, b), statusTo: Math.max(a, b) }));
const healthCheck: fc.Arbitrary<HealthCheck> = fc.oneof(
  fc.record({ ...checkBase, type: fc.constantFrom('tcp', 'tls', 'none'), http: fc.constant(undefined) }),
  fc.record({ ...checkBase, type: fc.constant('http' as const), http }),
);
const server = fc.record({
  address: fc.tuple(word, fc.integer({ min: 1, max: 65_535 })).map(([host, port]) => `${host}:${port}`),
  weight: fc.integer({ min: 0, max: 256 }),
  maxConnections: optional(positive),
  backup: fc.boolean(),
  mode: fc.constantFrom(...SERVER_MODES),
});
const targetGroup: fc.Arbitrary<TargetGroup> = fc.record({
  name: word,
  algorithm: fc.constantFrom(...ALGORITHMS),
  servers: fc.uniqueArray(server, { selector: ({ address }) => address, maxLength: 5 }),
  healthCheck,
  connectTimeoutMs: durationMs,
  retries: fc.integer({ min: 0, max: 100 }),
  onUnhealthy: fc.constantFrom('keep', 'close'),
});

const fingerprint = fc.array(fc.constantFrom(...'0123456789abcdef'), { minLength: 64, maxLength: 64 }).map((digits) => digits.join(''));
const match: fc.Arbitrary<IdentityMatch> = fc.record({
  cn: optional(word),
  dns: optional(word),
  uri: optional(word),
  ou: optional(word),
  fingerprint: optional(fingerprint),
});
const client: fc.Arbitrary<Client> = fc.record({
  clientId: word,
  match,
  allowedTargetGroups: fc.uniqueArray(word, { maxLength: 4 }),
  limits: fc.record({
    connectionRate: optional(
      fc.record({
        algorithm: fc.constantFrom(...RATE_ALGORITHMS),
        limit: positive,
        windowMs: durationMs,
        burst: positive,
        action: fc.constantFrom('reset', 'close', 'delay'),
        maxDelayMs: durationMs,
      }),
    ),
    concurrentConnections: optional(positive),
  }),
});

test('a target group comes back from the wire as it was', () => {
  fc.assert(
    fc.property(targetGroup, (group) => {
      const wire = TargetGroupMessage.encode(targetGroupMessage(group)).finish();
      assert.deepEqual(targetGroupFrom(TargetGroupMessage.decode(wire), 'targetGroup'), structuredClone(group));
    }),
  );
});

test('a client comes back from the wire as it was', () => {
  fc.assert(
    fc.property(client, (each) => {
      const wire = ClientMessage.encode(clientMessage(each)).finish();
      assert.deepEqual(clientFrom(ClientMessage.decode(wire), 'client'), structuredClone(each));
    }),
  );
});

test('a client that says nothing but its name and groups gets the defaults', () => {
  const given = ClientMessage.fromPartial({ clientId: 'a', allowedTargetGroups: ['web', 'web'], limits: { connectionRate: { limit: 7 } } });
  const { match: found, allowedTargetGroups, limits } = clientFrom(given, 'client');
  assert.deepEqual(Object.values(found), Array(5).fill(undefined));
  assert.deepEqual(allowedTargetGroups, ['web']);
  assert.deepEqual(limits, {
    connectionRate: { algorithm: 'fixedWindow', limit: 7, windowMs: 1000, burst: 7, action: 'reset', maxDelayMs: 5000 },
    concurrentConnections: undefined,
  });
});

test('an HTTP check without particulars asks for / and takes 200 to 399', () => {
  const given = TargetGroupMessage.fromPartial({ name: 'a', healthCheck: { type: 'CHECK_TYPE_HTTP' } });
  assert.deepEqual(targetGroupFrom(given, 'g').healthCheck.http, { path: '/', host: undefined, statusFrom: 200, statusTo: 399 });
});

test('a fingerprint may be written with colons and in capitals', () => {
  const given = ClientMessage.fromPartial({ match: { fingerprint: Array(32).fill('AB').join(':') } });
  assert.equal(clientFrom(given, 'client').match.fingerprint, 'ab'.repeat(32));
});

const ms = (count: number) => durationMessage(count);
const group = (fields: object) => () => targetGroupFrom(TargetGroupMessage.fromPartial({ name: 'g', ...fields }), 'g');
const oneClient = (fields: object) => () => clientFrom(ClientMessage.fromPartial({ clientId: 'c', ...fields }), 'c');
const rate = (fields: object) => oneClient({ limits: { connectionRate: { limit: 1, ...fields } } });

const REFUSED: readonly (readonly [string, () => unknown, string])[] = [
  ['no message', () => targetGroupFrom(undefined, 'g'), 'g'],
  ['an algorithm of a later version', () => targetGroupFrom(TargetGroupMessage.decode(Uint8Array.of(0x10, 99)), 'g'), 'g.algorithm'],
  ['a server without a port', group({ servers: [{ address: 'a:1' }, { address: 'b' }] }), 'g.servers[1].address'],
  ['a server twice', group({ servers: [{ address: 'a:1' }, { address: 'A:1' }] }), 'g.servers[1].address'],
  ['too much weight', group({ servers: [{ address: 'a:1', weight: 257 }] }), 'g.servers[0].weight'],
  ['no time to connect', group({ connectTimeout: ms(0) }), 'g.connectTimeout'],
  ['a negative interval', group({ healthCheck: { interval: { seconds: -1n } } }), 'g.healthCheck.interval'],
  ['too many retries', group({ retries: 101 }), 'g.retries'],
  ['HTTP particulars of a TCP check', group({ healthCheck: { http: { path: '/' } } }), 'g.healthCheck.http'],
  [
    'a path that breaks the line',
    group({ healthCheck: { type: 'CHECK_TYPE_HTTP', http: { path: '/ HTTP/1.1\r\nX: y' } } }),
    'g.healthCheck.http.path',
  ],
  [
    'a host that breaks the line',
    group({ healthCheck: { type: 'CHECK_TYPE_HTTP', http: { host: 'a\r\nX: y' } } }),
    'g.healthCheck.http.host',
  ],
  [
    'status codes the wrong way',
    group({ healthCheck: { type: 'CHECK_TYPE_HTTP', http: { statusFrom: 300, statusTo: 200 } } }),
    'g.healthCheck.http.statusFrom',
  ],
  ['a short fingerprint', oneClient({ match: { fingerprint: 'abc' } }), 'c.match.fingerprint'],
  ['a limit of 0', rate({ limit: 0 }), 'c.limits.connectionRate.limit'],
  ['a limit that would take all memory', rate({ limit: 2_000_000 }), 'c.limits.connectionRate.limit'],
  ['too long a window', rate({ window: ms(86_400_001) }), 'c.limits.connectionRate.window'],
];

for (const [name, convert, field] of REFUSED) {
  test(`refused with its field: ${name}`, () => {
    assert.throws(convert, (error) => error instanceof DomainError && error.code === 'invalid' && error.field === field);
  });
}

test('a duration is whole milliseconds, rounded up so that a wish for some time is never none', () => {
  assert.equal(msFrom(undefined, 'd'), undefined);
  assert.equal(msFrom({ seconds: 1n, nanos: 500_000_000 }, 'd'), 1500);
  assert.equal(msFrom({ seconds: 0n, nanos: 1 }, 'd'), 1);
  assert.equal(msFrom({ seconds: 0n, nanos: 0 }, 'd'), 0);
});
