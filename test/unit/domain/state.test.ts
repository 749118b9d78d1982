import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { DomainError, type DomainErrorCode } from '../../../src/domain/errors.ts';
import { EMPTY_SNAPSHOT, type Limits, type Listener, type Snapshot, type TargetGroup } from '../../../src/domain/model.ts';
import { apply, assertInvariants, type Command } from '../../../src/domain/state.ts';
import { anyTargetGroup, anyClient as policyOfAClient } from '../../support/any-state.ts';
import { client, listener, RATE, targetGroup, upstream } from './snapshots.ts';

const SETUP: readonly Command[] = [
  { kind: 'addTargetGroup', group: targetGroup('web', { servers: [upstream('10.0.0.1:80'), upstream('10.0.0.2:80')] }) },
  { kind: 'addTargetGroup', group: targetGroup('db') },
  { kind: 'addTargetGroup', group: targetGroup('spare') },
  { kind: 'addClient', client: client('alice', ['web']) },
  { kind: 'setListeners', listeners: [listener('l', { targetGroup: 'db' })] },
];
const REPLACE_SOME = {
  kind: 'replaceSome',
  listeners: undefined,
  targetGroups: { put: [], removed: [] },
  clients: { put: [], removed: [] },
  revocations: [],
  makes: { targetGroups: 0, servers: 0, clients: 0 },
} as const;
const WEB_AND_DB = SETUP.reduce(apply, EMPTY_SNAPSHOT);

describe('a command that fits', () => {
  test('adds and removes a server of one group, and leaves the others as they are', () => {
    const more = apply(WEB_AND_DB, { kind: 'addUpstreamServer', group: 'web', server: upstream('10.0.0.3:80') });
    assert.deepEqual(addresses(more, 'web'), ['10.0.0.1:80', '10.0.0.2:80', '10.0.0.3:80']);
    const fewer = apply(more, { kind: 'removeUpstreamServer', group: 'web', address: '10.0.0.1:80' });
    assert.deepEqual(addresses(fewer, 'web'), ['10.0.0.2:80', '10.0.0.3:80']);
    assert.equal(fewer.targetGroups.get('db'), WEB_AND_DB.targetGroups.get('db'));
    assert.equal(fewer.revision, WEB_AND_DB.revision + 2);
  });

  test('the same address may serve two groups', () => {
    const next = apply(WEB_AND_DB, { kind: 'addUpstreamServer', group: 'db', server: upstream('10.0.0.1:80') });
    assert.deepEqual(addresses(next, 'db'), ['127.0.0.1:8081', '10.0.0.1:80']);
  });

  test('removes a group once nothing refers to it', () => {
    const next = apply(apply(WEB_AND_DB, { kind: 'removeClient', clientId: 'alice' }), { kind: 'removeTargetGroup', name: 'web' });
    assert.deepEqual([...next.targetGroups.keys()], ['db', 'spare']);
  });

  test('replaces some entries, and leaves the others as they are', () => {
    const next = apply(WEB_AND_DB, {
      ...REPLACE_SOME,
      targetGroups: { put: [targetGroup('spare', { retries: 0 }), targetGroup('new')], removed: ['web'] },
      clients: { put: [client('bob', ['new'])], removed: ['alice'] },
    });
    assert.deepEqual([[...next.targetGroups.keys()], [...next.clients.keys()]], [['db', 'spare', 'new'], ['bob']]);
    assert.deepEqual([next.targetGroups.get('spare')?.retries, next.revision], [0, WEB_AND_DB.revision + 1]);
    assert.equal(next.targetGroups.get('db'), WEB_AND_DB.targetGroups.get('db'));
    assert.equal(apply(WEB_AND_DB, REPLACE_SOME).clients, WEB_AND_DB.clients);
  });

  test('replaces everything at once', () => {
    const next = apply(WEB_AND_DB, {
      kind: 'replaceAll',
      listeners: [],
      targetGroups: [targetGroup('new')],
      clients: [client('bob', ['new'])],
      revocations: [],
    });
    assert.deepEqual([[...next.targetGroups.keys()], [...next.clients.keys()], next.listeners, next.revision], [['new'], ['bob'], [], 6]);
  });
});

