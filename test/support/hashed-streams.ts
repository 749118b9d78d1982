/** Traffic that notices every lost byte: streams of random chunks to a {@link hashSinkServer}, which says what it has got. */
import { createHash, randomBytes, randomInt } from 'node:crypto';
import { once } from 'node:events';
import type { TestContext } from 'node:test';
import type { KeyAndCertificate } from '../../certs/issuing.ts';
import type { ReadyDaemon } from './daemon.ts';
import { connectTo } from './daemon-clients.ts';
import { parseSunk } from './echo-servers.ts';
import type { TlsClient } from './tls-client.ts';

export interface HashedStreams {
  /** Streams that came through so far, the short ones. */
  readonly finished: number;
  /** Resolves once so many more short ones have come through from now, or one has failed. */
  finishedMore(count: number): Promise<void>;
  /** Begins no more short streams, sends the long ones to their end, and says how it went. */
  stop(): Promise<{ readonly finished: number; readonly failures: readonly string[] }>;
}

/**
 * `short` clients, each with one short stream after the other, and `long` ones that send a chunk whenever a short stream has come
 * through. `where` is asked before each connection: whom it trusts, and which port, may change on the way.
 */
export async function startHashedStreams(
  t: Pick<TestContext, 'after'>,
  where: () => Pick<ReadyDaemon, 'port' | 'ca'>,
  certificate: () => KeyAndCertificate,
  { short, long }: { readonly short: number; readonly long: number },
): Promise<HashedStreams> {
  let running = true;
  let finished = 0;
  const failures: string[] = [];
  const waiting = new Set<() => void>();
  const changed = () => {
    for (const look of waiting) look();
  };
  // Each cleans up itself: a test that makes thousands must not collect thousands.
  const done = { after: () => undefined };
  const attempt = async (what: string, run: () => Promise<void>) => {
    try {
      await run();
    } catch (error) {
      failures.push(`${what}: ${error instanceof Error ? error.message : String(error)}`);
      changed();
    }
  };
  const shortLoop = async () => {
    while (running) {
      await attempt('short stream', async () => {
        const stream = new HashedStream(connectTo(done, where(), certificate()));
        for (let chunks = randomInt(1, 6); chunks > 0; chunks--) await stream.send(randomInt(1, 30_000));
        await stream.finish();
        finished++;
        changed();
      });
    }
  };
  const opened = await Promise.all(
    Array.from({ length: long }, async () => {
      const client = connectTo(t, where(), certificate());
      await client.secured;
      return new HashedStream(client);
    }),
  );
  const pump = () => {
    for (const stream of opened) void stream.send(randomInt(1, 5_000)).catch(() => undefined);
  };
  waiting.add(pump);
  const loops = Promise.all(Array.from({ length: short }, shortLoop));
  let stopped: Promise<{ readonly finished: number; readonly failures: readonly string[] }> | undefined;
  const stop = async () => {
    running = false;
    await loops;
    waiting.delete(pump);
    await Promise.all(opened.map((stream) => attempt('long stream', () => stream.finish())));
    return { finished, failures };
  };
  t.after(() => {
    running = false;
  });
  return {
    get finished() {
      return finished;
    },
    finishedMore: (count) =>
      new Promise((resolve) => {
        const target = finished + count;
        const look = () => {
          if (finished < target && failures.length === 0) return;
          waiting.delete(look);
          resolve();
        };
        waiting.add(look);
        look();
      }),
    stop: () => (stopped ??= stop()),
  };
}

/** One stream, and what has been sent on it. */
export class HashedStream {
  readonly client: TlsClient;
  readonly #hash = createHash('sha256');
  #bytes = 0;

  constructor(client: TlsClient) {
    this.client = client;
  }

  /** Sends so many random bytes; resolves when there is room for more. @throws when the connection ends before */
  async send(size: number): Promise<void> {
    const chunk = randomBytes(size);
    this.#hash.update(chunk);
    this.#bytes += size;
    const { socket, ending } = this.client;
    if (socket.write(chunk)) return;
    const room = new AbortController();
    await Promise.race([once(socket, 'drain', { signal: room.signal }), ending.then((end) => Promise.reject(new Error(end.how)))]).finally(
      () => room.abort(),
    );
  }

  /** Ends the stream. @throws when the server has got anything else than what was sent */
  async finish(): Promise<void> {
    this.client.socket.end();
    const sunk = parseSunk(String(await this.client.readAll()));
    const sha256 = this.#hash.digest('hex');
    if (sunk.bytes !== this.#bytes || sunk.sha256 !== sha256) throw new Error(`${this.#bytes} bytes were sent, ${sunk.bytes} arrived`);
  }
}
