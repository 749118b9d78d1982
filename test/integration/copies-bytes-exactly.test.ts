import assert from 'node:assert/strict';
import { createCipheriv, createHash } from 'node:crypto';
import { once } from 'node:events';
import type { Socket } from 'node:net';
import { test } from 'node:test';
import { createTestCa } from '../support/certificates.ts';
import { startUpstream } from '../support/echo-servers.ts';
import { startBalancer, uncheckedGroup } from '../support/running-balancer.ts';

const STREAMS = 40;
const BYTES = 400_000;
const LARGEST_CHUNK = 80_000;
const SEED_BYTES = 4;

/** Numbers from 0 up to, not including, 1, the same for the same seed (xorshift32). */
function randomFrom(seed: number): () => number {
  let state = seed * 2_654_435_761 || 1;
  return () => {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    return (state >>> 0) / 2 ** 32;
  };
}

/** The bytes of one stream, in chunks of random sizes: many small ones, some larger than any buffer. */
function* chunksOf(seed: number): Generator<Buffer> {
  const random = randomFrom(seed);
  const cipher = createCipheriv('aes-128-ctr', Buffer.alloc(16, seed), Buffer.alloc(16));
  for (let left = BYTES; left > 0; ) {
    const size = Math.min(left, 1 + Math.floor(LARGEST_CHUNK * random() ** 3));
    left -= size;
    yield cipher.update(Buffer.alloc(size));
  }
}

function digestOf(seed: number): string {
  const hash = createHash('sha256');
  for (const chunk of chunksOf(seed)) hash.update(chunk);
  return hash.digest('hex');
}

async function send(socket: Socket, seed: number): Promise<void> {
  for (const chunk of chunksOf(seed)) if (!socket.write(chunk)) await once(socket, 'drain');
  socket.end();
}

/** Reads to the end, pausing now and then; the SHA-256 of all of it. */
function digest(socket: Socket, seed: number): Promise<string> {
  const random = randomFrom(seed);
  const hash = createHash('sha256');
  return new Promise((resolve, reject) => {
    socket.on('data', (chunk: Buffer) => {
      hash.update(chunk);
      if (random() < 0.8) return;
      socket.pause();
      setTimeout(() => socket.resume(), 5 * random());
    });
    socket.once('end', () => resolve(hash.digest('hex')));
    socket.once('error', reject);
  });
}

test(`${STREAMS} connections at once carry their bytes unchanged both ways, to readers that pause, and count each`, async (t) => {
  const receivedUpstream = new Map<number, Promise<string>>();
  const upstream = await startUpstream(t, (socket) => {
    socket.once('readable', () => {
      const seed: Buffer = socket.read(SEED_BYTES);
      const number = seed.readUInt32BE();
      receivedUpstream.set(number, digest(socket, number));
      void send(socket, number + STREAMS);
    });
  });
  const ca = await createTestCa();
  const certificate = await ca.issue({ cn: 'alice' });
  const balancer = await startBalancer(t, {
    ca,
    config: { targetGroups: [uncheckedGroup('web', [upstream.address])], clients: [{ clientId: 'alice', allowedTargetGroup: 'web' }] },
  });

  await Promise.all(
    Array.from({ length: STREAMS }, async (_, index) => {
      const number = index + 1;
      const { socket, secured } = balancer.connect(t, { certificate, halfOpen: true });
      await secured;
      const seed = Buffer.alloc(SEED_BYTES);
      seed.writeUInt32BE(number);
      socket.write(seed);
      const received = digest(socket, number);
      await send(socket, number);
      assert.equal(await received, digestOf(number + STREAMS), `from the server, stream ${number}`);
      assert.equal(await receivedUpstream.get(number), digestOf(number), `from the client, stream ${number}`);
    }),
  );

  for (const line of await balancer.nextLines(STREAMS)) {
    assert.match(line.reason, /^(client|upstream)_closed$/);
    assert.partialDeepStrictEqual(line, { bytesUp: SEED_BYTES + BYTES, bytesDown: BYTES });
  }
  assert.partialDeepStrictEqual(balancer.lb.stats.server('web', upstream.address), {
    active: 0,
    connected: STREAMS,
    bytesToUpstream: STREAMS * (SEED_BYTES + BYTES),
    bytesFromUpstream: STREAMS * BYTES,
  });
  balancer.assertIdle();
});