function addresses(snapshot: Snapshot, group: string): string[] {
  return (snapshot.targetGroups.get(group)?.servers ?? []).map(({ address }) => address);
}

describe('a command that does not fit is refused', () => {
  const twice = (...names: string[]) => names.map((name) => targetGroup(name));
  for (const { name, command, code, field } of [
    { name: 'a group that exists', command: { kind: 'addTargetGroup', group: targetGroup('web') }, code: 'already_exists', field: 'name' },
    { name: 'a group that a client may reach', command: { kind: 'removeTargetGroup', name: 'web' }, code: 'in_use', field: 'name' },
    { name: 'a group that a listener serves', command: { kind: 'removeTargetGroup', name: 'db' }, code: 'in_use', field: 'name' },
    {
      name: 'a replacement without the group of a client that stays',
      command: { ...REPLACE_SOME, targetGroups: { put: [], removed: ['web'] } },
      code: 'not_found',
      field: 'allowedTargetGroups',
    },
    {
      name: 'a replacement without the group of a listener',
      command: { ...REPLACE_SOME, targetGroups: { put: [], removed: ['db'] } },
      code: 'not_found',
      field: 'listeners.l.targetGroup',
    },
    {
      name: 'a replacement that removes what is not there',
      command: { ...REPLACE_SOME, clients: { put: [], removed: ['bob'] } },
      code: 'not_found',
      field: 'clients',
    },
    {
      name: 'a replacement with one client twice',
      command: { ...REPLACE_SOME, clients: { put: [client('bob', ['web']), client('bob', ['db'])], removed: [] } },
      code: 'already_exists',
      field: 'clients',
    },
    {
      name: 'a replacement with a bad value',
      command: { ...REPLACE_SOME, targetGroups: { put: [targetGroup('web', { retries: 99 })], removed: [] } },
      code: 'invalid',
      field: 'retries',
    },
    { name: 'a group that is not there', command: { kind: 'removeTargetGroup', name: 'Web' }, code: 'not_found', field: 'name' },
    {
      name: 'a server for no group',
      command: { kind: 'addUpstreamServer', group: 'x', server: upstream('a:1') },
      code: 'not_found',
      field: 'targetGroup',
    },
    {
      name: 'a server twice',
      command: { kind: 'addUpstreamServer', group: 'web', server: upstream('10.0.0.1:80') },
      code: 'already_exists',
      field: 'server',
    },
    {
      name: 'a server without a port',
      command: { kind: 'addUpstreamServer', group: 'web', server: upstream('10.0.0.1') },
      code: 'invalid',
      field: 'server',
    },
    {
      name: 'a server that is not there',
      command: { kind: 'removeUpstreamServer', group: 'web', address: '10.0.0.9:80' },
      code: 'not_found',
      field: 'server',
    },
    {
      name: 'a client that exists',
      command: { kind: 'addClient', client: client('alice', ['db']) },
      code: 'already_exists',
      field: 'clientId',
    },
    {
      name: 'a client of no group',
      command: { kind: 'addClient', client: client('bob', []) },
      code: 'invalid',
      field: 'allowedTargetGroups',
    },
    {
      name: 'a client of a group that is not there',
      command: { kind: 'addClient', client: client('bob', ['web', 'x']) },
      code: 'not_found',
      field: 'allowedTargetGroups',
    },
    { name: 'a client that is not there', command: { kind: 'removeClient', clientId: 'bob' }, code: 'not_found', field: 'clientId' },
    {
      name: 'a listener of a group that is not there',
      command: { kind: 'setListeners', listeners: [listener('l', { targetGroup: 'x' })] },
      code: 'not_found',
      field: 'listeners.l.targetGroup',
    },
    {
      name: 'two listeners of one name',
      command: { kind: 'setListeners', listeners: [listener('l'), listener('l')] },
      code: 'already_exists',
      field: 'listeners',
    },
    {
      name: 'a group listed twice',
      command: { kind: 'replaceAll', listeners: [], targetGroups: twice('a', 'a'), clients: [], revocations: [] },
      code: 'already_exists',
      field: 'targetGroups',
    },
    {
      name: 'a new state whose client has no group',
      command: { kind: 'replaceAll', listeners: [], targetGroups: twice('a'), clients: [client('bob', ['web'])], revocations: [] },
      code: 'not_found',
      field: 'allowedTargetGroups',
    },
  ] satisfies readonly { name: string; command: Command; code: DomainErrorCode; field: string }[]) {
    test(`${name}: ${code}`, () => {
      const before = structuredClone(WEB_AND_DB);
      assert.throws(
        () => apply(WEB_AND_DB, command),
        (error) => error instanceof DomainError && error.code === code && error.field === field,
      );
      assert.deepEqual(WEB_AND_DB, before);
    });
  }
});

