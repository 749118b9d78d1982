import assert from 'node:assert/strict';
import { test } from 'node:test';
import { upstreamServerTable } from '../../../cli/commands/upstream-servers.ts';
import { HealthState, ServerMode, UpstreamServerStatus } from '../../../src/gen/lb/admin/v1/admin.ts';

test('a server that is kept from connections says so beside its health', () => {
  const status = (mode: ServerMode) =>
    UpstreamServerStatus.fromPartial({ targetGroup: 'web', server: { address: '127.0.0.1:1', mode }, health: HealthState.HEALTHY });
  const cells: readonly (readonly [ServerMode, RegExp])[] = [
    [ServerMode.READY, /127\.0\.0\.1:1 {2}healthy /],
    [ServerMode.DRAIN, / drain, healthy /],
    [ServerMode.MAINTENANCE, / maintenance, healthy /],
  ];
  for (const [mode, shown] of cells)
    assert.match(
      upstreamServerTable([status(mode)], 0, (text) => text),
      shown,
    );
});

test('a server that is ejected, in panic, or of a host name that cannot be found says so', () => {
  const table = (status: Parameters<typeof UpstreamServerStatus.fromPartial>[0]) =>
    upstreamServerTable(
      [UpstreamServerStatus.fromPartial({ targetGroup: 'web', server: { address: 'a.test:1' }, health: HealthState.HEALTHY, ...status })],
      0,
      (text) => text,
    );
  assert.match(table({ ejection: { until: new Date(1), ejections: 1n } }), / ejected, healthy /);
  assert.match(table({ ejection: { ejections: 1n, cause: 'refused' } }), /a\.test:1 {2}healthy /);
  assert.match(table({ inPanic: true }), / healthy, panic /);
  assert.doesNotMatch(table({}), /FOUND AT|SLOW START|AGENT/);
  assert.match(table({ slowStartPercent: 40 }), /SLOW START[\s\S]* 40% of its share$/m);
  const agent = { said: '80%', understood: true };
  assert.match(table({ agent: { ...agent, standing: 'up' } }), /AGENT[\s\S]* 80%$/m);
  assert.match(table({ agent: { ...agent, standing: 'drainAndDown' } }), / drain and down; last: 80%$/m);
  assert.match(table({ resolution: { addresses: ['10.0.0.1', '::1'] } }), /FOUND AT[\s\S]* 10\.0\.0\.1 ::1$/m);
  assert.match(table({ resolution: { addresses: ['10.0.0.1'], error: 'timed out' } }), / timed out: 10\.0\.0\.1$/m);
});
