import assert from 'node:assert/strict';
import { connect } from 'node:net';
import { test } from 'node:test';
import { AdminServiceService as rpc } from '../../src/gen/lb/admin/v1/admin.ts';
import { ask } from '../support/admin-server.ts';
import { createTestCa } from '../support/certificates.ts';
import { startDaemon } from '../support/daemon.ts';
import { adminOf, connectTo, roundTrip } from '../support/daemon-clients.ts';
import { echoServer } from '../support/echo-servers.ts';

const FLOOD = 150;

test('more connections than files: what does not fit is turned away at once, the rest goes on, and it ends with the flood', async (t) => {
  const ca = await createTestCa();
  const clientA = await ca.issue({ cn: 'clientA' });
  const echo = await echoServer(t);
  const daemon = await startDaemon(t, {
    ca,
    before: 'ulimit -n 64',
    config: {
      workers: 2,
      timeouts: { handshakeTimeout: '1m' },
      targetGroups: [{ name: 'web', upstreamServers: [echo.address], healthCheck: { interval: '20ms' } }],
      clients: [{ clientId: 'clientA', allowedTargetGroup: 'web' }],
    },
  });
  const live = connectTo(t, daemon, clientA);
  await roundTrip(live, 'before');

  const flood = Array.from({ length: FLOOD }, () => connect(daemon.port, '127.0.0.1').on('error', () => undefined));
  t.after(() => {
    for (const socket of flood) socket.destroy();
  });
  const ended = flood.map((socket) => new Promise((resolve) => socket.once('close', resolve)));
  // Four connections fit into each worker, one of them is the live one. None is left waiting in the kernel, which would spin.
  const expected = FLOOD - 7;
  let seen = 0;
  await daemon.waitForLog(({ reason }) => reason === 'overloaded' && ++seen === expected);
  await roundTrip(live, 'during');
  const probes = echo.accepted;
  await echo.acceptedAtLeast(probes + 5);
  const dropped = await ask(adminOf(t, daemon), rpc.getDroppedRequests, { clientId: '' });
  assert.deepEqual(dropped, { total: BigInt(expected), byReason: [{ reason: 'overloaded', count: BigInt(expected), refused: true }] });

  for (const socket of flood) socket.destroy();
  await Promise.all(ended);
  let gone = 0;
  await daemon.waitForLog(({ reason }) => reason === 'handshake_failed' && ++gone === FLOOD - expected);
  await roundTrip(connectTo(t, daemon, clientA), 'after');
  await roundTrip(live, 'after');
  assert.equal(daemon.logs.filter(({ to }) => to === 'unhealthy').length, 0, 'the probes had files left');
});
