import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { GROUP_FIELDS } from '../../../cli/commands/group-options.ts';
import { settingsText, targetGroupTable } from '../../../cli/commands/group-table.ts';
import { targetGroupMessage } from '../../../src/admin/convert-groups.ts';
import { DEFAULT_GROUP, DEFAULT_HEALTH_CHECK, DEFAULT_OUTLIER_DETECTION } from '../../../src/domain/defaults.ts';
import type { TargetGroup } from '../../../src/domain/model.ts';
import { anyTargetGroup } from '../../support/any-state.ts';
import { sampleGroup } from '../../support/sample-state.ts';

const textOf = (changes: Partial<TargetGroup>) => settingsText(targetGroupMessage(sampleGroup('g', [], changes)));

test('there are options for every field of a target group', () => {
  const { name, servers, ...fields } = targetGroupMessage(sampleGroup('g'));
  assert.deepEqual([name, servers], ['g', []]);
  const camelCase = (path: string) => path.replace(/_(\w)/g, (_, letter: string) => letter.toUpperCase());
  assert.deepEqual(GROUP_FIELDS.map(({ path }) => camelCase(path)).sort(), Object.keys(fields).sort());
});

test('settings that are the default are not told', () => {
  assert.equal(textOf({}), '');
  const table = targetGroupTable([targetGroupMessage(sampleGroup('g'))], (text) => text);
  assert.doesNotMatch(table, /SETTINGS/);
});

test('what waits and what is moved is told while there is some', () => {
  const groups = ['a', 'b'].map((name) => targetGroupMessage(sampleGroup(name)));
  const tableWith = (waiting: number, rebalancing?: number) =>
    targetGroupTable(groups, (text) => text, [{ targetGroup: 'b', waiting, rebalancing }]);
  assert.doesNotMatch(tableWith(0), /NOW/);
  assert.match(tableWith(3), /NOW/);
  assert.match(tableWith(3), /^b .* 3 waiting\s*$/m);
  assert.match(tableWith(3, 12), / 3 waiting, 12 to move\s*$/m);
});

test('each setting that differs is told in the words of the config file', () => {
  assert.equal(textOf({ slowStartMs: 90_000, panicThreshold: 40 }), 'slowStart 1m30s, panicThreshold 40%');
  assert.equal(textOf({ queue: { maxLength: 100, timeoutMs: 2000 }, rebalance: { perSecond: 5 } }), 'queue 100 for 2s, rebalance 5/s');
  assert.equal(textOf({ outlierDetection: { ...DEFAULT_OUTLIER_DETECTION, consecutiveFailures: 0 } }), 'outlierDetection off');
  assert.equal(
    textOf({ outlierDetection: { consecutiveFailures: 3, baseEjectionMs: 1000, maxEjectionMs: 60_000, maxEjectionPercent: 10 } }),
    'outlierDetection after 3 for 1s at most 1m at most 10%',
  );
  assert.equal(textOf({ hashBalanceFactor: 0 }), 'hashBalanceFactor off');
  assert.equal(textOf({ agentCheck: { port: 9999, intervalMs: 2000, timeoutMs: 1000 } }), 'agentCheck :9999 every 2s');
  assert.equal(textOf({ sendProxyProtocol: 'v2', resolveIntervalMs: 10_000 }), 'sendProxyProtocol v2, resolveInterval 10s');
  const upstreamTls = { ca: '/ca.pem', serverName: 'db', clientCertificate: undefined, insecureSkipVerify: true };
  assert.equal(textOf({ upstreamTls }), 'upstreamTls (ca /ca.pem as db INSECURE)');
  assert.equal(textOf({ upstreamTls: { ...upstreamTls, ca: undefined, serverName: undefined, insecureSkipVerify: false } }), 'upstreamTls');
});

test('a group has settings to tell exactly when it differs from the default in one of them', () => {
  const { algorithm, healthCheck, connectTimeoutMs, retries, onUnhealthy, ...defaults } = DEFAULT_GROUP;
  assert.ok(
    [algorithm, healthCheck, connectTimeoutMs, retries, onUnhealthy].every((value) => value !== undefined),
    'they have columns',
  );
  const keys = Object.keys(defaults) as (keyof typeof defaults)[]; // keys of a constant
  fc.assert(
    fc.property(anyTargetGroup, fc.subarray(keys), (group, changed) => {
      // Ejections that are off are told as that alone.
      fc.pre(!changed.includes('outlierDetection') || group.outlierDetection.consecutiveFailures > 0);
      const changes = Object.fromEntries(changed.map((key) => [key, group[key]]));
      const differs = changed.some((key) => JSON.stringify(group[key]) !== JSON.stringify(DEFAULT_GROUP[key]));
      assert.equal(textOf({ ...changes }) !== '', differs);
    }),
  );
});

test('a check is told with what is its own', () => {
  const check = (changes: object) =>
    targetGroupTable([targetGroupMessage(sampleGroup('g', [], { healthCheck: { ...DEFAULT_HEALTH_CHECK, ...changes } }))], (text) => text);
  assert.match(check({ type: 'grpc', grpc: { service: 'shop.Cart', authority: undefined } }), / {2}grpc shop\.Cart every 5s {2}/);
  assert.match(
    check({ type: 'sendExpect', sendExpect: { send: 'PING\r\n', expect: '+PONG' } }),
    / {2}sendExpect "PING\\r\\n" -> "\+PONG" every 5s {2}/,
  );
  const http = { path: '/up', host: undefined, statusFrom: 200, statusTo: 299, body: 'OK' };
  assert.match(check({ type: 'http', http }), / {2}http \/up with "OK" every 5s {2}/);
});
