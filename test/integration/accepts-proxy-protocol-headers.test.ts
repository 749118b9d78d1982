import assert from 'node:assert/strict';
import { once } from 'node:events';
import { connect as connectTcp, type Socket } from 'node:net';
import { describe, type TestContext, test } from 'node:test';
import { connect as connectTls } from 'node:tls';
import type { KeyAndCertificate } from '../../certs/issuing.ts';
import { proxyHeaderV1, proxyHeaderV2, TLV, textTlv } from '../../src/domain/proxy-protocol.ts';
import { bannerServer, echoServer, type TestUpstream } from '../support/echo-servers.ts';
import { type RunningBalancer, startBalancer, uncheckedGroup } from '../support/running-balancer.ts';
import { tcpClient } from '../support/tcp-client.ts';

/** Time enough for what a slow machine is to have done by then. */
const PATIENT = '5m';

const ENDS = { source: { host: '192.0.2.7', port: 4711 }, destination: { host: '198.51.100.1', port: 443 } };

async function startProxied(
  t: TestContext,
  listeners: readonly object[],
  upstream: TestUpstream,
  handshakeTimeout = PATIENT,
): Promise<RunningBalancer> {
  return startBalancer(t, {
    config: {
      listenAddress: undefined,
      listeners,
      targetGroups: [uncheckedGroup('web', [upstream.address])],
      clients: [
        { clientId: 'alice', allowedTargetGroups: ['web'] },
        { clientId: 'office', match: { cidr: '192.0.2.0/24' }, allowedTargetGroups: ['web'] },
      ],
      timeouts: { handshakeTimeout },
    },
  });
}

const trusting = { name: 'proxied', address: '127.0.0.1:0', acceptProxyProtocol: ['127.0.0.1'] };
const plain = { name: 'plain', address: '127.0.0.1:0', plain: true, acceptProxyProtocol: ['127.0.0.0/8'] };
const distrusting = { name: 'strict', address: '127.0.0.1:0', acceptProxyProtocol: ['203.0.113.0/24'] };

/** Writes part by part, each in a segment of its own as far as the system allows. */
async function writeInParts(socket: Socket, bytes: Uint8Array, size: number): Promise<void> {
  for (let at = 0; at < bytes.length; at += size) {
    await new Promise((resolve) => socket.write(bytes.subarray(at, at + size), resolve));
    await new Promise((resolve) => setImmediate(resolve));
  }
}

async function echoThroughTls(t: TestContext, tcp: Socket, ca: string, { certPem, keyPem }: KeyAndCertificate): Promise<string> {
  const socket = connectTls({ socket: tcp, ca, cert: certPem, key: keyPem, servername: 'localhost' });
  t.after(() => socket.destroy());
  socket.end('hello');
  let answer = '';
  for await (const chunk of socket) answer += String(chunk);
  return answer;
}

