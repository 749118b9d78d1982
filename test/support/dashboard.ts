/** The dashboard over counters that the test itself turns: any names, any numbers, and no traffic. */
import type { TestContext } from 'node:test';
import { pino } from 'pino';
import { HealthJournal, type ServerHealth } from '../../src/controlplane/health-journal.ts';
import { Slots } from '../../src/controlplane/slots.ts';
import { Stats } from '../../src/controlplane/stats.ts';
import { formatAddress, type Snapshot, serverKey } from '../../src/domain/model.ts';
import { Dashboard } from '../../src/metrics/dashboard.ts';
import type { DashboardSources } from '../../src/metrics/dashboard-state.ts';
import { MetricsEndpoint } from '../../src/metrics/endpoint.ts';
import { Metrics } from '../../src/metrics/metrics.ts';
import { LaneWriter } from '../../src/shared/memory/lane-writer.ts';
import { createSharedBuffers, type HealthCode } from '../../src/shared/memory/layout.ts';
import { SharedLedger } from '../../src/shared/memory/ledger.ts';

export interface ScriptedDashboard {
  readonly sources: DashboardSources;
  readonly ledger: SharedLedger;
  readonly lane: LaneWriter;
  readonly slots: Slots;
  change(next: Snapshot): void;
  setHealth(group: string, server: string, to: HealthCode, cause: string): void;
  /** Serves it; the answer is where. */
  serve(t: Pick<TestContext, 'after'>): Promise<string>;
}

export function scriptedDashboard(first: Snapshot): ScriptedDashboard {
  let snapshot = first;
  const startedAtMs = Date.now() - 3_600_000;
  const ledger = new SharedLedger(createSharedBuffers(1));
  const slots = new Slots(ledger);
  slots.follow(snapshot);
  const stats = new Stats(ledger, slots);
  const journal = new HealthJournal(startedAtMs);
  const health = new Map<string, ServerHealth>();
  const sources: DashboardSources = {
    snapshot: () => snapshot,
    listeners: () =>
      snapshot.listeners.map((listener) => ({ ...listener, address: formatAddress(listener.address), plain: listener.tls === undefined })),
    stats,
    healthOf: (group, server) => health.get(serverKey(group, server)),
    newestHealthEvents: (count) => journal.newest(count),
    workers: 1,
    startedAtMs,
    version: '1.2.3',
  };
  return {
    sources,
    ledger,
    lane: new LaneWriter(ledger.buffers, 0),
    slots,
    change(next) {
      snapshot = next;
      slots.follow(next);
    },
    setHealth(group, server, to, cause) {
      const from = health.get(serverKey(group, server))?.health ?? 'unknown';
      const { atMs } = journal.append({ kind: 'changed', group, server, from, to, cause, atMs: Date.now() });
      health.set(serverKey(group, server), {
        ...{ group, server, health: to, cause, lastProbe: cause, lastProbeMs: 1, sinceMs: atMs },
        ...{ probedAtMs: atMs, nextProbeAtMs: undefined },
      });
    },
    async serve(t) {
      const metrics = new Metrics({
        snapshot: () => snapshot,
        stats,
        rebalancing: () => undefined,
        isHealthy: () => true,
        storeWrites: () => ({ kept: 0, failed: 0, lastSeconds: 0 }),
        adminCalls: () => [],
        tlsEnds: () => [],
        workers: 1,
        version: '1.2.3',
      });
      const served = { metrics, dashboard: new Dashboard(sources) };
      const endpoint = await MetricsEndpoint.start(
        { address: { host: '127.0.0.1', port: 0 }, hosts: ['LB.example.com'] },
        served,
        pino({ level: 'silent' }),
      );
      t.after(() => endpoint.stop());
      return `http://127.0.0.1:${endpoint.address.port}/`;
    },
  };
}
