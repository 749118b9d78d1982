import assert from 'node:assert/strict';
import { once } from 'node:events';
import { connect } from 'node:net';
import { test } from 'node:test';
import { HealthClient, HealthService, HealthCheckResponse_ServingStatus as Serving } from '../../src/gen/grpc/health/v1/health.ts';
import { watch } from '../support/admin-server.ts';
import { createTestCa } from '../support/certificates.ts';
import { launchDaemon, startDaemon } from '../support/daemon.ts';
import { connectTo, grpcClient, roundTrip } from '../support/daemon-clients.ts';
import { blackholeServer, echoServer } from '../support/echo-servers.ts';

const ca = await createTestCa();
const clientA = await ca.issue({ cn: 'clientA' });

function configFor(server: string, more: object = {}) {
  return {
    workers: 2,
    targetGroups: [{ name: 'web', upstreamServers: [server], healthCheck: { type: 'none' } }],
    clients: [{ clientId: 'clientA', allowedTargetGroup: 'web' }],
    ...more,
  };
}

/** Connects until nobody listens any more. */
async function untilRefused(port: number): Promise<void> {
  for (;;) {
    const socket = connect(port, '127.0.0.1');
    const failure = await Promise.race([
      once(socket, 'connect').then(() => undefined),
      once(socket, 'error').then(([error]) => error),
    ]).catch((error) => error);
    socket.destroy();
    if (failure?.code === 'ECONNREFUSED') return;
  }
}

for (const signal of ['SIGTERM', 'SIGINT'] as const) {
  test(`${signal}: a live stream goes on to its end, nobody new is let in, and the exit code is 0`, async (t) => {
    const echo = await echoServer(t);
    const daemon = await startDaemon(t, { ca, config: configFor(echo.address) });
    const health = watch(grpcClient(t, HealthClient, daemon), HealthService.watch, { service: '' });
    assert.equal((await health.next()).status, Serving.SERVING);
    const live = connectTo(t, daemon, clientA);
    await roundTrip(live, 'before');

    daemon.signal(signal);
    assert.equal((await health.next()).status, Serving.NOT_SERVING);
    await untilRefused(daemon.port);
    await roundTrip(live, 'after');
    live.socket.end();
    assert.equal(String(await live.readAll()), 'before\nafter\n');

    assert.deepEqual(await daemon.exited, { code: 0, signal: null });
    assert.deepEqual(
      // Beside those that were let in while the ports were being closed, and said nothing.
      daemon.logs.filter(({ client }) => client !== undefined).map(({ reason }) => reason),
      ['client_closed'],
    );
    assert.equal(daemon.logs.at(-1)?.['msg'], 'stopped');
    assert.equal(daemon.logs.at(-1)?.['reset'], 0);
    assert.deepEqual(daemon.output, [
      `lbd: ${signal}: no new connections; waiting for the present ones to end (a second signal ends them)`,
    ]);
  });
}

test('what outlives drainTimeout is reset, and the log says why', async (t) => {
  const echo = await echoServer(t);
  const daemon = await startDaemon(t, { ca, config: configFor(echo.address, { timeouts: { drainTimeout: '100ms' } }) });
  const live = Array.from({ length: 8 }, () => connectTo(t, daemon, clientA));
  await Promise.all(live.map((client) => roundTrip(client, 'here')));
  const silent = connect(daemon.port, '127.0.0.1').on('error', () => undefined);
  await once(silent, 'connect');

  assert.deepEqual(await daemon.stop(), { code: 0, signal: null });
  for (const client of live) assert.deepEqual(await client.ending, { how: 'reset' });
  const closed = daemon.logs.filter(({ msg }) => msg === 'connection closed');
  assert.deepEqual(
    closed.map(({ reason, client }) => ({ reason, client })),
    Array.from({ length: 8 }, () => ({ reason: 'shutdown', client: 'clientA' })),
  );
  assert.equal(daemon.logs.at(-1)?.['msg'], 'stopped');
  assert.equal(daemon.logs.at(-1)?.['reset'], 9, 'the eight, and the one that had not begun its handshake');
});

test('a second signal ends at once, whoever is connected', async (t) => {
  const echo = await echoServer(t);
  const daemon = await startDaemon(t, { ca, config: configFor(echo.address, { timeouts: { drainTimeout: '1h' } }) });
  const live = connectTo(t, daemon, clientA);
  await roundTrip(live, 'here');

  daemon.signal('SIGTERM');
  await untilRefused(daemon.port);
  daemon.signal('SIGTERM');
  assert.deepEqual(await daemon.exited, { code: 0, signal: null });
  assert.notEqual((await live.ending).how, 'failed');
  assert.ok(
    daemon.logs.some(({ reason }) => reason === 'shutdown'),
    'the connection that was cut has its line',
  );
  assert.equal(daemon.logs.at(-1)?.['msg'], 'stopped');
});

test('a signal during the start ends it, and a hangup during the start is obeyed after it', async (t) => {
  // Its health check is not answered: the start waits a second for it.
  const silent = await blackholeServer(t);
  const config = configFor(silent.address, {
    targetGroups: [{ name: 'web', upstreamServers: [silent.address], healthCheck: { type: 'http' } }],
  });
  const endsDuringStart = async () => {
    const daemon = await launchDaemon(t, { ca, config });
    await daemon.waitForLog(({ msg }) => String(msg).includes('expires on'));
    assert.deepEqual(await daemon.stop('SIGTERM'), { code: 0, signal: null });
    return !daemon.logs.some(({ msg }) => msg === 'ready');
  };
  let ended = await endsDuringStart();
  // On a busy machine the start may have been over when the signal came.
  for (let tries = 0; !ended && tries < 5; tries++) ended = await endsDuringStart();
  assert.ok(ended);

  const hungUp = await launchDaemon(t, { ca, config });
  await hungUp.waitForLog(({ msg }) => String(msg).includes('expires on'));
  hungUp.signal('SIGHUP');
  await hungUp.waitForLog(({ msg }) => msg === 'certificates reloaded');
  assert.ok(hungUp.logs.some(({ msg }) => msg === 'ready'));
});
