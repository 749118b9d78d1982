import assert from 'node:assert/strict';
import { once } from 'node:events';
import { connect, createServer, type Socket } from 'node:net';
import { describe, it, type TestContext } from 'node:test';
import { setImmediate } from 'node:timers/promises';
import { Worker } from 'node:worker_threads';
import type { Pace } from '../../../src/dataplane/flow.ts';
import { ReadTurns, TURN_BYTES } from '../../../src/dataplane/read-turns.ts';
import { Splice } from '../../../src/dataplane/splice.ts';
import type { Timeouts } from '../../../src/domain/model.ts';
import { monotonicMs } from '../../../src/shared/clock.ts';

const DAY_MS = 86_400_000;

/** A thread that sends as fast as it can: it shares no turns with the splice. */
const POUR = `
  const { workerData } = require('node:worker_threads');
  const socket = require('node:net').connect(workerData.port, '127.0.0.1');
  const chunk = Buffer.alloc(1024 * 1024);
  let left = workerData.total;
  const fill = () => {
    for (; left > 0; left -= chunk.length) if (!socket.write(chunk)) { left -= chunk.length; return; }
    socket.end();
  };
  socket.on('drain', fill);
  socket.resume();
  fill();
`;
const POURED = 64 * 1024 * 1024;

const atOnce: Pace = (_direction, bytes, pass) => {
  pass(bytes);
  return undefined;
};

