import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { isDeepStrictEqual } from 'node:util';
import fc from 'fast-check';
import { NO_LIMITS } from '../../../src/domain/defaults.ts';
import { blastRadius, type Difference, type LiveConnection } from '../../../src/domain/diff.ts';
import { EMPTY_SNAPSHOT, type Snapshot, type TargetGroup } from '../../../src/domain/model.ts';
import { type Plan, planOf } from '../../../src/domain/plan.ts';
import { apply, assertInvariants, type Command } from '../../../src/domain/state.ts';
import { anyClient, anyTargetGroup } from '../../support/any-state.ts';
import { client, RATE, targetGroup, upstream } from './snapshots.ts';

/** RATE, as the configuration file writes it. */
const RATE_IN_FILE = { algorithm: 'fixedWindow', limit: 10, window: '1s', burst: 10, action: 'reset', maxDelay: '5s' };
const REVOKED = { fingerprint: 'ab'.repeat(32), comment: 'lost', atMs: 5 };

function stateOf(given: Partial<Extract<Command, { kind: 'replaceAll' }>>): Snapshot {
  return apply(EMPTY_SNAPSHOT, { kind: 'replaceAll', listeners: [], targetGroups: [], clients: [], revocations: [], ...given });
}

function planTo(before: Snapshot, { targetGroups, clients, revocations }: Snapshot): Plan {
  return planOf(before, {
    targetGroups: [...targetGroups.values()],
    clients: [...clients.values()],
    revocations: [...revocations.values()],
  });
}

function diff(before: Snapshot, after: Snapshot): readonly Difference[] {
  return planTo(before, after).differences;
}

const BEFORE = stateOf({
  targetGroups: [
    targetGroup('web', { servers: [upstream('10.0.0.1:80'), upstream('10.0.0.2:80')] }),
    targetGroup('db', { servers: [upstream('10.0.0.5:5432')] }),
  ],
  clients: [client('alice', ['web', 'db']), client('bob', ['db'])],
});

