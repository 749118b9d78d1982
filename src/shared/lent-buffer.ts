/**
 * Reads of plain sockets that need no buffer of their own: a thread reads all of them into one. What this relies on inside Node.js is
 * here alone, and {@link tlsTakesAtOnce} tries it out.
 */
import { connect, type Socket, type TcpNetConnectOpts } from 'node:net';
import { duplexPair } from 'node:stream';
import { connect as connectTls, createServer, TLSSocket } from 'node:tls';

/** As large as what Node.js reads at once from any socket. */
const LENT = Buffer.allocUnsafeSlow(64 * 1024);

/**
 * Connects as net.connect does; the chunk of a `data` event is lent, and overwritten once its listeners have returned. The socket is
 * paused: it reads, and ends, when resume() is called.
 */
export function connectLending(options: TcpNetConnectOpts): Socket {
  const callback = (bytes: number): boolean => {
    socket.emit('data', LENT.subarray(0, bytes));
    return true;
  };
  const socket = connect({ ...options, onread: { buffer: LENT, callback } });
  return socket.pause();
}

/** The chunk for keeps: a copy if it is lent. */
export function kept(chunk: Buffer): Buffer {
  return chunk.buffer === LENT.buffer ? Buffer.from(chunk) : chunk;
}

/**
 * Writes a chunk that may be lent. What a TLS socket need not queue it has encrypted, or copied, when write() returns. What is queued,
 * and what a plain socket could not send at once, Node.js holds by reference.
 */
export function writeLent(to: Socket, chunk: Buffer): void {
  to.write(to instanceof TLSSocket && to.writableLength === 0 ? chunk : kept(chunk));
}

const TRIAL_MS = 10_000;

/** Whether {@link writeLent} may rely on TLS sockets: tried with one, in memory. */
export async function tlsTakesAtOnce(): Promise<boolean> {
  const { promise, resolve } = Promise.withResolvers<boolean>();
  const [near, far] = duplexPair();
  const psk = Buffer.alloc(16);
  // Without certificates: what is tried is the same in every version.
  const settings = { ciphers: 'PSK', maxVersion: 'TLSv1.2' } as const;
  const server = createServer({ ...settings, pskCallback: () => psk }, (writer) => {
    writer.on('error', fail);
    const chunk = Buffer.alloc(LENT.length, 'a');
    writer.write(chunk);
    chunk.fill('b');
    writer.end();
  });
  const fail = () => resolve(false);
  server.on('tlsClientError', fail).emit('connection', near);
  const pskCallback = () => ({ psk, identity: 'trial' });
  const reader = connectTls({ socket: far, ...settings, pskCallback, checkServerIdentity: () => undefined });
  const chunks: Buffer[] = [];
  reader.on('error', fail).on('data', (chunk: Buffer) => chunks.push(chunk));
  reader.once('end', () => resolve(Buffer.concat(chunks).equals(Buffer.alloc(LENT.length, 'a'))));
  const deadline = setTimeout(fail, TRIAL_MS).unref();
  return promise.finally(() => {
    clearTimeout(deadline);
    near.destroy();
    reader.destroy();
  });
}