describe('the invariants notice', () => {
  const broken: Readonly<Record<string, Snapshot>> = {
    'a client whose group is gone': { ...WEB_AND_DB, targetGroups: new Map() },
    'a group filed under another name': { ...EMPTY_SNAPSHOT, targetGroups: new Map([['a', targetGroup('b')]]) },
    'a client filed under another name': { ...WEB_AND_DB, clients: new Map([['a', client('b', ['web'])]]) },
    'a value out of its bounds': { ...EMPTY_SNAPSHOT, targetGroups: new Map([['a', targetGroup('a', { retries: -1 })]]) },
    'a listener whose group is gone': { ...EMPTY_SNAPSHOT, listeners: [listener('l', { targetGroup: 'a' })] },
  };
  for (const [name, snapshot] of Object.entries(broken)) test(name, () => assert.throws(() => assertInvariants(snapshot)));
});

/** Few names, so that commands meet; most values good, so that states grow. */
const group = fc.constantFrom('a', 'b', 'c');
const groupInAName = fc.oneof({ weight: 9, arbitrary: group }, { weight: 1, arbitrary: fc.constantFrom('', 'no such', 'b\n') });
const clientId = fc.constantFrom('x', 'y', 'z', 'x\u001b[2J');
const address = fc.oneof(
  { weight: 9, arbitrary: fc.constantFrom('h:1', 'h:2', '[::1]:3') },
  { weight: 1, arbitrary: fc.constantFrom('h', 'h:0\n') },
);
const server = fc.tuple(address, fc.constantFrom(1, 1, 1, 0, 256, 257, -1, 0.5)).map(([at, weight]) => upstream(at, { weight }));
const good = { weight: 30, arbitrary: fc.constant({}) };
/** One of its other fields out of its bounds, now and then. */
const badPolicy: fc.Arbitrary<Partial<TargetGroup>> = fc.oneof(good, {
  weight: 1,
  arbitrary: fc.constantFrom<Partial<TargetGroup>>(
    { slowStartMs: -1 },
    { panicThreshold: 101 },
    { queue: { maxLength: 0, timeoutMs: 1 } },
    { hashBalanceFactor: 100 },
    { algorithm: 'resource', agentCheck: undefined },
    { rebalance: { perSecond: 0 } },
    { resolveIntervalMs: 1 },
  ),
});
const anyGroup = fc
  .tuple(anyTargetGroup, groupInAName, fc.array(server, { maxLength: 3 }), fc.constantFrom(0, 3, 3, 3, 11), badPolicy)
  .map(([policy, name, servers, retries, bad]) => ({ ...policy, name, servers, retries, ...bad }));
const badLimits: fc.Arbitrary<Partial<Limits>> = fc.oneof(good, {
  weight: 1,
  arbitrary: fc.constant({ bandwidth: { uploadBytesPerSecond: 1, downloadBytesPerSecond: undefined } }),
});
const clientInFewWords = fc
  .tuple(clientId, fc.array(groupInAName, { maxLength: 2 }), fc.option(fc.constantFrom(1, 1, 10, 0), { nil: undefined }))
  .map(([id, groups, limit]) => ({ id, groups, connectionRate: limit === undefined ? undefined : { ...RATE, limit } }));
const anyClient = fc
  .tuple(policyOfAClient(['a']), clientInFewWords, badLimits)
  .map(([{ match, limits }, { id, groups, connectionRate }, bad]) =>
    client(id, groups, { match, limits: { ...limits, connectionRate, ...bad } }),
  );
