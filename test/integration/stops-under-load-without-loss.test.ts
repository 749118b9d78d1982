import assert from 'node:assert/strict';
import { once } from 'node:events';
import { connect } from 'node:net';
import { test } from 'node:test';
import { createTestCa } from '../support/certificates.ts';
import { startDaemon } from '../support/daemon.ts';
import { connectTo } from '../support/daemon-clients.ts';
import { hashSinkServer } from '../support/echo-servers.ts';
import { HashedStream } from '../support/hashed-streams.ts';

const STREAMS = 24;

/** Resolves when nobody listens any more. */
async function untilRefused(port: number): Promise<void> {
  for (;;) {
    const socket = connect(port, '127.0.0.1');
    try {
      await once(socket, 'connect');
    } catch (error) {
      // One that was reset came while a worker closed its port.
      if (error instanceof Error && 'code' in error && error.code === 'ECONNREFUSED') return;
    } finally {
      socket.destroy();
    }
  }
}

test('SIGTERM under load: nobody new is let in, and every stream that ends within the deadline arrives whole', async (t) => {
  const ca = await createTestCa();
  const clientA = await ca.issue({ cn: 'clientA' });
  const sink = await hashSinkServer(t);
  const daemon = await startDaemon(t, {
    ca,
    config: {
      workers: 2,
      targetGroups: [{ name: 'web', upstreamServers: [sink.address], healthCheck: { type: 'none' } }],
      clients: [{ clientId: 'clientA', allowedTargetGroup: 'web' }],
      timeouts: { drainTimeout: '1m' },
    },
  });
  const streams = Array.from({ length: STREAMS }, () => new HashedStream(connectTo(t, daemon, clientA)));
  await Promise.all(streams.map((stream) => stream.send(50_000)));
  await sink.acceptedAtLeast(STREAMS);

  daemon.signal('SIGTERM');
  // Sending all the while.
  const refused = untilRefused(daemon.port);
  await Promise.all(streams.map((stream) => stream.send(200_000)));
  await refused;
  for (const stream of streams) await stream.send(100_000);
  await Promise.all(streams.map((stream) => stream.finish()));

  assert.deepEqual(await daemon.exited, { code: 0, signal: null });
  const served = daemon.logs.filter(({ client, reason }) => client !== undefined && reason !== undefined);
  assert.deepEqual(
    served.map(({ reason, bytesUp }) => [reason, bytesUp]),
    Array.from({ length: STREAMS }, () => ['client_closed', 350_000]),
  );
  assert.equal(daemon.logs.at(-1)?.['reset'], 0);
});
