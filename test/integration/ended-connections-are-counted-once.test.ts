import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Client, CloseMode, AdminServiceService as rpc, type WatchStatsResponse } from '../../src/gen/lb/admin/v1/admin.ts';
import { ask, watch } from '../support/admin-server.ts';
import { createTestCa } from '../support/certificates.ts';
import { startDaemon } from '../support/daemon.ts';
import { adminOf, connectTo, roundTrip } from '../support/daemon-clients.ts';
import { echoServer } from '../support/echo-servers.ts';
import { parseMetrics, seriesValue } from '../support/prometheus.ts';
import { uncheckedGroup } from '../support/running-balancer.ts';

const NOW = { mode: CloseMode.RESET, deadline: undefined, expectedRevision: 0n, requestId: '' };
const SOON = { ...NOW, mode: CloseMode.DRAIN, deadline: { seconds: 0n, nanos: 1_000_000 } };

test('connections that a change ends, waiting ones too, are in its reply, the log, the metrics and WatchStats, each once', async (t) => {
  const ca = await createTestCa();
  const { address } = await echoServer(t);
  // Four wait, the last of them for nearly as long as it may.
  const connectionRate = { algorithm: 'tokenBucket', limit: 1, window: '14s', burst: 1, action: 'delay', maxDelay: '1m' };
  const daemon = await startDaemon(t, {
    ca,
    config: {
      metrics: { address: '127.0.0.1:0' },
      workers: 2,
      targetGroups: [
        uncheckedGroup('full', [{ address, maxConnections: 1 }], { queue: { maxLength: 50, timeout: '10m' } }),
        uncheckedGroup('free', [address]),
      ],
      clients: [
        { clientId: 'queued', allowedTargetGroup: 'full' },
        { clientId: 'delayed', allowedTargetGroup: 'free', limits: { connectionRate } },
      ],
    },
  });
  const admin = adminOf(t, daemon);
  const stats = watch(admin, rpc.watchStats, { interval: { seconds: 0n, nanos: 100_000_000 }, targetGroup: '', server: '', clientId: '' });
  const untilStats = async (holds: (message: WatchStatsResponse) => boolean) => {
    for (;;) if (holds(await stats.next())) return;
  };
  const come = async (cn: string) => {
    const certificate = await ca.issue({ cn });
    await roundTrip(connectTo(t, daemon, certificate), 'hello');
    for (let count = 0; count < 4; count++) connectTo(t, daemon, certificate);
  };
  await come('queued');
  await untilStats(({ groups }) => groups.some(({ waiting }) => waiting === 4));
  const removed = await ask(admin, rpc.removeClient, { clientId: 'queued', ...NOW });
  assert.deepEqual([removed.connectionsClosed, removed.waitingRefused], [5n, 4n]);

  await come('delayed');
  await untilStats(({ clients }) => clients.some(({ counters }) => counters?.delayed === 4n));
  const client = Client.fromPartial({ clientId: 'delayed', allowedTargetGroups: ['full'] });
  const changed = await ask(admin, rpc.updateClient, { client, updateMask: ['allowed_target_groups'], ...SOON });
  assert.deepEqual([changed.connectionsClosed, changed.waitingRefused], [5n, 4n], 'who waits is refused in either mode');
  const again = await ask(admin, rpc.updateClient, { client, updateMask: ['allowed_target_groups'], ...SOON });
  assert.deepEqual([again.connectionsClosed, again.waitingRefused], [0n, 0n], 'nobody is told of twice');

  const expected = { client_removed: 1, unknown_client: 4, permission_removed: 1, not_authorized: 4 };
  await untilStats(({ byReason }) => byReason.reduce((sum, { count }) => sum + Number(count), 0) === 10);
  const { byReason } = await stats.next();
  assert.deepEqual(Object.fromEntries(byReason.map(({ reason, count }) => [reason, Number(count)]).sort()), sorted(expected));
  await stats.cancel();

  const lines = () => daemon.logs.filter(({ msg }) => msg === 'connection refused' || msg === 'connection closed');
  await daemon.waitForLog(() => lines().length === 10);
  const logged: Record<string, number> = {};
  for (const { reason } of lines()) logged[String(reason)] = (logged[String(reason)] ?? 0) + 1;
  assert.deepEqual(sorted(logged), sorted(expected));

  const { metrics } = await daemon.waitForLog(({ msg }) => msg === 'ready');
  const families = parseMetrics(await (await fetch(`http://${metrics}/metrics`)).text());
  for (const [reason, count] of Object.entries(expected)) {
    const name = count === 4 ? 'portcullis_refused_total' : 'portcullis_closed_total';
    assert.equal(seriesValue(families, name, { reason }), count, reason);
  }
  assert.equal(seriesValue(families, 'portcullis_client_refused_total', { client: 'delayed', reason: 'not_authorized' }), 4);
});

function sorted(counts: Readonly<Record<string, number>>): Record<string, number> {
  return Object.fromEntries(Object.entries(counts).sort());
}
