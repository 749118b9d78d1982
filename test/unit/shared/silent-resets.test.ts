import assert from 'node:assert/strict';
import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import { describe, it, type TestContext } from 'node:test';
import { setImmediate } from 'node:timers/promises';
import { connect as connectTls, type TLSSocket } from 'node:tls';
import { HandshakeBudget, TlsFront } from '../../../src/dataplane/tls.ts';
import { openUpstream, upstreamContext } from '../../../src/shared/upstream-socket.ts';
import { createTestCa, type TestCa } from '../../support/certificates.ts';
import { startUpstream } from '../../support/echo-servers.ts';
import { materialOf } from '../../support/tls-front.ts';
import { tlsUpstream } from '../../support/upstream-tls.ts';

/** Turns of the event loop in which whatever has happened on loopback is seen. */
const TURNS = 20;

/** The client says `last words`, and `leave` is called when they are written and the other side, in the same thread, has not read the Finished before them. */
async function shakenFrom(t: TestContext, leave: (tcp: Socket) => void): Promise<TLSSocket> {
  const ca: TestCa = await createTestCa();
  const { certPem, keyPem } = await ca.issue({ cn: 'alice' });
  const front = new TlsFront({ material: await materialOf(ca), alpn: [], timeoutMs: 20_000, budget: new HandshakeBudget(1) });
  const { promise, resolve } = Promise.withResolvers<TLSSocket>();
  const listening = await startUpstream(t, (raw) => resolve(front.handshake(raw)));
  const tcp = connect({ port: listening.port, host: '127.0.0.1' });
  const client = connectTls({ socket: tcp, ca: ca.caPem, servername: 'localhost', cert: certPem, key: keyPem, minVersion: 'TLSv1.3' });
  client.on('error', () => undefined).once('secureConnect', () => client.write('last words', () => leave(tcp)));
  t.after(() => client.destroy());
  const shaken = await promise;
  t.after(() => shaken.destroy());
  return shaken;
}

describe('a reset that meets what TLS writes by itself', () => {
  it('makes the socket of a client fail, whose session tickets it met, whether anything is written to it or not', async (t) => {
    for (const greeting of ['', 'hello']) {
      const shaken = await shakenFrom(t, (tcp) => tcp.resetAndDestroy());
      if (greeting !== '') void setImmediate().then(() => shaken.write(greeting));
      const [error] = await once(shaken, 'error');
      assert.equal(error.code, 'EPIPE');
    }
  });

  it('is none where a client has said its word, ended and gone when the tickets come', async (t) => {
    const shaken = await shakenFrom(t, (tcp) => tcp.destroy());
    const [words] = await once(shaken, 'data');
    assert.equal(String(words), 'last words');
    for (let turn = 0; turn < TURNS; turn++) await setImmediate();
    assert.ok(shaken.readableEnded);
    assert.ok(!shaken.destroyed);
  });

  it('makes the socket of a server fail that reset before our Finished came', async (t) => {
    const ca = await createTestCa();
    const { certPem, keyPem } = await ca.issueServer();
    const server = await tlsUpstream(t, { cert: certPem, key: keyPem, minVersion: 'TLSv1.3' }, () => undefined);
    const breaking = await startUpstream(t, (near) => {
      const far = connect({ port: server.port, host: '127.0.0.1' });
      near.pipe(far);
      far
        .on('error', () => undefined)
        .once('data', (flight) => {
          near.write(flight);
          near.resetAndDestroy();
          far.destroy();
        });
    });
    const tls = {
      group: 'web',
      settings: { serverName: 'localhost', insecureSkipVerify: false },
      context: upstreamContext({ caPem: ca.caPem, keyPair: undefined }),
      alpn: undefined,
    };
    const target = { host: '127.0.0.1', port: breaking.port };
    const socket = await openUpstream(target, '127.0.0.1', { header: undefined, tls }, new AbortController().signal);
    const [error] = await once(socket, 'error');
    assert.equal(error.code, 'EPIPE');
  });
});
