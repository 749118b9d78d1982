import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { Registry } from 'prom-client';
import { Slots } from '../../../src/controlplane/slots.ts';
import { Stats } from '../../../src/controlplane/stats.ts';
import { EMPTY_SNAPSHOT, type Snapshot } from '../../../src/domain/model.ts';
import { ClientRows, OTHER_CLIENTS } from '../../../src/metrics/client-rows.ts';
import { collectLatency, familyText } from '../../../src/metrics/collected.ts';
import { Metrics } from '../../../src/metrics/metrics.ts';
import { LATENCY_BOUNDS_S } from '../../../src/shared/latency.ts';
import { LaneWriter } from '../../../src/shared/memory/lane-writer.ts';
import { createSharedBuffers } from '../../../src/shared/memory/layout.ts';
import { SharedLedger } from '../../../src/shared/memory/ledger.ts';
import { lintMetrics, parseMetrics, seriesValue, textOf } from '../../support/prometheus.ts';
import { sampleClient, sampleGroup } from '../../support/sample-state.ts';

/** Everything that a certificate or an administrator could call himself. */
const HOSTILE = [
  'plain',
  'two words',
  'a"b',
  'back\\slash',
  'new\nline',
  '"} 1\nportcullis_fake 9',
  '{}=,',
  'ünïcode',
  '\u001b[31m',
  '\\n',
  '__name__',
];

function sourcesOf(snapshot: Snapshot) {
  const ledger = new SharedLedger(createSharedBuffers(2));
  const slots = new Slots(ledger);
  slots.follow(snapshot);
  const lanes = [new LaneWriter(ledger.buffers, 0), new LaneWriter(ledger.buffers, 1)] as const;
  const metrics = new Metrics({
    snapshot: () => snapshot,
    stats: new Stats(ledger, slots),
    rebalancing: () => 4,
    isHealthy: (_, server) => server.endsWith('1'),
    storeWrites: () => ({ kept: 3, failed: 1, lastSeconds: 0.004 }),
    adminCalls: () => [{ method: 'lb.admin.v1.AdminService/GetState', code: 'OK', count: 7 }],
    tlsEnds: () => [],
    workers: 2,
    version: '1.2.3',
  });
  return { metrics, slots, lanes };
}

function snapshotOf(clientIds: readonly string[]): Snapshot {
  return {
    ...EMPTY_SNAPSHOT,
    revision: 5,
    targetGroups: new Map([
      [
        'web',
        sampleGroup('web', ['127.0.0.1:8081', '127.0.0.1:8082'], { queue: { maxLength: 9, timeoutMs: 1 }, rebalance: { perSecond: 1 } }),
      ],
    ]),
    clients: new Map(clientIds.map((clientId) => [clientId, { ...sampleClient('x', ['web']), clientId }])),
  };
}

describe('the metrics', () => {
  test('keep to the conventions of Prometheus, whatever clients are called', async () => {
    const { metrics, slots, lanes } = sourcesOf(snapshotOf(HOSTILE));
    for (const [index, clientId] of HOSTILE.entries()) {
      for (let times = 0; times <= index; times++) lanes[0].countRefused(slots.clientSlot(clientId) ?? assert.fail(), 'rate_limited');
    }
    const families = parseMetrics(await textOf(await metrics.parts()));
    assert.deepEqual(lintMetrics(families), []);
    for (const [index, client] of HOSTILE.entries()) {
      assert.equal(seriesValue(families, 'portcullis_client_refused_total', { client, reason: 'rate_limited' }), index + 1);
    }
  });

  test('say what was counted in every lane', async () => {
    const { metrics, slots, lanes } = sourcesOf(snapshotOf(['alice']));
    const slot = slots.serverSlot('web', '127.0.0.1:8081') ?? assert.fail();
    const client = slots.clientSlot('alice') ?? assert.fail();
    for (const lane of lanes) {
      lane.reserveServer(slot, lane.serverActive(slot));
      lane.countConnected(slot);
      lane.countFailed(slot);
      lane.countAccepted(client);
      lane.countBytesUp(client, slot, 100);
      lane.countBytesDown(client, slot, 1_000);
      lane.countReason('no_route');
      lane.countHandshake(0.02);
      lane.queue.join(slots.groupSlot('web') ?? assert.fail(), client, 9);
      lane.countQueued(3);
      lane.countWaiting('delayed', client, 1);
      lane.countWaiting('queued', client, 1);
      lane.countDelay(2);
      lane.setHeld(3);
    }
    lanes[1].countHandshake(99);
    lanes[1].countConnect(0.001);
    const families = parseMetrics(await textOf(await metrics.parts()));
    const server = { target_group: 'web', server: '127.0.0.1:8081' };
    const expected: readonly [name: string, labels: Readonly<Record<string, string>>, value: number][] = [
      ['portcullis_connections_active', server, 2],
      ['portcullis_connections_active', { server: '127.0.0.1:8082' }, 0],
      ['portcullis_connections_total', {}, 2],
      ['portcullis_queue_length', { target_group: 'web' }, 2],
      ['portcullis_queue_wait_duration_seconds_sum', {}, 6],
      ['portcullis_client_connections_delayed', { client: 'alice' }, 2],
      ['portcullis_delay_duration_seconds_sum', {}, 4],
      ['portcullis_rebalance_remaining', { target_group: 'web' }, 4],
      ['portcullis_upstream_connections_total', server, 2],
      ['portcullis_upstream_connect_failures_total', server, 2],
      ['portcullis_upstream_sent_bytes_total', server, 200],
      ['portcullis_upstream_received_bytes_total', server, 2_000],
      ['portcullis_server_healthy', server, 1],
      ['portcullis_server_healthy', { server: '127.0.0.1:8082' }, 0],
      ['portcullis_refused_total', { reason: 'no_route' }, 2],
      ['portcullis_refused_connections_held', {}, 6],
      ['portcullis_refused_total', { reason: 'not_authorized' }, 0],
      ['portcullis_closed_total', { reason: 'client_closed' }, 0],
      ['portcullis_client_connections_total', { client: 'alice' }, 2],
      ['portcullis_client_received_bytes_total', { client: 'alice' }, 200],
      ['portcullis_client_sent_bytes_total', { client: 'alice' }, 2_000],
      ['portcullis_handshake_duration_seconds_bucket', { le: '0.01' }, 0],
      ['portcullis_handshake_duration_seconds_bucket', { le: '0.025' }, 2],
      ['portcullis_handshake_duration_seconds_bucket', { le: '10' }, 2],
      ['portcullis_handshake_duration_seconds_bucket', { le: '+Inf' }, 3],
      ['portcullis_handshake_duration_seconds_count', {}, 3],
      ['portcullis_upstream_connect_duration_seconds_bucket', { le: '0.001' }, 1],
      ['portcullis_store_changes_total', {}, 3],
      ['portcullis_store_failures_total', {}, 1],
      ['portcullis_store_last_write_duration_seconds', {}, 0.004],
      ['portcullis_admin_rpcs_total', { method: 'lb.admin.v1.AdminService/GetState', code: 'OK' }, 7],
      ['portcullis_state_revision', {}, 5],
      ['portcullis_build_info', { version: '1.2.3' }, 1],
    ];
    for (const [name, labels, value] of expected)
      assert.equal(seriesValue(families, name, labels), value, `${name} ${JSON.stringify(labels)}`);
    assert.ok(Math.abs(seriesValue(families, 'portcullis_handshake_duration_seconds_sum') - 99.04) < 1e-9);
    for (const name of ['process_cpu_seconds_total', 'process_resident_memory_bytes', 'process_start_time_seconds', 'process_open_fds'])
      assert.ok(seriesValue(families, name) > 0, name);
  });
});