describe("the header's source is the client's address", () => {
  for (const [what, header] of [
    ['version 1', proxyHeaderV1(ENDS)],
    ['version 2 with extensions', proxyHeaderV2(ENDS, [textTlv(TLV.authority, 'x'.repeat(300))])],
  ] as const) {
    for (const size of [1, 7, header.length]) {
      test(`${what} before TLS, ${size} bytes at a time`, async (t) => {
        const upstream = await echoServer(t);
        const balancer = await startProxied(t, [trusting], upstream);
        const tcp = connectTcp({ port: balancer.port(), host: '127.0.0.1', noDelay: true });
        await once(tcp, 'connect');
        await writeInParts(tcp, header, size);
        assert.equal(await echoThroughTls(t, tcp, balancer.ca.caPem, await balancer.ca.issue({ cn: 'alice' })), 'hello');
        const line = await balancer.nextLine();
        assert.equal(line.remote, '192.0.2.7:4711');
        assert.match(line.via ?? '', /^127\.0\.0\.1:\d+$/);
        assert.equal(line.client, 'alice');
        balancer.assertIdle();
      });
    }
  }

  test('in one segment with all that follows', async (t) => {
    const upstream = await echoServer(t);
    const balancer = await startProxied(t, [plain], upstream);
    for (const size of [1, 1000]) {
      const { socket } = await tcpClient(t, balancer.port());
      let answer = '';
      socket.on('data', (chunk) => (answer += String(chunk)));
      await writeInParts(socket, Buffer.concat([proxyHeaderV2(ENDS, []), Buffer.from('PROXY hello')]), size);
      socket.end();
      await once(socket, 'close');
      assert.equal(answer, 'PROXY hello');
      const line = await balancer.nextLine();
      assert.deepEqual([line.client, line.remote, line.bytesUp], ['office', '192.0.2.7:4711', 11]);
    }
    balancer.assertIdle();
  });

  test('a ClientHello in the segment of the header', async (t) => {
    const upstream = await echoServer(t);
    const balancer = await startProxied(t, [trusting], upstream);
    const tcp = connectTcp({ port: balancer.port(), host: '127.0.0.1' });
    await once(tcp, 'connect');
    // Held back until the system has the ClientHello too.
    tcp.cork();
    tcp.write(proxyHeaderV1(ENDS));
    const answer = echoThroughTls(t, tcp, balancer.ca.caPem, await balancer.ca.issue({ cn: 'alice' }));
    setImmediate(() => tcp.uncork());
    assert.equal(await answer, 'hello');
    assert.equal((await balancer.nextLine()).remote, '192.0.2.7:4711');
    balancer.assertIdle();
  });

  test('the header of the proxy itself leaves the address as it is', async (t) => {
    const upstream = await echoServer(t);
    const balancer = await startProxied(t, [trusting], upstream);
    const tcp = connectTcp({ port: balancer.port(), host: '127.0.0.1' });
    tcp.write('PROXY UNKNOWN\r\n');
    await once(tcp, 'connect');
    assert.equal(await echoThroughTls(t, tcp, balancer.ca.caPem, await balancer.ca.issue({ cn: 'alice' })), 'hello');
    const line = await balancer.nextLine();
    assert.equal(line.via, undefined);
    assert.match(line.remote, /^127\.0\.0\.1:/);
  });
});

describe('what does not begin with a header is refused', () => {
  for (const [what, sent, handshakeTimeout, detail] of [
    ['something else', '\x16\x03\x01\x00', PATIENT, /begins with 16 03 01 00/],
    ['a header that is malformed', 'PROXY TCP4 999.0.0.1 1.2.3.4 1 1\r\n', PATIENT, /expected TCP4 or TCP6/],
    ['nothing', '', '500ms', /no whole header after 500 ms/],
    ['half a header', 'PROXY TCP4', '500ms', /no whole header after 500 ms/],
  ] as const) {
    test(what, async (t) => {
      const upstream = await echoServer(t);
      const balancer = await startProxied(t, [trusting], upstream, handshakeTimeout);
      const { socket, ending } = await tcpClient(t, balancer.port());
      socket.write(sent);
      assert.equal((await ending).how, 'reset');
      const line = await balancer.nextLine();
      assert.equal(line.reason, 'proxy_protocol_invalid');
      assert.match(line.detail ?? '', detail);
      assert.equal(upstream.accepted, 0);
      balancer.assertIdle();
    });
  }

  test('a proxy that leaves in the middle of it', async (t) => {
    const upstream = await echoServer(t);
    const balancer = await startProxied(t, [trusting], upstream);
    const { socket } = await tcpClient(t, balancer.port());
    socket.end('PROXY');
    const line = await balancer.nextLine();
    assert.deepEqual([line.reason, line.detail], ['proxy_protocol_invalid', 'the proxy left after 5 bytes of a header']);
    balancer.assertIdle();
  });

  test('a header from an address that none is accepted from', async (t) => {
    const upstream = await echoServer(t);
    const balancer = await startProxied(t, [distrusting], upstream);
    for (const header of [proxyHeaderV1(ENDS), proxyHeaderV2(ENDS, [])]) {
      const { socket } = await tcpClient(t, balancer.port());
      socket.write(header);
      const line = await balancer.nextLine();
      assert.equal(line.reason, 'handshake_failed');
      assert.match(line.detail ?? '', /PROXY protocol header from an address that acceptProxyProtocol of the listener does not hold/);
      assert.match(line.remote, /^127\.0\.0\.1:/);
    }
    balancer.assertIdle();
  });
});