const anyListeners: fc.Arbitrary<Listener[]> = fc.array(
  fc
    .tuple(fc.constantFrom('l', 'm'), fc.option(group, { nil: undefined }), fc.array(group, { maxLength: 1 }))
    .map(([name, targetGroupName, routed]) =>
      listener(name, {
        targetGroup: targetGroupName,
        routes: routed.map((one) => ({ sni: 'a.example.com', alpn: undefined, targetGroup: one })),
      }),
    ),
  { maxLength: 2 },
);
const anyRevocation = fc.record(
  {
    fingerprint: fc.constantFrom('ab'.repeat(32), 'cd'.repeat(32), 'ef'.repeat(32), 'AB'),
    comment: fc.constantFrom('', 'lost'),
    atMs: fc.constant(1),
  },
  // structuredClone gives a copy another prototype than null.
  { noNullPrototype: true },
);
const anyCommand: fc.Arbitrary<Command> = fc.oneof(
  fc.record({ kind: fc.constant('addTargetGroup' as const), group: anyGroup }),
  fc.record({ kind: fc.constant('addTargetGroup' as const), group: anyGroup }),
  fc.record({ kind: fc.constant('removeTargetGroup' as const), name: groupInAName }),
  fc.record({ kind: fc.constant('addUpstreamServer' as const), group, server }),
  fc.record({ kind: fc.constant('removeUpstreamServer' as const), group, address }),
  fc.record({ kind: fc.constant('addClient' as const), client: anyClient }),
  fc.record({ kind: fc.constant('addClient' as const), client: anyClient }),
  fc.record({ kind: fc.constant('removeClient' as const), clientId }),
  fc.record({ kind: fc.constant('updateTargetGroup' as const), group: anyGroup }),
  fc.record({ kind: fc.constant('setUpstreamServer' as const), group, server }),
  fc.record({ kind: fc.constant('updateClient' as const), client: anyClient }),
  fc.record({ kind: fc.constant('updateClient' as const), client: anyClient }),
  fc.record({ kind: fc.constant('revokeCertificate' as const), revocation: anyRevocation }),
  fc.record({ kind: fc.constant('setListeners' as const), listeners: anyListeners }),
  fc.record({
    kind: fc.constant('replaceAll' as const),
    listeners: anyListeners,
    targetGroups: fc.array(anyGroup, { maxLength: 3 }),
    clients: fc.array(anyClient, { maxLength: 2 }),
    revocations: fc.array(anyRevocation, { maxLength: 2 }),
  }),
);

/** So that commands about what is there meet something. */
const SOME = (['a', 'b'] as const)
  .map((name): Command => ({ kind: 'addTargetGroup', group: targetGroup(name, { servers: [upstream('h:1')] }) }))
  .concat({ kind: 'addClient', client: client('x', ['a']) }, { kind: 'addClient', client: client('y', ['b']) })
  .reduce(apply, EMPTY_SNAPSHOT);

test('whatever the commands, each one gives the next revision with every invariant kept, or is refused having changed nothing', () => {
  const seen = new Set<string>();
  fc.assert(
    fc.property(
      fc.constantFrom(EMPTY_SNAPSHOT, SOME),
      fc.array(anyCommand, { minLength: 1, maxLength: 40, size: 'max' }),
      (start, commands) => {
        let snapshot = start;
        for (const command of commands) {
          const before = structuredClone(snapshot);
          let next: Snapshot | undefined;
          try {
            next = apply(snapshot, command);
          } catch (error) {
            assert.ok(error instanceof DomainError, String(error));
            assert.match(error.message, /^[\x20-\x7e]+$/);
            seen.add(`${command.kind} ${error.code}`);
          }
          assert.deepEqual(snapshot, before);
          if (next === undefined) continue;
          assert.equal(next.revision, snapshot.revision + 1);
          assertInvariants(next);
          seen.add(command.kind);
          snapshot = next;
        }
      },
    ),
    { numRuns: 600 },
  );
  // A run that never got anywhere would prove nothing.
  for (const outcome of [
    'replaceAll',
    'setListeners',
    'removeClient',
    'updateTargetGroup',
    'setUpstreamServer',
    'updateClient',
    'revokeCertificate',
    'revokeCertificate already_exists',
    'removeTargetGroup',
    'removeTargetGroup in_use',
    'addClient invalid',
  ]) {
    assert.ok(seen.has(outcome), `${outcome} never happened`);
  }
});
