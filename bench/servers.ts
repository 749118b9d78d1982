/**
 * The program of the plain TCP servers behind the balancers: COUNT addresses on loopback, one port. Linux answers on all of
 * 127.0.0.0/8, so ten thousand servers need no ports of anybody else.
 */
import { once } from 'node:events';
import { createServer, type Socket } from 'node:net';
import { LENGTH_BYTES, MODES, type ServersReady } from './messages.ts';

const CHUNK = Buffer.alloc(65_536, 'x');

/** One connection, from its mode's byte on. */
class Served {
  readonly #socket: Socket;
  #mode: string | undefined;
  #length = Buffer.alloc(0);
  #left = 0;

  constructor(socket: Socket) {
    this.#socket = socket;
  }

  receive(chunk: Buffer): void {
    if (this.#mode === undefined) {
      this.#mode = String.fromCharCode(chunk[0] ?? 0);
      this.#socket.write(this.#mode);
      if (chunk.length > 1) this.receive(chunk.subarray(1));
    } else if (this.#mode === MODES.echo) this.#socket.write(Buffer.from(chunk));
    else if (this.#mode === MODES.upload) this.#swallow(chunk);
    else this.#request(chunk);
  }

  #request(chunk: Buffer): void {
    this.#length = Buffer.concat([this.#length, chunk]);
    if (this.#length.length < LENGTH_BYTES) return;
    this.#left = Number(this.#length.readBigUInt64BE());
    this.#length = this.#length.subarray(LENGTH_BYTES);
    this.send();
  }

  /** Until the socket is full; `drain` goes on. */
  send(): void {
    while (this.#left > 0) {
      const size = Math.min(this.#left, CHUNK.length);
      this.#left -= size;
      if (!this.#socket.write(CHUNK.subarray(0, size))) return;
    }
  }

  #swallow(chunk: Buffer): void {
    if (this.#left > 0) {
      this.#left -= chunk.length;
      if (this.#left === 0) this.#socket.write('.');
      return;
    }
    this.#length = Buffer.concat([this.#length, chunk]);
    if (this.#length.length < LENGTH_BYTES) return;
    this.#left = Number(this.#length.readBigUInt64BE());
    const rest = this.#length.subarray(LENGTH_BYTES);
    this.#length = Buffer.alloc(0);
    if (rest.length > 0) this.#swallow(rest);
  }
}

/** `0` lets the system choose. @throws Error when the address is taken. */
async function listen(host: string, port: number): Promise<number> {
  const server = createServer({ noDelay: true, highWaterMark: 262_144 }, (socket) => {
    const served = new Served(socket);
    socket.on('data', (chunk: Buffer) => served.receive(chunk));
    socket.on('drain', () => served.send());
    socket.on('error', () => undefined);
  });
  server.listen({ host, port, backlog: 4096 });
  await once(server, 'listening');
  const address = server.address();
  return typeof address === 'object' && address !== null ? address.port : 0;
}

const count = Number(process.argv[2] ?? '1');
const port = await listen('127.0.0.1', 0);
const hosts = Array.from({ length: count }, (_, index) => (index === 0 ? '127.0.0.1' : `127.1.${index >> 8}.${index & 255}`));
for (const host of hosts.slice(1)) await listen(host, port);
const ready: ServersReady = { addresses: hosts.map((host) => `${host}:${port}`) };
process.send?.(ready);
process.once('disconnect', () => process.exit(0));