describe('a plain listener that accepts headers from certain proxies', () => {
  const elsewhere = { name: 'plain', address: '127.0.0.1:0', plain: true, acceptProxyProtocol: ['203.0.113.0/24'] };
  const lan = { clientId: 'lan', match: { cidr: '127.0.0.0/8' }, allowedTargetGroups: ['web'] };

  async function start(
    t: TestContext,
    upstream: TestUpstream,
    listener: object = elsewhere,
    handshakeTimeout = PATIENT,
  ): Promise<RunningBalancer> {
    return startBalancer(t, {
      config: {
        listenAddress: undefined,
        listeners: [listener],
        targetGroups: [uncheckedGroup('web', [upstream.address])],
        clients: [lan],
        timeouts: { handshakeTimeout },
      },
    });
  }

  /** What the client hears, and how the connection ends, when it says this. */
  async function say(t: TestContext, balancer: RunningBalancer, words: Uint8Array, size: number, end: boolean) {
    const { socket, ending } = await tcpClient(t, balancer.port());
    let heard = '';
    socket.on('data', (chunk) => (heard += String(chunk)));
    await writeInParts(socket, words, size);
    if (end) socket.end();
    return { how: (await ending).how, heard };
  }

  for (const [version, header] of [
    ['1', proxyHeaderV1(ENDS)],
    ['2', proxyHeaderV2(ENDS, [])],
  ] as const) {
    for (const size of [1, 1000]) {
      test(`refuses a header of version ${version} from others, ${size} bytes at a time, and its server hears none of it`, async (t) => {
        const upstream = await echoServer(t);
        const balancer = await start(t, upstream);
        assert.deepEqual(await say(t, balancer, header, size, false), { how: 'reset', heard: '' });
        const line = await balancer.nextLine();
        assert.deepEqual([line.reason, line.client, line.bytesUp], ['proxy_protocol_invalid', 'lan', 0]);
        balancer.assertIdle();
      });
    }
  }

  test('refuses the beginning of one that goes no further in time', async (t) => {
    const balancer = await start(t, await echoServer(t), elsewhere, '500ms');
    assert.deepEqual(await say(t, balancer, Buffer.from('PROX'), 4, false), { how: 'reset', heard: '' });
    assert.equal((await balancer.nextLine()).reason, 'proxy_protocol_invalid');
    balancer.assertIdle();
  });

  for (const words of ['P', 'PROXIES', '\r\n', 'hello', '']) {
    for (const size of [1, 1000]) {
      test(`passes ${JSON.stringify(words)} on, ${size} bytes at a time`, async (t) => {
        const balancer = await start(t, await echoServer(t));
        assert.equal((await say(t, balancer, Buffer.from(words), size, true)).heard, words);
        const line = await balancer.nextLine();
        assert.deepEqual([line.reason, line.bytesUp], ['client_closed', words.length]);
        balancer.assertIdle();
      });
    }
  }

  test('lets a server speak first', async (t) => {
    const balancer = await start(t, await bannerServer(t, 'SSH-2.0'));
    const { socket } = await tcpClient(t, balancer.port());
    const [banner] = await once(socket, 'data');
    assert.equal(String(banner), 'SSH-2.0');
  });

  test('is another than one that accepts none, which copies whatever comes', async (t) => {
    const { acceptProxyProtocol: _, ...transparent } = elsewhere;
    const balancer = await start(t, await echoServer(t), transparent);
    const header = proxyHeaderV1(ENDS);
    assert.equal((await say(t, balancer, header, 1000, true)).heard, Buffer.from(header).toString());
  });
});
