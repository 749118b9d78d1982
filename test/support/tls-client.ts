/** A TLS client for tests that knows exactly how its connection ended. */
import { connect as connectTcp, type Socket } from 'node:net';
import type { TestContext } from 'node:test';
import { type ConnectionOptions, connect, type TLSSocket } from 'node:tls';
import type { KeyAndCertificate } from '../../certs/issuing.ts';

export interface TlsClientOptions {
  readonly port: number;
  /** 127.0.0.1 unless told. */
  readonly host?: string;
  /** PEM of the root that must have signed the server's certificate. */
  readonly ca: string;
  /** undefined: the client offers no certificate. */
  readonly certificate?: KeyAndCertificate | undefined;
  /** `localhost` unless told; an empty string sends no SNI. */
  readonly servername?: string;
  readonly alpn?: readonly string[];
  /** Reads nothing until `client.socket.resume()`. */
  readonly paused?: boolean;
  /** The client's own side stays open after the server has ended its. */
  readonly halfOpen?: boolean;
  /** Anything else of tls.connect: versions, ciphers, a session to resume. */
  readonly tls?: ConnectionOptions;
}

/** `closed`: a FIN, with or without a TLS close. `reset`: a TCP RST. `alert`: OpenSSL's code for what the server said. */
export type Ending = { readonly how: 'closed' } | { readonly how: 'reset' } | { readonly how: 'alert' | 'failed'; readonly code: string };

export interface TlsClient {
  readonly socket: TLSSocket;
  /** The connection below, for a reset. */
  readonly tcp: Socket;
  /** The handshake is complete on this side; with TLS 1.3 the server may still refuse. Rejects when it failed. */
  readonly secured: Promise<void>;
  /** How the connection ended. Never rejects. */
  readonly ending: Promise<Ending>;
  /** What has arrived so far. */
  received(): Buffer;
  /** Waits until what has arrived includes `text`, and returns all of it. Rejects when the connection ends before. */
  readUntil(text: string): Promise<string>;
  /** Waits for the end, and returns all that arrived. Rejects when it was not a plain close. */
  readAll(): Promise<Buffer>;
}

/** Connects at once; wait for `secured`, or for `ending` when it is to be refused. The socket is destroyed with the test. */
export function tlsClient(t: Pick<TestContext, 'after'>, options: TlsClientOptions): TlsClient {
  const { port, host = '127.0.0.1', ca, certificate, servername = 'localhost', alpn, paused = false, halfOpen = false } = options;
  const tcp = connectTcp({ port, host, allowHalfOpen: halfOpen });
  const socket = connect({
    socket: tcp,
    ca,
    servername,
    ...(certificate === undefined ? {} : { cert: certificate.certPem, key: certificate.keyPem }),
    ...(alpn === undefined ? {} : { ALPNProtocols: [...alpn] }),
    ...(servername === '' ? { checkServerIdentity: () => undefined } : {}),
    ...options.tls,
  });
  t.after(() => socket.destroy());

  const chunks: Buffer[] = [];
  const received = () => Buffer.concat(chunks);
  const arrivals = new Set<() => void>();
  socket.on('data', (chunk: Buffer) => {
    chunks.push(chunk);
    for (const look of arrivals) look();
  });
  if (paused) socket.pause();

  let failure: Error | undefined;
  socket.on('error', (error) => {
    failure ??= error;
  });
  const ending = new Promise<Ending>((resolve) => socket.once('close', () => resolve(endingOf(failure))));
  const secured = new Promise<void>((resolve, reject) => {
    socket.once('secureConnect', () => resolve());
    void ending.then((end) => reject(failure ?? new Error(`the connection was ${end.how} before the handshake was complete`)));
  });
  // Whoever waits for the ending alone has not asked about the handshake.
  secured.catch(() => undefined);

  return {
    socket,
    tcp,
    secured,
    ending,
    received,
    readUntil: (text) =>
      new Promise((resolve, reject) => {
        const look = () => {
          const arrived = received().toString();
          if (!arrived.includes(text)) return;
          arrivals.delete(look);
          resolve(arrived);
        };
        arrivals.add(look);
        look();
        void ending.then((end) =>
          reject(new Error(`${describe(end)} before ${JSON.stringify(text)} arrived, after ${JSON.stringify(received().toString())}`)),
        );
      }),
    readAll: async () => {
      const end = await ending;
      if (end.how !== 'closed') throw new Error(`${describe(end)} after ${received().length} bytes`);
      return received();
    },
  };
}

function describe(ending: Ending): string {
  return 'code' in ending ? `the connection ended with ${ending.code}` : `the connection was ${ending.how}`;
}

function endingOf(error: Error | undefined): Ending {
  if (error === undefined) return { how: 'closed' };
  const code = 'code' in error && typeof error.code === 'string' ? error.code : error.message;
  // Node also says ECONNRESET, without a system call, for a plain FIN during the handshake.
  const fromSystem = 'syscall' in error;
  if ((code === 'ECONNRESET' && fromSystem) || code === 'EPIPE') return { how: 'reset' };
  if (code === 'ECONNRESET') return { how: 'closed' };
  return { how: code.startsWith('ERR_SSL_') ? 'alert' : 'failed', code };
}
