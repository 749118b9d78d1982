import assert from 'node:assert/strict';
import path from 'node:path';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { loadConfigFile } from '../../../src/config/check.ts';
import { exportConfig } from '../../../src/config/export.ts';
import { needsRestart, parseForRunning } from '../../../src/config/needs-restart.ts';
import { parseConfig } from '../../../src/config/parse.ts';
import {
  ALGORITHMS,
  ANY_NAME_MATCH,
  type Client,
  EMPTY_SNAPSHOT,
  type HealthCheck,
  RATE_ALGORITHMS,
  type Revocation,
  SERVER_MODES,
  type Snapshot,
  type TargetGroup,
} from '../../../src/domain/model.ts';
import { apply } from '../../../src/domain/state.ts';

const FULL = path.join(import.meta.dirname, '../../../examples/full.yaml');
const running = loadConfigFile(FULL);

const whole = (min: number, max: number) => fc.integer({ min, max });
const orNone = <T>(arbitrary: fc.Arbitrary<T>) => fc.option(arbitrary, { nil: undefined });
const entryName = fc.oneof(
  fc.constantFrom('on', 'null', '1', '0x1', '1:30', '*', '@web', '-', '--', '1e3', 'true', '.inf'),
  fc.stringMatching(/^[\w.:/@*-]{1,20}$/),
);
const words = fc
  .oneof(fc.string({ unit: 'grapheme', minLength: 1, maxLength: 20 }), fc.constantFrom('yes', ' a ', '#', '"', "'", ': ', '- ', '\u2028'))
  .filter((text) => !/\p{Cc}/u.test(text) && text.isWellFormed());
const fingerprint = fc.stringMatching(/^[\da-f]{64}$/);

const healthCheck: fc.Arbitrary<HealthCheck> = fc
  .record({
    type: fc.constantFrom('tcp', 'tls', 'http', 'none'),
    intervalMs: whole(10, 86_400_000),
    timeoutMs: whole(10, 86_400_000),
    unhealthyThreshold: whole(1, 1000),
    healthyThreshold: whole(1, 1000),
    extraMs: whole(0, 1000),
    http: fc.record({
      path: fc.stringMatching(/^\/[\x21-\x7e]{0,30}$/),
      host: orNone(fc.stringMatching(/^[\x21-\x7e]{1,30}$/)),
      statusFrom: whole(100, 300),
      statusTo: whole(300, 599),
    }),
  })
  .map(({ extraMs, http, ...check }) => ({
    ...check,
    maxIntervalMs: Math.min(86_400_000, check.intervalMs + extraMs),
    http: check.type === 'http' ? http : undefined,
  }));

const groups: fc.Arbitrary<TargetGroup[]> = fc.uniqueArray(
  fc.record({
    name: entryName,
    algorithm: fc.constantFrom(...ALGORITHMS),
    servers: fc.uniqueArray(
      fc.record({
        address: fc.oneof(
          whole(1, 65_535).map((port) => `10.0.0.1:${port}`),
          whole(1, 65_535).map((port) => `[::1]:${port}`),
          whole(1, 65_535).map((port) => `db.example.com:${port}`),
        ),
        weight: whole(0, 256),
        maxConnections: orNone(whole(1, 2 ** 31 - 1)),
        backup: fc.boolean(),
        mode: fc.constantFrom(...SERVER_MODES),
      }),
      { selector: ({ address }) => address, maxLength: 4 },
    ),
    healthCheck,
    connectTimeoutMs: whole(1, 600_000),
    retries: whole(0, 10),
    onUnhealthy: fc.constantFrom('keep', 'close'),
  }),
  { selector: ({ name }) => name, minLength: 1, maxLength: 4 },
);

