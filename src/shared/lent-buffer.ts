/**
 * Reads that need no buffer of their own: a thread reads all its sockets into one, and passes on what it read before it reads again. What
 * this relies on inside Node.js is in hidden-node.ts, and {@link tryLending} tries it out.
 */
import { connect, type Socket, type TcpNetConnectOpts } from 'node:net';
import { duplexPair } from 'node:stream';
import { connect as connectTls, createServer, TLSSocket } from 'node:tls';
import { readInto } from './hidden-node.ts';

/** Twice what Node.js reads at once from other sockets, and no more than TLS sends at once: bytes in larger pieces cost less. */
const LENT = Buffer.allocUnsafeSlow(128 * 1024);

/** The longest record of TLS (RFC 8446, section 5.1), and so the longest read of a TLS socket. A sender in full flow fills its records. */
const RECORD_BYTES = 16 * 1024;

/** What is read into the lent buffer and goes to a plain socket is sent from here. */
let sending = Buffer.allocUnsafeSlow(LENT.length);

/** Records of one TLS socket that are given on together. */
let gathered = Buffer.allocUnsafeSlow(LENT.length);
let gatheredBytes = 0;
/** Gives on what is gathered; undefined: nothing is. */
let giveOn: (() => void) | undefined;
let willGiveOn = false;

let works = false;

/**
 * Connects as net.connect does; the chunk of a `data` event is lent, and overwritten once its listeners have returned. The socket is
 * paused: it reads, and ends, when resume() is called.
 */
export function connectLending(options: TcpNetConnectOpts): Socket {
  if (!works) return connect(options);
  const callback = (bytes: number): boolean => {
    socket.emit('data', LENT.subarray(0, bytes));
    return true;
  };
  const socket = connect({ ...options, onread: { buffer: LENT, callback } });
  return socket.pause();
}

/**
 * From now on, chunks of a socket's `data` events may be lent, as those of {@link connectLending} are: call it in the turn
 * in which they get their listener. A TLS socket that was paused gives on what it had read before, 128 KB at most, unless `isHeld`: then its stream keeps it.
 */
export function lendReads(socket: Socket, isHeld: () => boolean): void {
  if (!works) return;
  if (socket instanceof TLSSocket) readRecords(socket, isHeld);
  else readIntoLent(socket);
}

function readIntoLent(socket: Socket): void {
  readInto(socket, LENT, (bytes) => {
    const chunk = LENT.subarray(0, bytes);
    // What waits in the stream goes first.
    if (socket.readableLength > 0) return socket.push(Buffer.from(chunk));
    socket.emit('data', chunk);
    return true;
  });
}

function readRecords(socket: TLSSocket, isHeld: () => boolean): void {
  const give = () => {
    const chunk = gathered.subarray(0, gatheredBytes);
    gatheredBytes = 0;
    giveOn = undefined;
    if (!socket.destroyed) socket.emit('data', chunk);
  };
  const take = (bytes: number): boolean => {
    // What waits in the stream goes first.
    if (socket.readableLength > 0 || isHeld()) return socket.push(Buffer.from(LENT.subarray(0, bytes)));
    if (giveOn !== give || gatheredBytes + bytes > gathered.length) giveOn?.();
    giveOn = give;
    LENT.copy(gathered, gatheredBytes, 0, bytes);
    gatheredBytes += bytes;
    if (bytes < RECORD_BYTES || gatheredBytes === gathered.length) give();
    else giveOnThisTurn();
    return true;
  };
  if (!readInto(socket, LENT, take)) return;
  socket.prependListener('end', () => {
    if (giveOn === give) give();
  });
}

function giveOnThisTurn(): void {
  if (willGiveOn) return;
  willGiveOn = true;
  setImmediate(() => {
    willGiveOn = false;
    giveOn?.();
  });
}

/** The chunk for keeps: a copy if it is lent. */
export function kept(chunk: Buffer): Buffer {
  return isLent(chunk) ? Buffer.from(chunk) : chunk;
}

function isLent(chunk: Buffer): boolean {
  return chunk.buffer === LENT.buffer || chunk.buffer === gathered.buffer;
}

/**
 * Writes a chunk that may be lent. What a TLS socket need not queue it has encrypted, or copied, when write() returns. What is queued,
 * and what a plain socket could not send at once, Node.js holds by reference.
 */
export function writeLent(to: Socket, chunk: Buffer): void {
  if (!isLent(chunk) || to.writableLength > 0) to.write(kept(chunk));
  else if (to instanceof TLSSocket) to.write(chunk);
  else if (chunk.buffer === gathered.buffer) {
    to.write(chunk);
    if (to.writableLength > 0) gathered = Buffer.allocUnsafeSlow(gathered.length);
  } else {
    to.write(sending.subarray(0, chunk.copy(sending)));
    if (to.writableLength > 0) sending = Buffer.allocUnsafeSlow(sending.length);
  }
}

const TRIAL_MS = 10_000;

/**
 * Tries with one TLS connection, in memory, whether this Node.js reads and writes as the functions of this file rely on. Until it has
 * said true, in each thread, nothing is lent there.
 */
export async function tryLending(): Promise<boolean> {
  const { promise, resolve } = Promise.withResolvers<boolean>();
  const [near, far] = duplexPair();
  const psk = Buffer.alloc(16);
  // Without certificates: what is tried is the same in every version.
  const settings = { ciphers: 'PSK', maxVersion: 'TLSv1.2' } as const;
  const fail = () => resolve(false);
  const server = createServer({ ...settings, pskCallback: () => psk }, (writer) => {
    readRecords(writer, () => false);
    writer.on('error', fail).once('data', (word: Buffer) => {
      if (!isLent(word) || word.toString() !== 'word') return fail();
      const chunk = Buffer.alloc(LENT.length, 'a');
      writer.write(chunk);
      chunk.fill('b');
      writer.end();
    });
  });
  server.on('tlsClientError', fail).emit('connection', near);
  const pskCallback = () => ({ psk, identity: 'trial' });
  const reader = connectTls({ socket: far, ...settings, pskCallback, checkServerIdentity: () => undefined });
  const chunks: Buffer[] = [];
  reader.on('error', fail).on('data', (chunk: Buffer) => chunks.push(chunk));
  reader.once('end', () => resolve(Buffer.concat(chunks).equals(Buffer.alloc(LENT.length, 'a'))));
  reader.write('word');
  const deadline = setTimeout(fail, TRIAL_MS).unref();
  try {
    works = await promise;
    return works;
  } finally {
    clearTimeout(deadline);
    near.destroy();
    reader.destroy();
  }
}