/** Both ends of one TCP connection on loopback. */
async function socketPair(t: TestContext): Promise<{ near: Socket; far: Socket }> {
  const server = createServer({ allowHalfOpen: true }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  const address = server.address();
  assert.ok(address !== null && typeof address === 'object');
  const near = connect({ port: address.port, host: '127.0.0.1', allowHalfOpen: true });
  const [far] = await once(server, 'connection');
  if (near.connecting) await once(near, 'connect');
  server.close();
  t.after(() => {
    near.destroy();
    far.destroy();
  });
  far.on('error', () => undefined);
  return { near, far };
}

interface Spliced {
  readonly client: Socket;
  readonly upstream: Socket;
  /** Of the balancer's own side. */
  readonly ownUpstream: Socket;
  readonly ownClient: Socket;
  readonly splice: Splice;
  readonly bytes: { up: number; down: number };
}

async function spliced(t: TestContext, timeouts: Partial<Timeouts> = {}): Promise<Spliced> {
  const [one, other] = await Promise.all([socketPair(t), socketPair(t)]);
  const bytes = { up: 0, down: 0 };
  const splice = new Splice({
    client: one.near,
    upstream: other.near,
    timeouts: { idleMs: DAY_MS, halfCloseMs: DAY_MS, maxDurationMs: undefined, ...timeouts },
    nowMs: monotonicMs,
    resetClient: () => one.near.resetAndDestroy(),
    pace: atOnce,
    turns: new ReadTurns(),
    onBytes: (direction, count) => {
      bytes[direction === 'upload' ? 'up' : 'down'] += count;
    },
  });
  return { client: one.far, upstream: other.far, ownClient: one.near, ownUpstream: other.near, splice, bytes };
}

/** Writes until the system takes no more and a little is left in this process: less than makes write() say that it is enough. */
async function fill(socket: Socket): Promise<void> {
  for (;;) {
    socket.write(Buffer.alloc(4096));
    for (let turn = 0; turn < 5 && socket.writableLength > 0; turn++) await setImmediate();
    if (socket.writableLength > 0) break;
  }
  assert.ok(socket.writableLength < socket.writableHighWaterMark);
}

describe('a splice', () => {
  it('passes an end on that came before it began', async (t) => {
    const { client, upstream, ownClient, splice } = await spliced(t);
    client.end();
    await once(ownClient, 'end');
    const ended = once(upstream, 'end');
    const reason = splice.run();
    upstream.resume();
    await ended;
    upstream.end('answer');
    const [answer] = await once(client, 'data');
    assert.equal(String(answer), 'answer');
    assert.equal(await reason, 'client_closed');
  });

  it('does not wait for ever for a server that never reads the last words of a client that is gone', async (t) => {
    t.mock.timers.enable({ apis: ['setTimeout'] });
    const { client, upstream, ownClient, ownUpstream, splice, bytes } = await spliced(t, { halfCloseMs: 200 });
    upstream.pause();
    await fill(ownUpstream);
    const reason = splice.run();
    client.end('last words');
    await once(client, 'finish');
    while (!ownUpstream.writableEnded) await setImmediate();
    client.resetAndDestroy();
    // The one finds out that the other is gone when it writes.
    while (!ownClient.destroyed) {
      upstream.write('x');
      await setImmediate();
    }
    t.mock.timers.tick(200);
    assert.equal(await reason, 'client_closed');
    assert.equal(bytes.up, 10);
    assert.ok(ownUpstream.destroyed);
  });

  it('does not wait for ever for a client that never reads the last words of a server that is gone', async (t) => {
    const { client, upstream, ownClient, splice, bytes } = await spliced(t, { halfCloseMs: 50 });
    client.pause();
    await fill(ownClient);
    const reason = splice.run();
    upstream.write('last words');
    while (bytes.down === 0) await setImmediate();
    upstream.resetAndDestroy();
    assert.equal(await reason, 'upstream_reset');
    assert.ok(ownClient.destroyed);
  });

  it('still delivers what a server said before it ended, when its socket fails afterwards', async (t) => {
    const { client, upstream, ownClient, splice } = await spliced(t);
    client.pause();
    await fill(ownClient);
    const filled = ownClient.bytesWritten;
    const reason = splice.run();
    upstream.end('last words');
    while (!ownClient.writableEnded) await setImmediate();
    // It closes without having read: what the client sends now comes back as a reset.
    upstream.destroy();
    client.write('are you there?');
    const chunks: Buffer[] = [];
    for (let sent = 0; sent < 10; sent++) await setImmediate();
    client.on('data', (chunk: Buffer) => chunks.push(chunk));
    client.resume();
    await once(client, 'end');
    client.end();
    const received = Buffer.concat(chunks);
    assert.equal(received.subarray(-10).toString(), 'last words');
    assert.equal(received.length, filled + 10);
    assert.equal(await reason, 'upstream_closed');
  });

  it('keeps the first reason it was closed for', async (t) => {
    const { client, splice } = await spliced(t);
    const reason = splice.run();
    splice.close('killed_by_admin');
    splice.close('shutdown');
    client.resume();
    assert.equal(await reason, 'killed_by_admin');
  });

  it('notices a side that was gone before it began', async (t) => {
    const { upstream, ownClient, splice } = await spliced(t);
    ownClient.destroy();
    await once(ownClient, 'close');
    const gone = new Promise((resolve) => upstream.on('error', resolve));
    const reason = splice.run();
    upstream.resume();
    await gone;
    assert.equal(await reason, 'client_reset');
  });

  it('lets others have their turn, however much one side sends', async (t) => {
    const server = createServer({ allowHalfOpen: true }).listen(0, '127.0.0.1');
    await once(server, 'listening');
    const address = server.address();
    assert.ok(address !== null && typeof address === 'object');
    const pouring = new Worker(POUR, { eval: true, workerData: { port: address.port, total: POURED } });
    const [client] = await once(server, 'connection');
    server.close();
    const { near, far } = await socketPair(t);
    far.resume();
    let passed = 0;
    const splice = new Splice({
      client,
      upstream: near,
      timeouts: { idleMs: DAY_MS, halfCloseMs: DAY_MS, maxDurationMs: undefined },
      nowMs: monotonicMs,
      resetClient: () => client.resetAndDestroy(),
      onBytes: (direction, count) => {
        if (direction === 'upload') passed += count;
      },
      pace: atOnce,
      turns: new ReadTurns(),
    });
    const ended = splice.run();
    let most = 0;
    for (let before = 0; passed < POURED; before = passed) {
      await setImmediate();
      most = Math.max(most, passed - before);
    }
    // What is read before the pause holds is a chunk or two more.
    assert.ok(most <= TURN_BYTES + 2 * 64 * 1024, `${most} bytes in one turn`);
    far.end();
    assert.equal(await ended, 'client_closed');
    await pouring.terminate();
  });
});
