import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer, type Socket } from 'node:net';
import { test } from 'node:test';
import type { ProbeResult } from '../../src/controlplane/probes/look.ts';
import type { HealthCheck } from '../../src/domain/health-check.ts';
import { watchHealth } from '../support/health-watch.ts';
import { sampleGroup, sampleHealthCheck } from '../support/sample-state.ts';

const SERVERS = 1000;
/** As many as health-checker.ts has at once. */
const MOST_AT_ONCE = 256;

test('a thousand servers are looked at with a bounded number of sockets, and none of them is left', { timeout: 240_000 }, async (t) => {
  const open = new Set<Socket>();
  let [accepted, most] = [0, 0];
  const all = Promise.withResolvers<void>();
  const closed = Promise.withResolvers<void>();
  // An answer takes two turns, so that probes are under way together as they are over a network.
  const server = createServer((socket) => {
    open.add(socket);
    accepted++;
    most = Math.max(most, open.size);
    if (accepted === SERVERS) all.resolve();
    socket.on('error', () => undefined);
    socket.once('data', () => setImmediate(() => setImmediate(() => socket.end('HTTP/1.1 200 OK\r\n\r\n'))));
    socket.once('close', () => {
      open.delete(socket);
      if (accepted >= SERVERS && open.size === 0) closed.resolve();
    });
  });
  server.listen({ host: '0.0.0.0', port: 0, backlog: 1024 });
  await once(server, 'listening');
  t.after(() => server.close());
  const address = server.address();
  assert.ok(typeof address === 'object' && address !== null);

  const addresses = Array.from({ length: SERVERS }, (_, index) => `127.0.${index >> 7}.${(index & 127) + 1}:${address.port}`);
  const http = { path: '/', host: undefined, statusFrom: 200, statusTo: 299, body: undefined };
  const check: HealthCheck = { ...sampleHealthCheck, type: 'http', http, intervalMs: 600_000, maxIntervalMs: 600_000, timeoutMs: 30_000 };
  const watch = await watchHealth(t, [sampleGroup('web', addresses, { healthCheck: check })], { random: () => 0.5 });
  await Promise.all([watch.checker.start(), all.promise]);
  await closed.promise;
  assert.equal(accepted, SERVERS, 'each server once');
  assert.ok(most <= MOST_AT_ONCE, `${most} at once`);
  assert.ok(most > 1, 'but not one after the other');
  while (watch.events.length < SERVERS) await watch.next();
  assert.ok(watch.checker.list().every(({ health }) => health === 'healthy'));
});

test('what lbd itself runs out of does not count against a server', { timeout: 240_000 }, async (t) => {
  const up: ProbeResult = { ok: true, cause: 'connected' };
  const short: ProbeResult = { ok: false, cause: 'lbd has no file descriptor left', inconclusive: true };
  const results = [up, short, short, short, up];
  let looked = 0;
  const done = Promise.withResolvers<void>();
  const probe = async () => {
    if (looked === results.length) done.resolve();
    return results[looked++] ?? up;
  };
  const quick: HealthCheck = { ...sampleHealthCheck, intervalMs: 10, maxIntervalMs: 10 };
  const watch = await watchHealth(t, [sampleGroup('web', ['127.0.0.1:1'], { healthCheck: quick })], { probe });
  await watch.checker.start();
  await done.promise;
  assert.deepEqual(watch.published, ['web 127.0.0.1:1 healthy']);
  assert.deepEqual(
    watch.logged.map((line) => line.split(' ').slice(0, 4).join(' ')),
    ['info upstream server is', 'warn health checks cannot', 'info health checks can'],
    'each turn is told once',
  );
});
