import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createSecureServer, createServer, type ServerHttp2Stream } from 'node:http2';
import type { Server, Socket } from 'node:net';
import { describe, it, type TestContext } from 'node:test';
import { createServer as createTlsServer } from 'node:tls';
import type { ProbeResult, ProbeTarget } from '../../src/controlplane/probes/look.ts';
import { probe } from '../../src/controlplane/probes/probe.ts';
import type { HealthCheck } from '../../src/domain/health-check.ts';
import {
  HealthCheckRequest,
  HealthCheckResponse,
  HealthCheckResponse_ServingStatus as Serving,
} from '../../src/gen/grpc/health/v1/health.ts';
import { type Opening, PLAIN_OPENING, upstreamContext } from '../../src/shared/upstream-socket.ts';
import { createTestCa } from '../support/certificates.ts';
import { startUpstream } from '../support/echo-servers.ts';
import { freePort } from '../support/free-port.ts';
import { sampleHealthCheck } from '../support/sample-state.ts';

/** Looks once, within a time that no good answer needs. */
async function look(port: number, check: Partial<HealthCheck>, opening: Opening = PLAIN_OPENING): Promise<ProbeResult> {
  const target: ProbeTarget = { address: { host: '127.0.0.1', port }, addresses: ['127.0.0.1'], opening, timeoutMs: 20_000 };
  const { ok, cause } = await probe(target, { ...sampleHealthCheck, ...check }, AbortSignal.timeout(20_000));
  return { ok, cause };
}

describe('an HTTP check with a body', { timeout: 60_000 }, () => {
  const http = (body: string) => ({ path: '/', host: undefined, statusFrom: 200, statusTo: 299, body });
  const chunked = (chunks: readonly string[]) =>
    [...chunks.map((chunk) => `${Buffer.byteLength(chunk).toString(16)};ext=1\r\n${chunk}\r\n`), '0\r\n\r\n'].join('');
  const missing = { ok: false, cause: 'HTTP 200 without the expected text in its body' };
  const found = { ok: true, cause: 'HTTP 200' };
  for (const [what, answer, expected] of [
    ['finds the text in a body of known length', 'HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nall ready', found],
    ['finds it where the length is not known', 'HTTP/1.1 200 OK\r\n\r\nall ready', found],
    ['finds it across two chunks', `HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n${chunked(['all re', 'ady!'])}`, found],
    ['finds it after an interim answer', 'HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\nHTTP/1.1 200 OK\r\n\r\nready', found],
    ['does not find it in the head', 'HTTP/1.1 200 OK\r\nX-State: ready\r\nContent-Length: 2\r\n\r\nno', missing],
    ['does not find it behind the end of the body', 'HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nnoready', missing],
    ['does not find it in the sizes of chunks', `HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2;ready\r\nno\r\n0\r\n\r\n`, missing],
    ['does not look further than 64 KiB', `HTTP/1.1 200 OK\r\n\r\n${'.'.repeat(65_532)}ready`, missing],
    ['looks as far as 64 KiB', `HTTP/1.1 200 OK\r\n\r\n${'.'.repeat(65_531)}ready`, found],
    ['goes by the status first', 'HTTP/1.1 500 Oops\r\n\r\nready', { ok: false, cause: 'HTTP 500' }],
  ] as const) {
    it(what, async (t) => {
      const upstream = await startUpstream(t, (socket) => {
        socket.on('error', () => undefined);
        // In pieces that do not fall in with those of HTTP.
        socket.once('data', () => {
          for (let at = 0; at < answer.length; at += 9973) socket.write(answer.slice(at, at + 9973));
          socket.end();
        });
      });
      assert.deepEqual(await look(upstream.port, { type: 'http', http: http('ready') }), expected);
      await upstream.idle();
    });
  }
});

describe('a sendExpect check', { timeout: 60_000 }, () => {
  const serve = (answer: (socket: Socket, said: string) => void) => (socket: Socket) => {
    socket.setEncoding('latin1');
    socket.on('error', () => undefined);
    socket.on('data', (said: string) => answer(socket, said));
    socket.once('end', () => socket.end());
  };

  it('sends its text and finds the answer, in however many pieces it comes', async (t) => {
    const heard: string[] = [];
    const redis = await startUpstream(
      t,
      serve((socket, said) => {
        heard.push(said);
        socket.write('+PO');
        setImmediate(() => socket.write('NG\r\n'));
      }),
    );
    const sendExpect = { send: 'PING\r\n', expect: '+PONG' };
    assert.deepEqual(await look(redis.port, { type: 'sendExpect', sendExpect }), { ok: true, cause: 'the expected answer' });
    assert.deepEqual(heard, ['PING\r\n']);
    await redis.idle();
  });

  it('says what came instead, printable and short', async (t) => {
    const other = await startUpstream(t, (socket) => socket.end(`\u001b[31m${'x'.repeat(500)}`));
    const result = await look(other.port, { type: 'sendExpect', sendExpect: { send: '', expect: 'SSH-2.0' } });
    assert.deepEqual(result, { ok: false, cause: `another answer than expected: ?[31m${'x'.repeat(95)}` });
    const silent = await startUpstream(t, (socket) => socket.end());
    assert.deepEqual(await look(silent.port, { type: 'sendExpect', sendExpect: { send: '', expect: 'SSH-2.0' } }), {
      ok: false,
      cause: 'closed without an answer',
    });
  });

  it('listens to 64 KiB and no more', async (t) => {
    const talks = await startUpstream(t, (socket) => {
      socket.on('error', () => undefined);
      socket.write('.'.repeat(100_000));
      socket.write('ready');
    });
    const { ok, cause } = await look(talks.port, { type: 'sendExpect', sendExpect: { send: '', expect: 'ready' } });
    assert.equal(ok, false);
    assert.match(cause, /^not in the first 64 KiB/);
  });
});

