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
