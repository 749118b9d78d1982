import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { clientFrom, clientMessage } from '../../../src/admin/convert.ts';
import { targetGroupFrom, targetGroupMessage } from '../../../src/admin/convert-groups.ts';
import { durationMessage, msFrom } from '../../../src/admin/convert-values.ts';
import { NO_LIMITS } from '../../../src/domain/defaults.ts';
import { DomainError } from '../../../src/domain/errors.ts';
import { ANY_NAME_MATCH } from '../../../src/domain/model.ts';
import { Client as ClientMessage, TargetGroup as TargetGroupMessage } from '../../../src/gen/lb/admin/v1/admin.ts';
import { anyClient, anyTargetGroup } from '../../support/any-state.ts';

test('a target group comes back from the wire as it was', () => {
  fc.assert(
    fc.property(anyTargetGroup, (group) => {
      const wire = TargetGroupMessage.encode(targetGroupMessage(group)).finish();
      assert.deepEqual(targetGroupFrom(TargetGroupMessage.decode(wire), 'targetGroup'), group);
    }),
  );
});

test('a client comes back from the wire as it was', () => {
  fc.assert(
    fc.property(anyClient(['web', 'db']), (each) => {
      const wire = ClientMessage.encode(clientMessage(each)).finish();
      assert.deepEqual(clientFrom(ClientMessage.decode(wire), 'client'), each);
    }),
  );
});

test('a client that says nothing but its name and groups gets the defaults', () => {
  const given = ClientMessage.fromPartial({ clientId: 'a', allowedTargetGroups: ['web', 'web'], limits: { connectionRate: { limit: 7 } } });
  const { match: found, allowedTargetGroups, limits } = clientFrom(given, 'client');
  assert.deepEqual(found, ANY_NAME_MATCH);
  assert.deepEqual(allowedTargetGroups, ['web']);
  assert.deepEqual(limits, {
    ...NO_LIMITS,
    connectionRate: { algorithm: 'fixedWindow', limit: 7, windowMs: 1000, burst: undefined, action: 'reset', maxDelayMs: 5000 },
  });
});

test('a delay of none is a delay, not the default', () => {
  const connectionRate = { limit: 1, action: 'LIMIT_ACTION_DELAY' as const, maxDelay: durationMessage(0) };
  const given = ClientMessage.fromPartial({ clientId: 'a', limits: { connectionRate } });
  assert.equal(clientFrom(given, 'client').limits.connectionRate?.maxDelayMs, 0);
});

test('an HTTP check without particulars asks for / and takes 200 to 399', () => {
  const given = TargetGroupMessage.fromPartial({ name: 'a', healthCheck: { type: 'CHECK_TYPE_HTTP' } });
  assert.deepEqual(targetGroupFrom(given, 'g').healthCheck.http, {
    path: '/',
    host: undefined,
    statusFrom: 200,
    statusTo: 399,
    body: undefined,
  });
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
