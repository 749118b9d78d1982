import assert from 'node:assert/strict';
import { once } from 'node:events';
import { connect, createServer, type Socket } from 'node:net';
import { type TestContext, test } from 'node:test';
import { HandshakeBudget, TlsFront } from '../../src/dataplane/tls.ts';
import { proxyHeaderV1 } from '../../src/domain/proxy-protocol.ts';
import { createTestCa } from '../support/certificates.ts';
import { echoServer, startUpstream } from '../support/echo-servers.ts';
import { type RunningBalancer, startBalancer, uncheckedGroup } from '../support/running-balancer.ts';
import { tcpClient } from '../support/tcp-client.ts';
import { materialOf } from '../support/tls-front.ts';

const NOT_TLS =
  'wrong version number: not TLS, or a PROXY protocol header from an address that acceptProxyProtocol of the listener does not hold';
/** Three times what is often, so that some second has enough of them. */
const NOISE = 24;
const ENDS = { source: { host: '192.0.2.7', port: 4711 }, destination: { host: '198.51.100.1', port: 443 } };

async function start(t: TestContext, changes: object = {}): Promise<RunningBalancer> {
  const upstream = await echoServer(t);
  return startBalancer(t, {
    config: {
      workers: 1,
      targetGroups: [uncheckedGroup('web', [upstream.address])],
      clients: [{ clientId: 'alice', allowedTargetGroup: 'web' }],
      ...changes,
    },
  });
}

/** So many at once, which is often on a slow machine too, that noise is expected from then on, and looked for before there is a TLS socket. */
async function makeNoise(t: TestContext, balancer: RunningBalancer): Promise<void> {
  const comeAndGo = async () => {
    const { socket, ending } = await tcpClient(t, balancer.port());
    socket.write('nothing that anybody knows');
    await ending;
  };
  await Promise.all(Array.from({ length: NOISE }, comeAndGo));
  for (const { detail } of await balancer.nextLines(NOISE)) assert.equal(detail, NOT_TLS);
}

/** Each byte in a segment of its own as far as the system allows. */
async function drip(bytes: Uint8Array, to: Socket): Promise<void> {
  for (const byte of bytes) {
    await new Promise((resolve) => to.write(Uint8Array.of(byte), resolve));
    await new Promise((resolve) => setImmediate(resolve));
  }
}

for (const [what, words, detail] of [
  ['an HTTP request', 'GET / HTTP/1.1\r\nHost: lb\r\n\r\n', 'http request'],
  ['a request to a proxy', 'CONNECT db:443 HTTP/1.1\r\n\r\n', 'https proxy request'],
  ['SSH', 'SSH-2.0-scanner\r\n', NOT_TLS],
  ['a record of another version', '\x16\x02\x00\x00\x05\x01', NOT_TLS],
] as const) {
  test(`${what} is refused and told in the log, in one piece or byte by byte, expected or not`, async (t) => {
    const balancer = await start(t);
    const inOnePiece = (socket: Socket) => void socket.write(words, 'latin1');
    const byteByByte = (socket: Socket) => drip(Buffer.from(words, 'latin1'), socket);
    for (const [send, isExpected] of [
      [inOnePiece, false],
      [byteByByte, false],
      [inOnePiece, true],
      [byteByByte, true],
    ] as const) {
      if (isExpected) await makeNoise(t, balancer);
      const { socket, ending } = await tcpClient(t, balancer.port());
      await Promise.race([send(socket), ending]);
      // OpenSSL answers with an alert, and an end unless more comes after that.
      const { how } = await ending;
      if (isExpected) assert.equal(how, 'reset');
      const line = await balancer.nextLine();
      assert.partialDeepStrictEqual(line, { reason: 'handshake_failed', msg: 'connection refused', detail, bytesUp: 0, bytesDown: 0 });
      assert.equal(line.remote.split(':')[0], '127.0.0.1');
    }
    balancer.assertIdle();
  });
}

