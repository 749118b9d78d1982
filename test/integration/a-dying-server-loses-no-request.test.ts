import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createTestCa } from '../support/certificates.ts';
import { type LogLine, type ReadyDaemon, startDaemon } from '../support/daemon.ts';
import { connectTo, roundTrip } from '../support/daemon-clients.ts';
import { echoServer, type TestUpstream } from '../support/echo-servers.ts';
import { startTraffic } from '../support/traffic.ts';

/** Each has one connection at a time. */
const LOOPS = 4;

/** Of servers that go away: the tests beside this one take no port of it. */
const HOST = '127.0.88.1';

const ca = await createTestCa();
const clientA = await ca.issue({ cn: 'clientA' });

/** Two servers, probed often enough for a test; a probe that takes long on a busy machine says nothing of its server. */
function configFor(servers: readonly string[], changes: object = {}) {
  const healthCheck = { interval: '50ms', timeout: '1m', healthyThreshold: 2, maxInterval: '50ms' };
  return {
    workers: 2,
    targetGroups: [{ name: 'web', upstreamServers: servers, healthCheck, ...changes }],
    clients: [{ clientId: 'clientA', allowedTargetGroup: 'web' }],
  };
}

const turned = (server: string, to: string) => (line: LogLine) => line['server'] === server && line['to'] === to;

/** The start waits for first probes for a second only. */
async function untilHealthy({ waitForLog }: ReadyDaemon, servers: readonly TestUpstream[]): Promise<void> {
  for (const { address } of servers) await waitForLog(turned(address, 'healthy'));
}

test('a server that refuses costs another attempt, not a request', async (t) => {
  const [steady, dying] = await Promise.all([echoServer(t), echoServer(t, { host: HOST })]);
  const daemon = await startDaemon(t, { ca, config: configFor([steady.address, dying.address], { healthCheck: { type: 'none' } }) });
  await dying.close();
  const traffic = startTraffic(t, daemon, clientA, LOOPS);
  await traffic.answeredMore(40);
  assert.deepEqual((await traffic.stop()).failures, []);
  await daemon.waitForLog(({ reason, attempts }) => reason === 'client_closed' && attempts === 2);
  const closed = daemon.logs.filter(({ reason }) => reason === 'client_closed');
  assert.deepEqual([...new Set(closed.map(({ server }) => server))], [steady.address]);
});

test('a server that dies under load takes along what it had accepted, and nothing else; each change of health is logged once', async (t) => {
  const [steady, dying] = await Promise.all([echoServer(t), echoServer(t, { host: HOST })]);
  const daemon = await startDaemon(t, { ca, config: configFor([steady.address, dying.address]) });
  await untilHealthy(daemon, [steady, dying]);
  const dyingTurned = (to: string) =>
    daemon.waitForLog(({ server, from, to: now }) => server === dying.address && from !== 'unknown' && now === to);
  const before = startTraffic(t, daemon, clientA, LOOPS);
  await before.answeredMore(40);
  await dying.close();
  await dyingTurned('unhealthy');
  const { failures } = await before.stop();
  assert.ok(failures.length <= LOOPS, `${failures.length} requests failed, and the server can have held ${LOOPS}`);

  const during = startTraffic(t, daemon, clientA, LOOPS);
  await during.answeredMore(20);
  const back = await echoServer(t, { host: HOST, port: dying.port });
  await dyingTurned('healthy');
  const probes = back.accepted;
  // Its share again, of what comes once both workers have seen it.
  while (back.accepted <= probes + 10) await during.answeredMore(10);
  assert.deepEqual((await during.stop()).failures, []);

  const changes = daemon.logs.filter(({ to }) => to !== undefined).map(({ server, from, to }) => `${server} ${from}->${to}`);
  assert.deepEqual(
    changes.toSorted(),
    [
      `${steady.address} unknown->healthy`,
      `${dying.address} unknown->healthy`,
      `${dying.address} healthy->unhealthy`,
      `${dying.address} unhealthy->healthy`,
    ].toSorted(),
  );
});

for (const { onUnhealthy, title } of [
  { onUnhealthy: 'close', title: 'closed' },
  { onUnhealthy: 'keep', title: 'kept' },
]) {
  test(`onUnhealthy: ${onUnhealthy}: live connections of a server that fails its health check are ${title}`, async (t) => {
    const [steady, failing] = await Promise.all([echoServer(t), echoServer(t, { host: HOST })]);
    const daemon = await startDaemon(t, { ca, config: configFor([steady.address, failing.address], { onUnhealthy }) });
    await untilHealthy(daemon, [steady, failing]);
    const clients = Array.from({ length: 8 }, () => connectTo(t, daemon, clientA));
    await Promise.all(clients.map((client) => roundTrip(client, 'hello')));

    failing.stopAccepting();
    await daemon.waitForLog(turned(failing.address, 'unhealthy'));
    if (onUnhealthy === 'close') {
      let seen = 0;
      await daemon.waitForLog(({ reason }) => reason === 'upstream_unhealthy' && ++seen === 4);
    }
    const answers = await Promise.allSettled(clients.map((client) => roundTrip(client, 'still there')));
    const alive = answers.filter(({ status }) => status === 'fulfilled').length;
    assert.equal(alive, onUnhealthy === 'close' ? 4 : 8);
    const closed = daemon.logs.filter(({ reason }) => reason !== undefined);
    assert.deepEqual(
      closed.map(({ reason, server }) => ({ reason, server })),
      Array.from({ length: 8 - alive }, () => ({ reason: 'upstream_unhealthy', server: failing.address })),
    );
  });
}
