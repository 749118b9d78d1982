import assert from 'node:assert/strict';
import { once } from 'node:events';
import type { Socket } from 'node:net';
import { describe, it } from 'node:test';
import { createServer as createTlsServer } from 'node:tls';
import type { HealthCheck } from '../../src/domain/health-check.ts';
import type { TargetGroup } from '../../src/domain/model.ts';
import { createTestCa } from '../support/certificates.ts';
import { startUpstream } from '../support/echo-servers.ts';
import { freePort } from '../support/free-port.ts';
import { watchHealth } from '../support/health-watch.ts';
import { sampleGroup, sampleHealthCheck, sampleServer } from '../support/sample-state.ts';

const quick: HealthCheck = { ...sampleHealthCheck, intervalMs: 20, maxIntervalMs: 40, timeoutMs: 5000 };
/** A next probe after the first one is not to be seen within a test. */
const slow: HealthCheck = { ...sampleHealthCheck, intervalMs: 600_000, maxIntervalMs: 600_000 };
const http = { path: '/ready?full=1', host: undefined, statusFrom: 200, statusTo: 299, body: undefined };

const web = (addresses: readonly string[], healthCheck: HealthCheck): TargetGroup => sampleGroup('web', addresses, { healthCheck });
/** Says nothing, and ends when its peer does. */
function silent(socket: Socket): void {
  socket.resume();
  socket.once('end', () => socket.end());
}