const clientsOf = (names: readonly string[]): fc.Arbitrary<Client[]> =>
  fc.uniqueArray(
    fc.record({
      clientId: entryName,
      match: fc.oneof(
        fc.constant(ANY_NAME_MATCH),
        fc.record({ cn: orNone(words), dns: orNone(words), uri: orNone(words), ou: orNone(words), fingerprint: orNone(fingerprint) }),
      ),
      allowedTargetGroups: fc.uniqueArray(fc.constantFrom(...names), { minLength: 1 }),
      limits: fc.record({
        connectionRate: orNone(
          fc.record({
            algorithm: fc.constantFrom(...RATE_ALGORITHMS),
            limit: whole(1, 100_000),
            windowMs: whole(1, 86_400_000),
            burst: whole(1, 1_000_000),
            action: fc.constantFrom('reset', 'close', 'delay'),
            maxDelayMs: whole(0, 60_000),
          }),
        ),
        concurrentConnections: orNone(whole(1, 2 ** 31 - 1)),
      }),
    }),
    { selector: ({ clientId }) => clientId, maxLength: 4 },
  );

const revocations: fc.Arbitrary<Revocation[]> = fc.uniqueArray(
  fc.record({
    fingerprint,
    comment: fc.oneof(fc.constant(''), words),
    atMs: fc.oneof(fc.constant(0), whole(1, 2 ** 31 - 1), fc.constant(253_402_300_799_999)),
  }),
  { selector: (each) => each.fingerprint, maxLength: 3 },
);

const anyState: fc.Arbitrary<Snapshot> = groups.chain((targetGroups) =>
  fc
    .record({ clients: clientsOf(targetGroups.map(({ name }) => name)), revocations }, { noNullPrototype: true })
    .map((rest) => apply(EMPTY_SNAPSHOT, { kind: 'replaceAll', listeners: running.listeners.slice(0, 1), targetGroups, ...rest })),
);

/** Plain objects, whatever prototype the generator gave them. */
const plain = <T>(value: T): T => structuredClone(value);

describe('an exported configuration', () => {
  test('reads as the state that it was made from', () => {
    fc.assert(
      fc.property(anyState, (snapshot) => {
        const config = parseConfig(exportConfig(running, snapshot), '/elsewhere/lb.yaml');
        assert.deepEqual(plain(config.targetGroups), plain([...snapshot.targetGroups.values()]));
        assert.deepEqual(plain(config.clients), plain([...snapshot.clients.values()]));
        assert.deepEqual(plain(config.revocations), plain([...snapshot.revocations.values()]));
      }),
      { numRuns: 150 },
    );
  });

  for (const file of ['full.yaml', 'sample.yaml']) {
    test(`carries every setting of ${file}`, () => {
      const config = loadConfigFile(path.join(path.dirname(FULL), file));
      const { listeners, targetGroups, clients, revocations: revoked } = config;
      const snapshot = apply(EMPTY_SNAPSHOT, { kind: 'replaceAll', listeners, targetGroups, clients, revocations: revoked });
      const again = parseConfig(exportConfig(config, snapshot), config.file);
      assert.deepEqual(again, config);
    });
  }
});

describe('a configuration for a balancer that runs', () => {
  test('names what it cannot change without a restart, and nothing for the same one', () => {
    assert.deepEqual(needsRestart(running, running), []);
    const [first, ...others] = running.listeners;
    assert.ok(first);
    const wanted = {
      ...running,
      listeners: [{ ...first, address: { host: '127.0.0.1', port: 1 } }, { ...first, name: 'new' }, ...others.slice(1)],
      timeouts: { ...running.timeouts, idleMs: 1 },
      workers: running.workers + 1,
      admin: { ...running.admin, roles: { ...running.admin.roles, viewer: [] } },
      store: { kind: 'memory' } as const,
    };
    assert.deepEqual(needsRestart(running, wanted), [
      'listener default changes its address or routes',
      'listener database goes',
      'listener new is new',
      'admin.roles change',
      'timeouts changes',
      'workers changes',
      'store changes',
    ]);
  });

  test('tells every problem with its place', () => {
    const result = parseForRunning(
      running,
      'listenAddress: "127.0.0.1:1"\ntargetGroups:\n  - name: web\n    upstreamServers: [x]\nwrokers: 2\n',
    );
    assert.ok('problems' in result);
    assert.ok(result.problems.length >= 3);
    assert.ok(result.problems.some(({ line, path: at }) => line === 4 && at === 'targetGroups[0].upstreamServers[0]'));
  });
});