describe('the differences between two states', () => {
  test('name each changed field, and whole entries that come or go', () => {
    const [web] = BEFORE.targetGroups.values();
    assert.ok(web);
    const after = stateOf({
      targetGroups: [
        {
          ...web,
          algorithm: 'random',
          healthCheck: { ...web.healthCheck, intervalMs: 9000 },
          servers: [upstream('10.0.0.1:80', { weight: 7, maxConnections: 5 }), upstream('10.0.0.3:80')],
        },
      ],
      clients: [client('alice', ['web'], { limits: { ...NO_LIMITS, connectionRate: RATE } })],
      revocations: [REVOKED],
    });
    const told = diff(BEFORE, after).map(({ kind, path, before, after: now }) => [kind, path, before, now]);
    const server = { weight: 1, backup: false, mode: 'ready' };
    const byPath = (each: (string | undefined)[][]) => [...each].sort(([, a = ''], [, b = '']) => (a < b ? -1 : 1));
    assert.deepEqual(
      byPath(told.filter(([, path]) => path !== 'targetGroups/db' && path !== 'clients/bob')),
      byPath([
        ['changed', 'targetGroups/web/algorithm', '"leastConnections"', '"random"'],
        ['changed', 'targetGroups/web/healthCheck/interval', '"5s"', '"9s"'],
        ['changed', 'targetGroups/web/upstreamServers/10.0.0.1:80/weight', '1', '7'],
        ['added', 'targetGroups/web/upstreamServers/10.0.0.1:80/maxConnections', '', '5'],
        ['removed', 'targetGroups/web/upstreamServers/10.0.0.2:80', JSON.stringify(server), ''],
        ['added', 'targetGroups/web/upstreamServers/10.0.0.3:80', '', JSON.stringify(server)],
        ['changed', 'clients/alice/allowedTargetGroups', '["web","db"]', '["web"]'],
        ['added', 'clients/alice/limits/connectionRate', '', JSON.stringify(RATE_IN_FILE)],
        [
          'added',
          `revokedCertificates/${REVOKED.fingerprint}`,
          '',
          JSON.stringify({ comment: 'lost', revokedAt: '1970-01-01T00:00:00.005Z' }),
        ],
      ]),
    );
    assert.deepEqual(
      told.filter(([, path]) => path === 'targetGroups/db' || path === 'clients/bob').map(([kind, , , now]) => [kind, now]),
      [
        ['removed', ''],
        ['removed', ''],
      ],
    );
  });

  const anyState = fc
    .record({
      groups: fc.uniqueArray(
        fc.record({
          name: fc.constantFrom('a', 'b', 'c'),
          retries: fc.nat(3),
          servers: fc.uniqueArray(fc.constantFrom('h:1', 'h:2', 'h:3'), { maxLength: 3 }),
        }),
        { selector: ({ name }) => name, minLength: 1 },
      ),
      clients: fc.uniqueArray(fc.record({ id: fc.constantFrom('x', 'y'), limit: fc.option(fc.integer({ min: 1, max: 3 })) }), {
        selector: ({ id }) => id,
      }),
    })
    .map(({ groups, clients }) =>
      stateOf({
        targetGroups: groups.map(({ name, retries, servers }) =>
          targetGroup(name, { retries, servers: servers.map((address) => upstream(address)) }),
        ),
        clients: clients.map(({ id, limit }) =>
          client(id, [groups[0]?.name ?? ''], { limits: { ...NO_LIMITS, concurrentConnections: limit ?? undefined } }),
        ),
      }),
    );
  const contents = ({ targetGroups, clients }: Snapshot) => ({
    groups: [...targetGroups.values()]
      .map((each) => ({ ...each, servers: new Set(each.servers) }))
      .toSorted((a, b) => (a.name < b.name ? -1 : 1)),
    clients: new Set(clients.values()),
  });

  test('are none exactly when two states hold the same', () => {
    fc.assert(
      fc.property(anyState, anyState, (before, after) => {
        let same = true;
        try {
          assert.deepEqual(contents(before), contents(after));
        } catch {
          same = false;
        }
        assert.equal(diff(before, after).length === 0, same);
      }),
    );
  });

  test('name every field of a group and of a client in which two states differ', () => {
    const one = anyTargetGroup.map((group) => ({ ...group, name: 'web', servers: [] }));
    const user = anyClient(['web']).map((each) => ({ ...each, clientId: 'alice' }));
    fc.assert(
      fc.property(one, one, user, user, (group, otherGroup, who, otherWho) => {
        const told = diff(stateOf({ targetGroups: [group], clients: [who] }), stateOf({ targetGroups: [otherGroup], clients: [otherWho] }));
        const fieldsIn = (entry: string) =>
          new Set(told.filter(({ path }) => path.startsWith(`${entry}/`)).map(({ path }) => path.slice(entry.length + 1).split('/')[0]));
        assert.deepEqual(fieldsIn('targetGroups/web'), differing(group, otherGroup));
        assert.deepEqual(fieldsIn('clients/alice'), differing(who, otherWho));
      }),
    );
  });

  test('are none once the plan has been carried out, in one change that holds nothing else', () => {
    fc.assert(
      fc.property(anyState, anyState, (before, wanted) => {
        const { command, differences } = planTo(before, wanted);
        const after = apply(before, command);
        assertInvariants(after);
        assert.deepEqual(contents(after), contents(wanted));
        assert.deepEqual(diff(after, wanted), []);
        const touched = new Set(differences.map(({ path }) => path.split('/').slice(0, 2).join('/')));
        const { targetGroups, clients } = command;
        const held = [
          ...[...targetGroups.put.map(({ name }) => name), ...targetGroups.removed].map((name) => `targetGroups/${name}`),
          ...[...clients.put.map(({ clientId }) => clientId), ...clients.removed].map((clientId) => `clients/${clientId}`),
        ];
        assert.deepEqual(new Set(held), touched);
        for (const [name, group] of before.targetGroups)
          if (!touched.has(`targetGroups/${name}`)) assert.equal(after.targetGroups.get(name), group);
      }),
    );
  });

  test('have the keys and the spelling of the configuration file', () => {
    const http = { path: '/', host: undefined, statusFrom: 200, statusTo: 299, body: undefined };
    const [before] = BEFORE.clients.values();
    assert.ok(before);
    const limits = { ...NO_LIMITS, connectionRate: RATE };
    const limited = stateOf({ targetGroups: [...BEFORE.targetGroups.values()], clients: [{ ...before, limits }] });
    const [web, db] = BEFORE.targetGroups.values();
    assert.ok(web && db);
    const after = stateOf({
      targetGroups: [{ ...web, connectTimeoutMs: 90_000, healthCheck: { ...web.healthCheck, type: 'http', http } }, db],
      clients: [{ ...before, limits: { ...limits, connectionRate: { ...RATE, windowMs: 60_000 } } }],
    });
    assert.deepEqual(
      new Map(diff(limited, after).map(({ path, after: now }) => [path, now])),
      new Map([
        ['targetGroups/web/connectTimeout', '"1m30s"'],
        ['targetGroups/web/healthCheck/type', '"http"'],
        ['targetGroups/web/healthCheck/http', '{"path":"/","status":"200-299"}'],
        ['clients/alice/limits/connectionRate/window', '"1m"'],
      ]),
    );
  });
});