describe('health checks', { timeout: 60_000 }, () => {
  it('take a server out when it goes away, and back in when it has answered often enough', async (t) => {
    // It comes back on its port, which must be nobody else's meanwhile.
    const upstream = await startUpstream(t, silent, { port: await freePort() });
    const { address } = upstream;
    const watch = await watchHealth(t, [web([address], { ...quick, unhealthyThreshold: 2, healthyThreshold: 3 })]);
    await watch.checker.start();
    assert.equal(await watch.next(), `changed ${address} unknown->healthy: connected`);
    assert.equal(watch.checker.statusOf('web', address)?.health, 'healthy');
    await upstream.close();
    assert.equal(await watch.next(), `changed ${address} healthy->unhealthy: connection refused`);
    const back = await startUpstream(t, silent, { port: upstream.port });
    assert.equal(await watch.next(), `changed ${address} unhealthy->healthy: connected`);
    assert.ok(back.accepted >= 3, `${back.accepted} probes brought it back`);
    assert.deepEqual(watch.published, [`web ${address} healthy`, `web ${address} unhealthy`, `web ${address} healthy`]);
    assert.deepEqual(watch.logged, [
      `info upstream server is healthy ${address} unknown->healthy: connected`,
      `warn upstream server is unhealthy ${address} healthy->unhealthy: connection refused`,
      `info upstream server is healthy ${address} unhealthy->healthy: connected`,
    ]);
    await back.idle();
  });

  it('know every server that answers at once when they have started', async (t) => {
    const upstreams = await Promise.all(Array.from({ length: 20 }, () => startUpstream(t, silent)));
    const refusing = `127.0.0.1:${await freePort()}`;
    const watch = await watchHealth(t, [web([...upstreams.map(({ address }) => address), refusing], slow)]);
    await watch.checker.start();
    // The start waits a second at most.
    while (watch.events.length <= upstreams.length) await watch.next();
    const found = new Map(watch.checker.list().map(({ server, health }) => [server, health]));
    assert.deepEqual(found, new Map([...upstreams.map(({ address }) => [address, 'healthy'] as const), [refusing, 'unhealthy']]));
  });

  it('do not hold up the start for a server that does not answer', async (t) => {
    const upstream = await startUpstream(t, silent);
    const watch = await watchHealth(t, [web([upstream.address], { ...slow, type: 'http', http, timeoutMs: 600_000 })]);
    await watch.checker.start();
    assert.equal(watch.checker.statusOf('web', upstream.address)?.health, 'unknown');
    watch.checker.stop();
    await upstream.idle();
  });

  it('judge an HTTP server by its status', async (t) => {
    const requests: string[] = [];
    let status = '200 OK';
    const upstream = await startUpstream(
      t,
      answering(requests, () => `HTTP/1.1 ${status}\r\nContent-Length: 0\r\n\r\n`),
    );
    const { address } = upstream;
    const watch = await watchHealth(t, [web([address], { ...quick, type: 'http', http, healthyThreshold: 1 })]);
    await watch.checker.start();
    assert.equal(await watch.next(), `changed ${address} unknown->healthy: HTTP 200`);
    status = '503 Service Unavailable';
    assert.equal(await watch.next(), `changed ${address} healthy->unhealthy: HTTP 503`);
    status = '204';
    assert.equal(await watch.next(), `changed ${address} unhealthy->healthy: HTTP 204`);
    assert.match(
      requests[0] ?? '',
      new RegExp(`^GET /ready\\?full=1 HTTP/1\\.1\r\nHost: ${address}\r\n(.+\r\n)*Connection: close\r\n\r\n$`),
    );
  });

  const answers: Record<string, [answer: (socket: Socket) => void, cause: string]> = {
    'something else than HTTP': [(socket) => socket.end('\u001b[31mSSH-2.0\r\n'), 'the answer is not HTTP'],
    'a line that never ends': [(socket) => void socket.write('x'.repeat(10_000)), 'the answer is not HTTP'],
    'nothing but an end': [(socket) => void socket.end(), 'closed without an answer'],
    'a reset': [(socket) => void socket.resetAndDestroy(), 'connection reset'],
  };
  for (const [what, [answer, cause]] of Object.entries(answers)) {
    it(`say what was wrong with ${what} in place of an HTTP answer`, async (t) => {
      const upstream = await startUpstream(t, (socket) => {
        silent(socket);
        socket.once('data', () => answer(socket));
      });
      const watch = await watchHealth(t, [web([upstream.address], { ...slow, type: 'http', http })]);
      await watch.checker.start();
      assert.equal(await watch.next(), `changed ${upstream.address} unknown->unhealthy: ${cause}`);
      await upstream.idle();
    });
  }

  it('give up on a server that never answers, and leave no connection behind', async (t) => {
    const upstream = await startUpstream(t, silent);
    const watch = await watchHealth(t, [web([upstream.address], { ...slow, type: 'http', http, timeoutMs: 50 })]);
    await watch.checker.start();
    assert.equal(await watch.next(), `changed ${upstream.address} unknown->unhealthy: timed out after 0.05s`);
    await upstream.idle();
  });

  it('do not take a TLS server that stalls in the handshake for a healthy one', async (t) => {
    const upstream = await startUpstream(t, silent);
    const watch = await watchHealth(t, [web([upstream.address], { ...slow, type: 'tls', timeoutMs: 50 })]);
    await watch.checker.start();
    assert.equal(await watch.next(), `changed ${upstream.address} unknown->unhealthy: timed out after 0.05s`);
    await upstream.idle();
  });

  it('finish a TLS handshake without asking whose certificate it is', async (t) => {
    const { certPem, keyPem } = await (await createTestCa()).issueServer();
    const server = createTlsServer({ cert: certPem, key: keyPem }).listen(0, '127.0.0.1');
    t.after(() => server.close());
    await once(server, 'listening');
    const address = server.address();
    assert.ok(address !== null && typeof address === 'object');
    const watch = await watchHealth(t, [web([`127.0.0.1:${address.port}`], { ...slow, type: 'tls' })]);
    await watch.checker.start();
    assert.equal(await watch.next(), `changed 127.0.0.1:${address.port} unknown->healthy: TLS handshake done`);
  });

  it('say why a TLS handshake failed', async (t) => {
    const speaksPlain = await startUpstream(t, (socket) => socket.end('\u001b[31mSSH-2.0-server\r\n'));
    const hangsUp = await startUpstream(t, (socket) => socket.once('data', () => socket.end()));
    const refusing = `127.0.0.1:${await freePort()}`;
    const watch = await watchHealth(t, [web([speaksPlain.address, hangsUp.address, refusing], { ...slow, type: 'tls' })]);
    await watch.checker.start();
    while (watch.events.length < 3) await watch.next();
    const cause = (server: string) => watch.checker.statusOf('web', server)?.lastProbe ?? '';
    assert.match(cause(speaksPlain.address), /^TLS handshake failed: [ -~]{5,100}$/);
    assert.equal(cause(hangsUp.address), 'TLS handshake failed: connection reset');
    assert.equal(cause(refusing), 'connection refused');
  });

  it('tell of no change while a server flaps below its threshold', async (t) => {
    let answered = 0;
    const flapped = Promise.withResolvers<void>();
    const status = () => {
      answered++;
      if (answered > 12) flapped.resolve();
      return `HTTP/1.1 ${answered % 2 === 1 ? 200 : 503} -\r\n\r\n`;
    };
    const upstream = await startUpstream(t, answering([], status));
    const watch = await watchHealth(t, [web([upstream.address], { ...quick, type: 'http', http, unhealthyThreshold: 2 })]);
    await watch.checker.start();
    await flapped.promise;
    assert.equal(watch.checker.statusOf('web', upstream.address)?.health, 'healthy');
    assert.deepEqual([watch.events.length, watch.logged.length, watch.published.length], [1, 1, 1]);
  });

  it('look at an added server at once, and forget a removed one', async (t) => {
    const [staying, leaving, coming] = await Promise.all([silent, silent, silent].map((serve) => startUpstream(t, serve)));
    assert.ok(staying && leaving && coming);
    const watch = await watchHealth(t, [web([staying.address, leaving.address], quick), sampleGroup('db', [], { healthCheck: slow })]);
    await watch.checker.start();
    await watch.next();
    await watch.next();

    await watch.change({ kind: 'addUpstreamServer', group: 'db', server: sampleServer(coming.address) });
    await watch.checker.firstProbe('db', coming.address);
    assert.equal(await watch.next(), `changed ${coming.address} unknown->healthy: connected`);
    assert.equal(watch.checker.statusOf('db', coming.address)?.health, 'healthy');

    await watch.change({ kind: 'removeUpstreamServer', group: 'web', address: leaving.address });
    assert.equal(await watch.next(), `removed ${leaving.address} healthy->unknown: removed`);
    assert.equal(watch.checker.statusOf('web', leaving.address), undefined);
    // A probe that was under way may not have been accepted yet; two probes of another server later it has been.
    await staying.acceptedAtLeast(staying.accepted + 2);
    await leaving.idle();
    const before = leaving.accepted;
    await staying.acceptedAtLeast(staying.accepted + 5);
    assert.equal(leaving.accepted, before, 'nobody looks at it any more');

    await watch.change({ kind: 'removeTargetGroup', name: 'db' });
    assert.equal(await watch.next(), `removed ${coming.address} healthy->unknown: removed`);
    assert.deepEqual(
      watch.checker.list().map(({ server }) => server),
      [staying.address],
    );
    await watch.checker.firstProbe('db', coming.address);
  });

  it('count every server of a group without checks as healthy', async (t) => {
    const address = `127.0.0.1:${await freePort()}`;
    const watch = await watchHealth(t, [web([address], { ...quick, type: 'none' })]);
    await watch.checker.start();
    assert.equal(await watch.next(), `changed ${address} unknown->healthy: not checked`);
    assert.deepEqual(watch.published, [`web ${address} healthy`]);
  });
});

/** Notes each request, and answers it. */
function answering(requests: string[], answer: () => string): (socket: Socket) => void {
  return (socket) => {
    let request = '';
    socket.on('data', (chunk: Buffer) => {
      request += chunk.toString('latin1');
      if (!request.endsWith('\r\n\r\n')) return;
      requests.push(request);
      socket.end(answer());
    });
  };
}
