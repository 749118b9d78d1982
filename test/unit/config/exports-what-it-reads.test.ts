import assert from 'node:assert/strict';
import path from 'node:path';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { loadConfigFile } from '../../../src/config/check.ts';
import { exportConfig } from '../../../src/config/export.ts';
import { needsRestart, parseForRunning } from '../../../src/config/needs-restart.ts';
import { parseConfig } from '../../../src/config/parse.ts';
import { EMPTY_SNAPSHOT, type Snapshot } from '../../../src/domain/model.ts';
import { apply } from '../../../src/domain/state.ts';
import { anyEntries } from '../../support/any-state.ts';

const FULL = path.join(import.meta.dirname, '../../../examples/full.yaml');
const running = loadConfigFile(FULL);

const anyState: fc.Arbitrary<Snapshot> = anyEntries.map((entries) => apply(EMPTY_SNAPSHOT, { kind: 'replaceAll', ...entries }));

describe('an exported configuration', () => {
  test('reads as the state that it was made from', () => {
    fc.assert(
      fc.property(anyState, (snapshot) => {
        const config = parseConfig(exportConfig(running, snapshot), '/elsewhere/lb.yaml');
        assert.deepEqual(config.listeners, snapshot.listeners);
        assert.deepEqual(config.targetGroups, [...snapshot.targetGroups.values()]);
        assert.deepEqual(config.clients, [...snapshot.clients.values()]);
        assert.deepEqual(config.revocations, [...snapshot.revocations.values()]);
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
    const wanted = {
      ...running,
      listeners: running.listeners.slice(1),
      timeouts: { ...running.timeouts, idleMs: 1 },
      workers: running.workers + 1,
      admin: { ...running.admin, roles: { ...running.admin.roles, viewer: [] } },
      store: { kind: 'memory' } as const,
    };
    assert.deepEqual(needsRestart(running, wanted), ['admin.roles change', 'timeouts changes', 'workers changes', 'store changes']);
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
