import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { test } from 'node:test';
import { Slots } from '../../../src/controlplane/slots.ts';
import { Stats } from '../../../src/controlplane/stats.ts';
import { EMPTY_SNAPSHOT } from '../../../src/domain/model.ts';
import { Metrics } from '../../../src/metrics/metrics.ts';
import { createSharedBuffers } from '../../../src/shared/memory/layout.ts';
import { SharedLedger } from '../../../src/shared/memory/ledger.ts';
import { parseMetrics, textOf } from '../../support/prometheus.ts';

const DASHBOARD = new URL('../../../examples/grafana-dashboard.json', import.meta.url);

interface Panel {
  readonly id: number;
  readonly type: string;
  readonly title: string;
  readonly gridPos: { readonly x: number; readonly y: number; readonly w: number; readonly h: number };
  readonly targets?: readonly { readonly expr: string }[];
}

test('the dashboard asks for metrics that there are, and shows every one of ours', async () => {
  const dashboard: { readonly panels: readonly Panel[] } = JSON.parse(await readFile(DASHBOARD, 'utf8'));
  const ledger = new SharedLedger(createSharedBuffers(1));
  const metrics = new Metrics({
    snapshot: () => EMPTY_SNAPSHOT,
    stats: new Stats(ledger, new Slots(ledger)),
    rebalancing: () => undefined,
    isHealthy: () => true,
    storeWrites: () => ({ kept: 0, failed: 0, lastSeconds: 0 }),
    adminCalls: () => [],
    tlsEnds: () => [],
    workers: 1,
    version: '0',
  });
  const names = new Set(parseMetrics(await textOf(await metrics.parts())).map(({ name }) => name));
  const text = JSON.stringify(dashboard);
  const used = new Set(
    [...text.matchAll(/\b(?:portcullis|process|nodejs)_\w+/g)].map(([name]) => name.replace(/_(?:bucket|sum|count)$/, '')),
  );
  assert.deepEqual([...used.difference(names)], [], 'metrics that do not exist');
  const ours = new Set([...names].filter((name) => name.startsWith('portcullis_') && name !== 'portcullis_workers'));
  assert.deepEqual([...ours.difference(used)], [], 'metrics that are not shown');

  const ids = dashboard.panels.map(({ id }) => id);
  assert.equal(new Set(ids).size, ids.length);
  for (const { type, title, gridPos, targets = [] } of dashboard.panels) {
    assert.ok(gridPos.x + gridPos.w <= 24, `${title} is within the 24 columns`);
    assert.equal(targets.length > 0, type !== 'row', title);
    for (const { expr } of targets) assert.match(expr, /instance=~"\$instance"/, `${title} follows the instance that was chosen`);
  }
});
