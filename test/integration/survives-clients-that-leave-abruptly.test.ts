import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createTestCa } from '../support/certificates.ts';
import { echoServer } from '../support/echo-servers.ts';
import { startBalancer, uncheckedGroup } from '../support/running-balancer.ts';
import type { TlsClient } from '../support/tls-client.ts';

const LEAVING: readonly ((client: TlsClient) => void)[] = [
  ({ socket }) => void socket.end(),
  ({ socket }) => void socket.destroy(),
  ({ tcp }) => void tcp.resetAndDestroy(),
];

const ORDINARY = /^(no_client_certificate|handshake_failed|client_gone|client_closed|client_reset)$/;

test('clients that leave at any moment, with or without a certificate, take nothing and nobody along', async (t) => {
  const upstream = await echoServer(t);
  const ca = await createTestCa();
  const certificate = await ca.issue({ cn: 'alice' });
  const balancer = await startBalancer(t, {
    ca,
    config: {
      targetGroups: [uncheckedGroup('web', [upstream.address])],
      clients: [{ clientId: 'alice', allowedTargetGroup: 'web' }],
    },
  });

  for (const leave of LEAVING) {
    for (const bytes of [0, 1, 50_000]) {
      const clients = [undefined, certificate].flatMap((offered) =>
        (['TLSv1.2', 'TLSv1.3'] as const).flatMap((version) =>
          [0, 1, 2].map((turns) => ({
            client: balancer.connect(t, { certificate: offered, tls: { maxVersion: version } }),
            turns,
          })),
        ),
      );
      for (const { client, turns } of clients) {
        client.socket.once('secureConnect', () => {
          client.socket.write(Buffer.alloc(bytes));
          // Now, a little later, or when the balancer has likely answered.
          const later = (left: number): void => void (left === 0 ? leave(client) : setImmediate(later, left - 1));
          later(turns * 3);
        });
      }
      for (const { reason } of await balancer.nextLines(clients.length)) {
        assert.match(reason, ORDINARY);
      }
      balancer.assertIdle();
    }
  }

  const client = balancer.connect(t, { certificate });
  client.socket.end('hello');
  assert.equal((await client.readAll()).toString(), 'hello');
  assert.equal((await balancer.nextLine()).reason, 'client_closed');
  balancer.assertIdle();
  await upstream.idle();
});