test('who says less than can be told from TLS is waited for until the deadline, and counts as in the handshake', async (t) => {
  const balancer = await start(t, { timeouts: { handshakeTimeout: '2s' }, maxPendingHandshakes: 1 });
  const brief = await tcpClient(t, balancer.port());
  brief.socket.write('GET ');
  assert.equal((await (await tcpClient(t, balancer.port())).ending).how, 'reset');
  assert.equal((await balancer.nextLine()).reason, 'too_many_handshakes');
  assert.equal((await brief.ending).how, 'reset');
  assert.equal((await balancer.nextLine()).reason, 'handshake_timeout');
  balancer.assertIdle();
});

test('who leaves after fewer bytes than that has left', async (t) => {
  const balancer = await start(t);
  const { socket } = await tcpClient(t, balancer.port());
  socket.end('GET');
  assert.partialDeepStrictEqual(await balancer.nextLine(), {
    reason: 'handshake_failed',
    detail: 'the client left during the handshake',
  });
  balancer.assertIdle();
});

test('who has left before the handshake begins is refused at once', async (t) => {
  const front = new TlsFront({
    material: await materialOf(await createTestCa()),
    alpn: [],
    timeoutMs: 30_000,
    budget: new HandshakeBudget(1),
  });
  const server = createServer();
  server.listen(0, '127.0.0.1');
  t.after(() => server.close());
  await once(server, 'listening');
  const address = server.address();
  assert.ok(typeof address === 'object' && address !== null);
  const client = connect(address.port, '127.0.0.1');
  const [raw]: Socket[] = await once(server, 'connection');
  assert.ok(raw !== undefined);
  raw.on('error', () => undefined);
  client.resetAndDestroy();
  await new Promise((resolve) => raw.once('close', resolve));
  await assert.rejects(front.handshake(raw), { reason: 'handshake_failed', message: 'the client left during the handshake' });
});

for (const version of ['TLSv1.2', 'TLSv1.3'] as const) {
  test(`a handshake of ${version} succeeds when it comes byte by byte where noise is expected`, async (t) => {
    const balancer = await start(t);
    await makeNoise(t, balancer);
    const slow = await startUpstream(t, async (near) => {
      const far = connect({ port: balancer.port(), host: '127.0.0.1', noDelay: true, allowHalfOpen: true });
      far.on('error', () => near.destroy()).pipe(near);
      t.after(() => far.destroy());
      for await (const chunk of near) await drip(chunk, far);
      far.end();
    });
    const certificate = await balancer.ca.issue({ cn: 'alice' });
    const client = balancer.connect(t, { port: slow.port, certificate, tls: { minVersion: version, maxVersion: version } });
    client.socket.write('hello');
    assert.equal(await client.readUntil('hello'), 'hello');
    client.socket.end();
    assert.partialDeepStrictEqual(await balancer.nextLine(), { reason: 'client_closed', client: 'alice', bytesUp: 5, bytesDown: 5 });
    balancer.assertIdle();
  });
}

test('noise behind a PROXY protocol header is refused as the client that the header names, in one segment with it or later', async (t) => {
  const listeners = [{ name: 'proxied', address: '127.0.0.1:0', acceptProxyProtocol: ['127.0.0.1'] }];
  const balancer = await start(t, { listenAddress: undefined, listeners });
  const header = Buffer.from(proxyHeaderV1(ENDS));
  const noise = Buffer.from('no protocol that anybody knows');
  for (const send of [
    (socket: Socket) => void socket.write(Buffer.concat([header, noise])),
    (socket: Socket) => drip(Buffer.concat([header, noise]), socket),
    async (socket: Socket) => {
      await drip(header, socket);
      socket.write(noise);
    },
    async (socket: Socket) => {
      socket.write(Buffer.concat([header, noise.subarray(0, 3)]));
      await new Promise((resolve) => setImmediate(resolve));
      socket.write(noise.subarray(3));
    },
  ]) {
    const { socket, ending } = await tcpClient(t, balancer.port());
    socket.setNoDelay();
    await Promise.race([send(socket), ending]);
    await ending;
    assert.partialDeepStrictEqual(await balancer.nextLine(), { reason: 'handshake_failed', detail: NOT_TLS, remote: '192.0.2.7:4711' });
  }
  balancer.assertIdle();
});
