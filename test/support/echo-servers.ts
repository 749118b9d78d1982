/** Upstream servers for tests: small TCP programs, each with one habit. They listen on loopback and end with their test. */
import { createHash, type Hash } from 'node:crypto';
import { once } from 'node:events';
import { createServer, type Socket } from 'node:net';
import type { TestContext } from 'node:test';

type Cleanup = Pick<TestContext, 'after'>;

export interface TestUpstream {
  readonly port: number;
  /** `host:port` */
  readonly address: string;
  /** Connections accepted since the start. */
  readonly accepted: number;
  /** Connections open now. */
  readonly open: number;
  /** Resolves once `count` connections have been accepted in all. */
  acceptedAtLeast(count: number): Promise<void>;
  /** Resolves once no connection is open. */
  idle(): Promise<void>;
  /** Resets every open connection, and goes on accepting. */
  resetAll(): void;
  /** The port refuses connections from now on; those that are open go on. */
  stopAccepting(): void;
  /** Stops accepting and resets what is open; the port then refuses connections. */
  close(): Promise<void>;
}

export interface UpstreamOptions {
  /** 0 unless told: a server that comes back on its old port. */
  readonly port?: number;
  /** An address of loopback, 127.0.0.1 unless told: on another one, a port that was given up is not soon another's. */
  readonly host?: string;
}

/** An upstream that does `serve` with each connection. Sockets are half-open aware: `serve` ends its own side. */
export async function startUpstream(
  t: Cleanup,
  serve: (socket: Socket) => void,
  { port = 0, host = '127.0.0.1' }: UpstreamOptions = {},
): Promise<TestUpstream> {
  const sockets = new Set<Socket>();
  let accepted = 0;
  const waiting = new Set<() => void>();
  const changed = () => {
    for (const look of waiting) look();
  };
  const until = (condition: () => boolean) =>
    new Promise<void>((resolve) => {
      const look = () => {
        if (!condition()) return;
        waiting.delete(look);
        resolve();
      };
      waiting.add(look);
      look();
    });
  const server = createServer({ allowHalfOpen: true }, (socket) => {
    accepted++;
    sockets.add(socket);
    // A reset is what some tests do to this server; the close that follows is all it needs to know.
    socket.on('error', () => undefined);
    socket.on('close', () => {
      sockets.delete(socket);
      changed();
    });
    serve(socket);
    changed();
  });
  server.listen(port, host);
  await once(server, 'listening');
  const address = server.address();
  if (address === null || typeof address === 'string') throw new Error('a TCP server has an address and a port');

  const resetAll = () => {
    for (const socket of sockets) {
      // libuv refuses to reset a socket that is being shut down, and Node.js then leaves it open for ever.
      if (socket.writableEnded) socket.destroy();
      else socket.resetAndDestroy();
    }
  };
  const closed = once(server, 'close');
  const close = async () => {
    if (server.listening) server.close();
    resetAll();
    await closed;
  };
  t.after(close);
  return {
    port: address.port,
    address: `${host}:${address.port}`,
    get accepted() {
      return accepted;
    },
    get open() {
      return sockets.size;
    },
    acceptedAtLeast: (count) => until(() => accepted >= count),
    idle: () => until(() => sockets.size === 0),
    resetAll,
    stopAccepting: () => void server.close(),
    close,
  };
}

/** Sends back what it gets, and ends when its peer has. */
export function echoServer(t: Cleanup, options?: UpstreamOptions): Promise<TestUpstream> {
  return startUpstream(t, (socket) => socket.pipe(socket), options);
}

/** Speaks first, as SSH and MySQL do, then echoes. */
export function bannerServer(t: Cleanup, banner: string, options?: UpstreamOptions): Promise<TestUpstream> {
  return startUpstream(
    t,
    (socket) => {
      socket.write(banner);
      socket.pipe(socket);
    },
    options,
  );
}

/** Answers the first bytes it gets with an HTTP response whose body is `name`, and ends. */
export function namedServer(t: Cleanup, name: string, options?: UpstreamOptions): Promise<TestUpstream> {
  return startUpstream(
    t,
    (socket) => {
      socket.once('data', () =>
        socket.end(`HTTP/1.1 200 OK\r\ncontent-length: ${Buffer.byteLength(name)}\r\nconnection: close\r\n\r\n${name}`),
      );
      socket.once('end', () => socket.end());
    },
    options,
  );
}

/** Accepts and never reads, so that whoever writes to it is held up. */
export function blackholeServer(t: Cleanup, options?: UpstreamOptions): Promise<TestUpstream> {
  return startUpstream(t, (socket) => socket.pause(), options);
}

/** Resets each connection once it has received `afterBytes` (0: at once). */
export function resettingServer(
  t: Cleanup,
  { afterBytes = 0, ...options }: UpstreamOptions & { readonly afterBytes?: number } = {},
): Promise<TestUpstream> {
  return startUpstream(
    t,
    (socket) => {
      let received = 0;
      if (afterBytes === 0) socket.resetAndDestroy();
      socket.on('data', (chunk) => {
        received += chunk.length;
        if (received >= afterBytes) socket.resetAndDestroy();
      });
    },
    options,
  );
}

/** Says nothing until its peer has half-closed; then answers with everything it got, and ends. */
export function replyAfterEndServer(t: Cleanup, options?: UpstreamOptions): Promise<TestUpstream> {
  return startUpstream(
    t,
    (socket) => {
      const chunks: Buffer[] = [];
      socket.on('data', (chunk: Buffer) => chunks.push(chunk));
      socket.on('end', () => socket.end(Buffer.concat(chunks)));
    },
    options,
  );
}

/** Ends its own side at once with `farewell`, and goes on reading; `received()` is what all connections sent, in order of arrival. */
export async function halfClosingServer(
  t: Cleanup,
  farewell: string,
  options?: UpstreamOptions,
): Promise<TestUpstream & { readonly received: () => string; readonly peerEnded: Promise<void> }> {
  const chunks: Buffer[] = [];
  const { promise: peerEnded, resolve } = Promise.withResolvers<void>();
  const upstream = await startUpstream(
    t,
    (socket) => {
      socket.end(farewell);
      socket.on('data', (chunk: Buffer) => chunks.push(chunk));
      socket.on('end', resolve);
    },
    options,
  );
  return Object.assign(upstream, { received: () => Buffer.concat(chunks).toString(), peerEnded });
}

/** What one connection of a hash sink brought: its bytes and their SHA-256 in hex. */
export interface Sunk {
  readonly bytes: number;
  readonly sha256: string;
}

/** Reads each connection to its end, answers `BYTES SHA256\n`, and ends. */
export function hashSinkServer(t: Cleanup, options?: UpstreamOptions): Promise<TestUpstream> {
  return startUpstream(
    t,
    (socket) => {
      const hash: Hash = createHash('sha256');
      let bytes = 0;
      socket.on('data', (chunk: Buffer) => {
        hash.update(chunk);
        bytes += chunk.length;
      });
      socket.on('end', () => socket.end(`${bytes} ${hash.digest('hex')}\n`));
    },
    options,
  );
}

/** Reads the answer of {@link hashSinkServer}. */
export function parseSunk(answer: string): Sunk {
  const match = /^(?<bytes>\d+) (?<sha256>[\da-f]{64})\n$/.exec(answer);
  if (match?.groups === undefined) throw new Error(`not an answer of the hash sink: ${JSON.stringify(answer)}`);
  return { bytes: Number(match.groups['bytes']), sha256: match.groups['sha256'] ?? '' };
}
