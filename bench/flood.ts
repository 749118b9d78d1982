/** What one client can do to a balancer, as a process of its own: each flood is bounded in how much it holds, and ends when it is told. */
import { once } from 'node:events';
import { connect as connectTcp, createServer, type Socket } from 'node:net';
import { connect } from 'node:tls';
import type { Flood, FlooderReady, FloodOrder } from './floods.ts';

/** Where it comes from: another address of loopback than the client that is measured. */
const FROM = '127.0.0.2';
/** Of each kind at a time. */
const AT_A_TIME: Readonly<Record<Flood, number>> = {
  handshakes: 8,
  hellos: 50,
  connections: 200,
  bytes: 4,
  'half-open': 200,
  'slow reads': 50,
};
/** One that was refused, or has ended, comes again after this long: a flood that does not wait measures the flooder. */
const AGAIN_MS = 2;
const CHUNK = Buffer.alloc(64 * 1024);

class Flooder {
  readonly #order: FloodOrder;
  readonly #hello: Buffer;
  readonly #sockets = new Set<Socket>();
  #running: Flood | undefined;

  constructor(order: FloodOrder, hello: Buffer) {
    this.#order = order;
    this.#hello = hello;
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
    if (flood === 'hellos') {
      tcp.write(this.#hello);
      tcp.once('data', () => tcp.destroy());
      return;
    }
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

/** What a client says first. Said again and again, it costs the server a step of a handshake each time, and the client next to nothing. */
async function helloOf({ tls }: FloodOrder): Promise<Buffer> {
  const listener = createServer().listen(0, '127.0.0.1');
  await once(listener, 'listening');
  const address = listener.address();
  if (address === null || typeof address === 'string') throw new Error('a TCP server has a port');
  const client = connect({ ...tls, host: '127.0.0.1', port: address.port });
  client.on('error', () => undefined);
  const [socket]: Socket[] = await once(listener, 'connection');
  if (socket === undefined) throw new Error('a connection has a socket');
  const [hello]: Buffer[] = await once(socket, 'data');
  if (hello === undefined) throw new Error('a client says hello');
  client.destroy();
  listener.close();
  return hello;
}

// The flood's own server, so that the measured client's has nothing to do with it.
const echo = createServer((socket) => {
  socket.on('error', () => undefined);
  socket.pipe(socket);
});
echo.listen(0, '127.0.0.1', () => {
  const address = echo.address();
  if (typeof address === 'object' && address !== null) process.send?.({ address: `127.0.0.1:${address.port}` } satisfies FlooderReady);
});
let flooder: Flooder | undefined;
// bench/isolation.ts is the only one that starts it.
process.on('message', (message: FloodOrder | Flood | 'stop') => {
  if (typeof message === 'object')
    void helloOf(message).then((hello) => {
      flooder = new Flooder(message, hello);
    });
  else if (message === 'stop') flooder?.stop();
  else flooder?.start(message);
});
process.once('disconnect', () => process.exit(0));
