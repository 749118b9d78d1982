import assert from 'node:assert/strict';
import { test } from 'node:test';
import {
  GetFailedConnectionsRequest,
  WatchHealthResponse_Kind as Kind,
  ListUpstreamServersRequest,
  AdminServiceService as rpc,
  UpdateTargetGroupRequest,
  WatchHealthRequest,
  WatchStatsRequest,
} from '../../src/gen/lb/admin/v1/admin.ts';
import { ask, watch } from '../support/admin-server.ts';
import { startDaemon } from '../support/daemon.ts';
import { adminOf, connectTo, roundTrip } from '../support/daemon-clients.ts';
import { echoServer } from '../support/echo-servers.ts';
import { freePort } from '../support/free-port.ts';
import { parseMetrics, seriesValue } from '../support/prometheus.ts';
import { uncheckedGroup } from '../support/running-balancer.ts';

test('an ejection is in watches, lists and metrics, and ends when it is turned off, without harm to connections', {
  timeout: 240_000,
}, async (t) => {
  const [echo, port] = [await echoServer(t), await freePort()];
  const bad = `127.0.0.1:${port}`;
  const outlierDetection = { consecutiveFailures: 2, baseEjectionTime: '1h', maxEjectionTime: '1h' };
  const group = uncheckedGroup('web', [echo.address, bad], { algorithm: 'roundRobin', outlierDetection });
  const clients = [{ clientId: 'app', allowedTargetGroup: 'web' }];
  const daemon = await startDaemon(t, { config: { workers: 2, metrics: { address: '127.0.0.1:0' }, targetGroups: [group], clients } });
  const { metrics } = await daemon.waitForLog(({ msg }) => msg === 'ready');
  const admin = adminOf(t, daemon);
  const certificate = await daemon.ca.issue({ cn: 'app' });
  const held = connectTo(t, daemon, certificate);
  await roundTrip(held, 'hello');

  const health = watch(admin, rpc.watchHealth, WatchHealthRequest.fromPartial({ server: bad }));
  const [state, synced] = await health.take(2);
  assert.deepEqual([state?.kind, state?.ejectedUntil, synced?.kind], [Kind.STATE, undefined, Kind.SYNCED]);
  const failed = async () => (await ask(admin, rpc.getFailedConnections, GetFailedConnectionsRequest.fromPartial({ server: bad }))).total;
  // No more than that: one that fails while the ejection is on its way is the first of another row.
  while ((await failed()) < 2n) {
    const client = connectTo(t, daemon, certificate);
    await roundTrip(client, 'hello');
    client.socket.end();
  }
  const { kind, cause, ejectedUntil, from, to } = await health.next();
  assert.deepEqual([kind, cause, from], [Kind.EJECTED, `2 connects in a row failed, at last ${bad}: ECONNREFUSED`, to]);
  assert.ok(ejectedUntil !== undefined && ejectedUntil.getTime() > Date.now() + 3_000_000);

  const late = watch(admin, rpc.watchHealth, WatchHealthRequest.fromPartial({ server: bad }));
  assert.equal((await late.next()).ejectedUntil?.getTime(), ejectedUntil.getTime(), 'the state says it first');
  const listed = async () => {
    const { servers } = await ask(admin, rpc.listUpstreamServers, ListUpstreamServersRequest.fromPartial({ targetGroup: 'web' }));
    return servers.find(({ server }) => server?.address === bad) ?? assert.fail('not listed');
  };
  assert.deepEqual((await listed()).ejection, { until: ejectedUntil, ejections: 1n, cause, failuresInARow: 0 });
  const stats = await watch(admin, rpc.watchStats, WatchStatsRequest.fromPartial({ server: bad })).next();
  assert.deepEqual(
    stats.servers.map((each) => [each.server, each.ejected]),
    [[bad, true]],
  );
  const series = async (name: string) =>
    seriesValue(parseMetrics(await (await fetch(`http://${metrics}/metrics`)).text()), name, { server: bad });
  assert.equal(await series('portcullis_upstream_ejected'), 1);
  assert.equal(await series('portcullis_upstream_ejections_total'), 1);

  const off = { name: 'web', outlierDetection: { consecutiveFailures: 0 } };
  await ask(admin, rpc.updateTargetGroup, UpdateTargetGroupRequest.fromPartial({ targetGroup: off }));
  const returned = await health.next();
  assert.deepEqual([returned.kind, returned.cause], [Kind.RETURNED, 'outlierDetection was turned off']);
  assert.equal((await listed()).ejection?.until, undefined);
  assert.equal(await series('portcullis_upstream_ejected'), 0);
  await roundTrip(held, 'still here');
  await health.cancel();
  await late.cancel();
});
