/** Streams of random chunks, told by a number, to readers that pause: what arrives is hashed. */
import { createCipheriv, createHash } from 'node:crypto';
import { once } from 'node:events';
import type { Socket } from 'node:net';

/** How long each stream is. */
export const STREAM_BYTES = 400_000;
const LARGEST_CHUNK = 80_000;

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
  for (let left = STREAM_BYTES; left > 0; ) {
    const size = Math.min(left, 1 + Math.floor(LARGEST_CHUNK * random() ** 3));
    left -= size;
    yield cipher.update(Buffer.alloc(size));
  }
}

/** The SHA-256 of the whole stream. */
export function digestOf(seed: number): string {
  const hash = createHash('sha256');
  for (const chunk of chunksOf(seed)) hash.update(chunk);
  return hash.digest('hex');
}

/** Sends the stream, and ends. */
export async function send(socket: Socket, seed: number): Promise<void> {
  for (const chunk of chunksOf(seed)) if (!socket.write(chunk)) await once(socket, 'drain');
  socket.end();
}

/** Reads to the end, pausing now and then; the SHA-256 of all of it. */
export function digest(socket: Socket, seed: number): Promise<string> {
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