describe('the linter', () => {
  test('finds what is against the conventions', async () => {
    const registry = new Registry();
    collectLatency(registry, { name: 'portcullis_x_seconds', help: 'X.' }, () => ({
      counts: LATENCY_BOUNDS_S.map(() => -1),
      sumSeconds: 0,
    }));
    const texts = [
      await textOf(familyText({ name: 'portcullis_things', help: 'Things.' }, 'counter', [])),
      await textOf(familyText({ name: 'portcullis_time_ms_total', help: 'Time.' }, 'counter', [{ labels: { Bad: 'x' }, value: -1 }])),
      await registry.metrics(),
    ];
    assert.deepEqual(lintMetrics(parseMetrics(texts.join(''))), [
      'portcullis_things: counters end with _total',
      'portcullis_time_ms_total: units are base units: seconds, bytes, ratio',
      'portcullis_time_ms_total: the label Bad is not in lower case with underscores',
      'portcullis_time_ms_total: a counter is not negative',
      'portcullis_x_seconds: buckets count those below as well',
    ]);
  });
});

describe('clients in the metrics', () => {
  const countersOf = (accepted: number) => ({
    active: 1,
    accepted,
    bytesFromClient: 10,
    bytesToClient: 20,
    refused: new Map([['rate_limited' as const, 1]]),
    paced: { upload: 1, download: 2 },
    delayed: 1,
    queued: 2,
    shadow: new Map([['paced' as const, 1]]),
    headroom: { rate: 4, connections: 3, upload: 2, download: 1 },
  });
  const read = (rows: ClientRows, snapshot: Snapshot) => rows.read(snapshot.clients, () => countersOf(3));

  test('beyond the bound are shown together', async () => {
    const rows = await read(new ClientRows(2), snapshotOf(['a', 'b', 'c', 'd', 'e']));
    assert.deepEqual(
      rows.map(({ label, accepted, headroom }) => ({ label, accepted, headroom: headroom?.rate })),
      [
        { label: 'a', accepted: 3, headroom: 4 },
        { label: 'b', accepted: 3, headroom: 4 },
        { label: OTHER_CLIENTS, accepted: 9, headroom: undefined },
      ],
    );
    assert.deepEqual(rows.at(-1)?.refused, new Map([['rate_limited', 3]]));
    assert.deepEqual(rows.at(-1)?.shadow, new Map([['paced', 3]]));
    assert.deepEqual(rows.at(-1)?.paced, { upload: 3, download: 6 });
    assert.deepEqual([rows.at(-1)?.delayed, rows.at(-1)?.queued], [3, 6]);
  });

  test('keep their place, and one that is called like the rest is of the rest', async () => {
    const rows = new ClientRows(2);
    await read(rows, snapshotOf(['b', OTHER_CLIENTS, 'c']));
    const labels = async (ids: readonly string[]) => (await read(rows, snapshotOf(ids))).map(({ label }) => label);
    assert.deepEqual(await labels(['a', 'b', 'c', OTHER_CLIENTS]), ['b', 'c', OTHER_CLIENTS]);
    assert.deepEqual(await labels(['a', 'c']), ['a', 'c'], 'a place that was given up is free');
  });
});
