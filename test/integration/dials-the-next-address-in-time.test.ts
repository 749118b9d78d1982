import assert from 'node:assert/strict';
import { once } from 'node:events';
import { test } from 'node:test';
import { createServer } from 'node:tls';
import { monotonicMs } from '../../src/shared/clock.ts';
import { openFirst } from '../../src/shared/upstream-addresses.ts';
import { PLAIN_OPENING, UpstreamTlsError, upstreamContext } from '../../src/shared/upstream-socket.ts';
import { createTestCa } from '../support/certificates.ts';
import { startUpstream } from '../support/echo-servers.ts';

test('an address that says nothing holds up the next one for a part of the time only', { timeout: 240_000 }, async (t) => {
  const ca = await createTestCa();
  const { certPem, keyPem } = await ca.issueServer();
  const silent = await startUpstream(
    t,
    (socket) =>
      void socket
        .resume()
        .on('error', () => undefined)
        .once('end', () => socket.end()),
  );
  const server = createServer({ cert: certPem, key: keyPem }, (socket) => socket.end('here'));
  server.listen(silent.port, '127.0.0.2');
  await once(server, 'listening');
  t.after(() => server.close());
  const settings = { serverName: 'localhost', insecureSkipVerify: false };
  const opening = {
    header: undefined,
    tls: { group: 'web', settings, context: upstreamContext({ caPem: ca.caPem, keyPair: undefined }), alpn: undefined },
  };
  const target = { host: 'shop.test', port: silent.port };
  const within = (ms: number) => [AbortSignal.timeout(ms), monotonicMs() + ms] as const;

  const socket = await openFirst(['127.0.0.1', '127.0.0.2'], target, opening, ...within(6000));
  assert.equal(String((await once(socket, 'data'))[0]), 'here');
  socket.destroy();
  await silent.idle();

  // 127.0.0.2 speaks TLS, but not as other.test; nobody listens on 127.0.0.3.
  const strangers = { ...opening, tls: { ...opening.tls, settings: { ...settings, serverName: 'other.test' } } };
  await assert.rejects(openFirst(['127.0.0.3', '127.0.0.2'], target, strangers, ...within(20_000)), UpstreamTlsError);
  await assert.rejects(openFirst(['127.0.0.2', '127.0.0.3'], target, strangers, ...within(20_000)), { code: 'ECONNREFUSED' });
  await assert.rejects(openFirst([], target, PLAIN_OPENING, ...within(20_000)), { message: 'the host name shop.test is not resolved' });
});