/** The keys under which two objects hold something else. */
function differing<T extends object>(one: T, other: T): ReadonlySet<string> {
  const others = new Map(Object.entries(other));
  return new Set(
    Object.entries(one)
      .filter(([key, value]) => !isDeepStrictEqual(value, others.get(key)))
      // The file names durations without their unit.
      .map(([key]) => key.replace(/Ms$/, '')),
  );
}

describe('the blast radius of a change', () => {
  const connection = (clientId: string, group: string, server: string, fingerprint = 'ff'.repeat(32)): LiveConnection => ({
    clientId,
    fingerprint,
    twins: [],
    group,
    server,
    listener: 'main',
    waiting: undefined,
  });

  test('counts who drains, who closes and who loses what', () => {
    const after = stateOf({
      targetGroups: [targetGroup('web', { servers: [upstream('10.0.0.1:80')] }), targetGroup('db', { servers: [] })],
      clients: [client('alice', ['web'])],
      revocations: [REVOKED],
    });
    const live = [
      connection('alice', 'web', '10.0.0.1:80'),
      connection('alice', 'web', '10.0.0.1:80', REVOKED.fingerprint),
      connection('alice', 'web', '10.0.0.2:80'),
      connection('alice', 'db', '10.0.0.5:5432'),
      connection('alice', 'db', '10.0.0.5:5432'),
      connection('bob', 'db', '10.0.0.5:5432'),
    ];
    assert.deepEqual(blastRadius(BEFORE, after, live), {
      connectionsDraining: 1,
      connectionsClosing: 4,
      waitingRefused: 0,
      lostAccess: [
        { clientId: 'alice', targetGroup: 'db', connections: 2 },
        { clientId: 'bob', targetGroup: undefined, connections: 1 },
      ],
      revoked: [{ fingerprint: REVOKED.fingerprint, clientId: 'alice', connections: 1 }],
    });
  });

  test('counts who waits among those who close, and not as draining: it has no server that could go', () => {
    const after = stateOf({
      targetGroups: [targetGroup('web', { servers: [upstream('10.0.0.1:80')] }), targetGroup('db', { servers: [] })],
      clients: [client('alice', ['web'])],
    });
    const waiting = (clientId: string, group: string) => ({ ...connection(clientId, group, ''), waiting: { kind: 'delayed' as const } });
    const live = [waiting('alice', 'web'), waiting('alice', 'db'), waiting('bob', 'db'), connection('bob', 'db', '10.0.0.5:5432')];
    assert.partialDeepStrictEqual(blastRadius(BEFORE, after, live), {
      connectionsDraining: 0,
      connectionsClosing: 3,
      waitingRefused: 2,
      lostAccess: [
        { clientId: 'alice', targetGroup: 'db', connections: 1 },
        { clientId: 'bob', targetGroup: undefined, connections: 2 },
      ],
    });
  });

  test('counts who waits in a queue that goes, and nobody else of that group', () => {
    const servers = [upstream('10.0.0.1:80')];
    const withQueue = (queue: TargetGroup['queue']) =>
      stateOf({ targetGroups: [targetGroup('web', { servers, queue })], clients: [client('alice', ['web'])] });
    const queued = withQueue({ maxLength: 5, timeoutMs: 1000 });
    const waiting = (kind: 'delayed' | 'queued') => ({ ...connection('alice', 'web', ''), waiting: { kind } });
    const live = [waiting('queued'), waiting('queued'), waiting('delayed'), connection('alice', 'web', '10.0.0.1:80')];
    const nobody = { connectionsDraining: 0, connectionsClosing: 0, waitingRefused: 0, lostAccess: [], revoked: [] };
    assert.deepEqual(blastRadius(queued, withQueue(undefined), live), { ...nobody, connectionsClosing: 2, waitingRefused: 2 });
    assert.deepEqual(blastRadius(queued, queued, live), nobody);
  });

  test('is nothing when nothing changes', () => {
    const live = [connection('alice', 'web', '10.0.0.1:80'), connection('bob', 'db', '10.0.0.5:5432')];
    assert.deepEqual(blastRadius(BEFORE, BEFORE, live), {
      connectionsDraining: 0,
      connectionsClosing: 0,
      waitingRefused: 0,
      lostAccess: [],
      revoked: [],
    });
  });
});