describe('a gRPC check', { timeout: 60_000 }, () => {
  const grpc = { service: 'shop.Cart', authority: 'cart.example' };

  async function listening(t: TestContext, server: Server): Promise<number> {
    t.after(() => server.close());
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    const address = server.address();
    assert.ok(typeof address === 'object' && address !== null);
    return address.port;
  }

  /** Says how the service is; what it was asked comes into `asked`. */
  function saying(status: Serving, asked: string[] = []) {
    return (stream: ServerHttp2Stream, headers: Record<string, unknown>) => {
      stream.on('error', () => undefined);
      const parts: Buffer[] = [];
      stream.on('data', (part: Buffer) => parts.push(part));
      stream.once('end', () => {
        const { service } = HealthCheckRequest.decode(Buffer.concat(parts).subarray(5));
        asked.push(`${headers[':authority']}${headers[':path']} ${service}`);
        const message = HealthCheckResponse.encode({ status }).finish();
        stream.respond({ ':status': 200, 'content-type': 'application/grpc' }, { waitForTrailers: true });
        stream.once('wantTrailers', () => stream.sendTrailers({ 'grpc-status': '0' }));
        stream.end(Buffer.concat([Buffer.from([0, 0, 0, 0, message.length]), message]));
      });
    };
  }

  it('asks for its service, and takes SERVING alone for healthy', async (t) => {
    for (const [status, expected] of [
      [Serving.SERVING, { ok: true, cause: 'SERVING' }],
      [Serving.NOT_SERVING, { ok: false, cause: 'NOT_SERVING' }],
      [Serving.UNKNOWN, { ok: false, cause: 'UNKNOWN' }],
    ] as const) {
      const asked: string[] = [];
      const port = await listening(t, createServer().on('stream', saying(status, asked)));
      assert.deepEqual(await look(port, { type: 'grpc', grpc }), expected);
      assert.deepEqual(asked, ['cart.example/grpc.health.v1.Health/Check shop.Cart']);
    }
  });

  it('says with which status the call failed', async (t) => {
    const refuses = (stream: ServerHttp2Stream) => {
      const refusal = { 'grpc-status': '5', 'grpc-message': 'unknown%20service%3A%1B' };
      stream.respond({ ':status': 200, 'content-type': 'application/grpc', ...refusal }, { endStream: true });
    };
    const port = await listening(t, createServer().on('stream', refuses));
    assert.deepEqual(await look(port, { type: 'grpc', grpc }), { ok: false, cause: 'gRPC NOT_FOUND: unknown service:?' });
    const isNone = (stream: ServerHttp2Stream) => stream.respond({ ':status': 404 }, { endStream: true });
    const web = await listening(t, createServer().on('stream', isNone));
    assert.deepEqual(await look(web, { type: 'grpc', grpc }), { ok: false, cause: 'HTTP 404 in place of a gRPC answer' });
  });

  it('fails with a server that speaks something else, or is not there', async (t) => {
    const ssh = await startUpstream(t, (socket) => {
      socket.on('error', () => undefined).once('end', () => socket.end());
      socket.resume().write('SSH-2.0-server\r\n');
    });
    const { ok, cause } = await look(ssh.port, { type: 'grpc', grpc });
    assert.equal(ok, false);
    assert.match(cause, /^[ -~]{5,100}$/);
    await ssh.idle();
    assert.deepEqual(await look(await freePort(), { type: 'grpc', grpc }), { ok: false, cause: 'connection refused' });
  });

  it('speaks TLS where connections to the servers do, and wants HTTP/2 by ALPN', async (t) => {
    const ca = await createTestCa();
    const { certPem, keyPem } = await ca.issueServer();
    const context = upstreamContext({ caPem: ca.caPem, keyPair: undefined });
    const settings = { serverName: 'localhost', insecureSkipVerify: false };
    const opening = { header: undefined, tls: { group: 'web', settings, context, alpn: undefined } };
    const secure = createSecureServer({ cert: certPem, key: keyPem });
    const port = await listening(t, secure.on('stream', saying(Serving.SERVING)));
    assert.deepEqual(await look(port, { type: 'grpc', grpc }, opening), { ok: true, cause: 'SERVING' });
    const older = createTlsServer({ cert: certPem, key: keyPem });
    const { ok, cause } = await look(await listening(t, older), { type: 'grpc', grpc }, opening);
    assert.deepEqual({ ok, cause }, { ok: false, cause: 'the server does not offer HTTP/2 (ALPN)' });
  });
});
