/** A worker's listeners: their ports, opened and closed while connections go on, and what a connection passes first on each. */
import { createServer, type Server, type Socket } from 'node:net';
import type { Listener } from '../domain/model.ts';
import type { TlsMaterial } from '../domain/tls-material.ts';
import { meetFirst } from '../shared/hidden-node.ts';
import { type OpenFailure, type Ports, placeOf } from '../shared/messages.ts';
import type { AddressGate } from './gate.ts';
import { type Front, plainFront } from './plain-front.ts';
import { offeredAlpn, type TlsFront } from './tls.ts';

export interface DoorsOptions {
  /** What the listeners are served with at first, by their names. */
  readonly material: ReadonlyMap<string, TlsMaterial>;
  /** Which ports those have that leave it to the system. */
  readonly ports: Ports;
  /** Takes whoever came on a listener that is served. */
  readonly accept: (socket: Socket, listener: string, front: Front) => void;
  /** Refuses who does not even get a socket. */
  readonly gate: Pick<AddressGate, 'refuses'>;
  readonly createFront: (listener: Listener, material: TlsMaterial) => TlsFront;
  readonly log: { error(facts: object, message: string): void };
}

/** An open port. */
interface Door {
  readonly server: Server;
  readonly port: number;
  /** undefined: no state has named it yet, and who comes waits. */
  listener: string | undefined;
  waiting: Socket[];
  /** Somebody came since this was last looked at. */
  knocked: boolean;
}

interface Served {
  readonly front: Front;
  /** undefined: a plain listener. */
  readonly tls: { readonly front: TlsFront; readonly alpn: string } | undefined;
}

const PLAIN: Served = { front: plainFront, tls: undefined };

/** In a turn of the event loop that takes longer, somebody may have come since the port was asked. */
const SHORT_TURN_MS = 0.2;
/** More turns than this a door does not wait for a short one in which nobody comes. */
const CLOSES_AFTER_TURNS = 1000;

export class Doors {
  readonly #options: DoorsOptions;
  /** By the listener's place. A promise: its port is being opened. */
  readonly #doors = new Map<string, Promise<Door>>();
  #served: ReadonlyMap<string, Served> = new Map();
  #material: ReadonlyMap<string, TlsMaterial>;
  #ports: Ports;
  /** What is being closed. */
  readonly #closing = new Set<Promise<void>>();
  #isClosed = false;

  constructor(options: DoorsOptions) {
    this.#options = options;
    this.#material = options.material;
    this.#ports = options.ports;
  }

