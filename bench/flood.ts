/** What one client can do to a balancer, as a thread of its own: each flood is bounded in how much it holds, and ends when it is told. */
import { connect as connectTcp, createServer, type Socket } from 'node:net';
import { type ConnectionOptions, connect } from 'node:tls';
import { parentPort } from 'node:worker_threads';

export const FLOODS = ['handshakes', 'connections', 'bytes', 'half-open', 'slow reads'] as const;
export type Flood = (typeof FLOODS)[number];

export interface FloodOrder {
  readonly port: number;
  readonly tls: ConnectionOptions;
}

/** Where it comes from: another address of loopback than the client that is measured. */
const FROM = '127.0.0.2';
/** Of each kind at a time. */
const AT_A_TIME: Readonly<Record<Flood, number>> = { handshakes: 8, connections: 200, bytes: 4, 'half-open': 200, 'slow reads': 50 };
/** One that was refused, or has ended, comes again after this long: a flood that does not wait measures the flooder. */
const AGAIN_MS = 2;
const CHUNK = Buffer.alloc(64 * 1024);

class Flooder {
  readonly #order: FloodOrder;
  readonly #sockets = new Set<Socket>();
  #running: Flood | undefined;

  constructor(order: FloodOrder) {
    this.#order = order;
  }

  start(flood: Flood): void {
    this.#running = flood;
    for (let count = 0; count < AT_A_TIME[flood]; count++) this.#attack(flood);
  }

  stop(): void {
    this.#running = undefined;
    for (const socket of this.#sockets) socket.destroy();
  }

  #attack(flood: Flood): void {
    if (this.#running !== flood) return;
    const tcp = connectTcp({ port: this.#order.port, host: '127.0.0.1', localAddress: FROM });
    this.#sockets.add(tcp);
    tcp.on('error', () => undefined);
    tcp.on('close', () => {
      this.#sockets.delete(tcp);
      setTimeout(() => this.#attack(flood), AGAIN_MS);
    });
    if (flood === 'half-open') return;
    const socket = connect({ ...this.#order.tls, socket: tcp });
    socket.on('error', () => undefined);
    socket.on('secureConnect', () => this.#secured(flood, socket));
  }

  #secured(flood: Flood, socket: Socket): void {
    if (flood === 'handshakes') socket.destroy();
    else if (flood === 'bytes') {
      socket.resume();
      const fill = () => {
        while (!socket.destroyed && socket.write(CHUNK));
      };
      socket.on('drain', fill);
      fill();
    } else if (flood === 'slow reads') {
      socket.pause();
      // The server echoes it, and nobody takes it.
      for (let chunk = 0; chunk < 16; chunk++) socket.write(CHUNK);
    } else socket.resume();
  }
}

if (parentPort !== null) {
  const port = parentPort;
  // The flood's own server, so that the measured client's has nothing to do with it.
  const echo = createServer((socket) => {
    socket.on('error', () => undefined);
    socket.pipe(socket);
  });
  echo.listen(0, '127.0.0.1', () => {
    const address = echo.address();
    port.postMessage(typeof address === 'object' ? address?.port : undefined);
  });
  let flooder: Flooder | undefined;
  // bench/isolation.ts is the only one that starts it.
  port.on('message', (message: FloodOrder | Flood | 'stop') => {
    if (typeof message === 'object') flooder = new Flooder(message);
    else if (message === 'stop') flooder?.stop();
    else flooder?.start(message);
  });
}
