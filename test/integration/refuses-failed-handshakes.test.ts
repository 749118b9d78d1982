import assert from 'node:assert/strict';
import { once } from 'node:events';
import { duplexPair } from 'node:stream';
import { test } from 'node:test';
import { connect } from 'node:tls';
import { createTestCa } from '../support/certificates.ts';
import { echoServer } from '../support/echo-servers.ts';
import { startBalancer, uncheckedGroup } from '../support/running-balancer.ts';
import { tcpClient } from '../support/tcp-client.ts';

/** What a client of TLS says first. */
async function clientHello(): Promise<Buffer> {
  const [near, far] = duplexPair();
  connect({ socket: near }).on('error', () => undefined);
  const [hello] = await once(far, 'data');
  return hello;
}

test('a handshake that fails is answered with the alert of TLS, and logged with what was wrong', async (t) => {
  const upstream = await echoServer(t);
  const ca = await createTestCa();
  const certificate = await ca.issue({ cn: 'alice' });
  const balancer = await startBalancer(t, {
    ca,
    config: { targetGroups: [uncheckedGroup('web', [upstream.address])], clients: [{ clientId: 'alice', allowedTargetGroup: 'web' }] },
  });
  const assertFailed = async (detail: string) => {
    const line = await balancer.nextLine();
    assert.partialDeepStrictEqual(line, { reason: 'handshake_failed', msg: 'connection refused', detail, bytesUp: 0, bytesDown: 0 });
    assert.equal(line.client, undefined);
    balancer.assertIdle();
  };

  await t.test('for TLS 1.1', async (t) => {
    const old = { minVersion: 'TLSv1', maxVersion: 'TLSv1.1', ciphers: 'DEFAULT@SECLEVEL=0' } as const;
    const client = balancer.connect(t, { certificate, tls: old });
    assert.deepEqual(await client.ending, { how: 'alert', code: 'ERR_SSL_TLSV1_ALERT_PROTOCOL_VERSION' });
    await assertFailed('unsupported protocol');
  });

  await t.test('for a client that shares no cipher suite', async (t) => {
    const client = balancer.connect(t, { certificate, tls: { maxVersion: 'TLSv1.2', ciphers: 'ECDHE-ECDSA-AES128-SHA256' } });
    const ending = await client.ending;
    assert.match('code' in ending ? ending.code : '', /^ERR_SSL_.*ALERT_HANDSHAKE_FAILURE$/);
    await assertFailed('no shared cipher');
  });

  await t.test('for a client that does not trust the balancer', async (t) => {
    const stranger = await createTestCa();
    const client = balancer.connect(t, { certificate, ca: stranger.caPem });
    assert.equal((await client.ending).how, 'failed');
    await assertFailed('the client left during the handshake');
  });

  await t.test('for a client that leaves in the middle', async (t) => {
    const client = await tcpClient(t, balancer.port());
    client.socket.end();
    await client.ending;
    await assertFailed('the client left during the handshake');
  });

  await t.test('for a client that resets in the middle', async (t) => {
    const { socket } = await tcpClient(t, balancer.port());
    socket.write(await clientHello());
    // One that resets before the balancer has looked at it is another matter.
    await once(socket, 'data');
    socket.resetAndDestroy();
    await assertFailed('the client left during the handshake');
  });

  await t.test('and the next client is served', async (t) => {
    const client = balancer.connect(t, { certificate });
    client.socket.end('hello');
    assert.equal((await client.readAll()).toString(), 'hello');
    assert.equal((await balancer.nextLine()).reason, 'client_closed');
    assert.equal(upstream.accepted, 1, 'no failed handshake reached a server');
    balancer.assertIdle();
  });
});