  /** Opens what is not open yet, with the given port where the listener leaves it to the system; all of them or none. */
  async open(listeners: readonly Listener[], ports: Ports): Promise<Ports | OpenFailure> {
    const [first] = listeners;
    if (this.#isClosed && first !== undefined) return { listener: first.name, code: 'ESHUTDOWN', message: 'the load balancer is stopping' };
    this.#ports = new Map([...this.#ports, ...ports]);
    const opened = new Map<string, number>();
    const fresh: string[] = [];
    for (const listener of listeners) {
      const place = placeOf(listener);
      const known = this.#doors.get(place);
      if (known === undefined) fresh.push(place);
      const door = known ?? this.#openDoor(place, listener);
      this.#doors.set(place, door);
      try {
        opened.set(place, (await door).port);
      } catch (error) {
        for (const each of fresh) this.#close(each);
        const { code = 'UNKNOWN', message } = error as NodeJS.ErrnoException;
        return { listener: listener.name, code, message };
      }
    }
    return opened;
  }

  /**
   * Serves these listeners from now on: with the material given for those that are new or changed, and as before for the others.
   * What is open and not among them is closed; connections go on.
   */
  follow(listeners: readonly Listener[], changed: ReadonlyMap<string, TlsMaterial>): void {
    if (this.#isClosed) return;
    this.#material = new Map([...this.#material, ...changed]);
    this.#served = new Map(
      listeners.map((listener) => [listener.name, listener.tls === undefined ? PLAIN : this.#tlsOf(listener, changed.has(listener.name))]),
    );
    const places = new Map(listeners.map((listener) => [placeOf(listener), listener]));
    for (const place of [...this.#doors.keys()]) if (!places.has(place)) this.#close(place);
    for (const [place, listener] of places) this.#serve(place, listener);
  }

  /** Those of these listeners whose CA or revocation list is another than before. Ask before it is put into force. */
  withOtherTrust(material: ReadonlyMap<string, TlsMaterial>): readonly string[] {
    return [...material].flatMap(([name, { caPem, crlPem }]) => {
      const before = this.#material.get(name);
      return before === undefined || (before.caPem === caPem && before.crlPem === crlPem) ? [] : [name];
    });
  }

  /** New handshakes use this material; connections that are established do not notice. */
  reload(material: ReadonlyMap<string, TlsMaterial>): void {
    this.#material = new Map([...this.#material, ...material]);
    for (const [name, renewed] of material) this.#served.get(name)?.tls?.front.reload(renewed);
  }

  /** What new handshakes on the listener use; undefined: it is a plain one. */
  material(listener: string): TlsMaterial | undefined {
    return this.#served.get(listener)?.tls?.front.material;
  }

  /** Closes every door; resolves when nobody comes any more. */
  async close(): Promise<void> {
    this.#isClosed = true;
    for (const place of [...this.#doors.keys()]) this.#close(place);
    await Promise.all(this.#closing);
  }

  #tlsOf(listener: Listener, isChanged: boolean): Served {
    const before = this.#served.get(listener.name);
    const alpn = offeredAlpn(listener).join();
    if (before?.tls?.alpn === alpn && !isChanged) return before;
    const material = this.#material.get(listener.name);
    if (material === undefined) throw new Error(`listener ${listener.name} came without TLS material`);
    const front = this.#options.createFront(listener, material);
    return { front, tls: { front, alpn } };
  }

  #openDoor(place: string, listener: Listener): Promise<Door> {
    const { gate } = this.#options;
    return openDoor(listener, this.#ports.get(place) ?? listener.address.port, { arrive: this.#arrive, gate });
  }

  #serve(place: string, listener: Listener): void {
    const opening = this.#doors.get(place) ?? this.#openDoor(place, listener);
    this.#doors.set(place, opening);
    opening.then(
      (door) => {
        // It may have been closed, or given to another, while it was opened.
        if (this.#doors.get(place) === opening) this.#admit(door, listener.name);
      },
      (err: unknown) => this.#options.log.error({ err, listener: listener.name }, 'cannot listen'),
    );
  }

  #admit(door: Door, listener: string): void {
    if (door.listener === undefined) door.server.on('error', (err) => this.#options.log.error({ err, listener }, 'accept failed'));
    door.listener = listener;
    const { waiting } = door;
    door.waiting = [];
    for (const socket of waiting) this.#arrive(door, socket);
  }

  readonly #arrive = (door: Door, socket: Socket): void => {
    door.knocked = true;
    const { listener } = door;
    if (listener === undefined) {
      socket.on('error', () => undefined);
      door.waiting.push(socket);
      return;
    }
    const served = this.#served.get(listener);
    if (served === undefined) socket.resetAndDestroy();
    else this.#options.accept(socket, listener, served.front);
  };

  #close(place: string): void {
    const opening = this.#doors.get(place);
    if (opening === undefined) return;
    this.#doors.delete(place);
    const closed = opening.then(closeWhenNobodyComes, () => undefined);
    this.#closing.add(closed);
    void closed.finally(() => this.#closing.delete(closed));
  }
}

interface Doorkeeper extends Pick<DoorsOptions, 'gate'> {
  readonly arrive: (door: Door, socket: Socket) => void;
}

function openDoor(listener: Listener, port: number, { arrive, gate }: Doorkeeper): Promise<Door> {
  const { promise, resolve, reject } = Promise.withResolvers<Door>();
  const server = createServer({ noDelay: true });
  server.once('error', reject);
  // Workers share the port.
  server.listen({ host: listener.address.host, port, reusePort: true }, () => {
    server.removeListener('error', reject);
    const address = server.address();
    const bound = typeof address === 'object' && address !== null ? address.port : 0;
    const opened: Door = { server, port: bound, listener: undefined, waiting: [], knocked: false };
    meetFirst(server, (arrival) => opened.listener !== undefined && gate.refuses(arrival, opened.listener));
    server.on('connection', (socket: Socket) => arrive(opened, socket));
    resolve(opened);
  });
  return promise;
}

/**
 * Closing a port resets the connections that the kernel has accepted and the worker has not taken yet. So they are taken first: the
 * port is closed in a turn of the event loop that found nobody there, and had little else to do since.
 */
function closeWhenNobodyComes(door: Door): Promise<void> {
  return new Promise((resolve) => {
    let turns = 0;
    let lookedMs = Number.NEGATIVE_INFINITY;
    const look = () => {
      const nowMs = performance.now();
      const isQuiet = !door.knocked && nowMs - lookedMs <= SHORT_TURN_MS;
      lookedMs = nowMs;
      if (isQuiet || ++turns > CLOSES_AFTER_TURNS) {
        for (const socket of door.waiting) socket.destroy();
        // The port is closed by this at once; a callback would wait for the connections that came by it.
        door.server.close();
        resolve();
        return;
      }
      door.knocked = false;
      setImmediate(look);
    };
    setImmediate(look);
  });
}
