/** One connection of the load generator: opened, used over and over, ended. */
import { connect as connectTcp, type Socket } from 'node:net';
import { connect as connectTls, createSecureContext, type SecureContext, TLSSocket } from 'node:tls';
import { LENGTH_BYTES, MODES, type Mode, type Target } from './messages.ts';
import { GROUPS, SUITES } from './peers/peer.ts';

const CHUNK = Buffer.alloc(65_536, 'x');

/** What TLS connections of one target have in common. */
export class Door {
  readonly #target: Target;
  readonly #from: string;
  readonly #context: SecureContext | undefined;

  /** `from` is an address of loopback. */
  constructor(target: Target, from = '127.0.0.1') {
    this.#target = target;
    this.#from = from;
    const { tls } = target;
    if (tls === undefined) return;
    this.#context = createSecureContext({
      ca: tls.ca,
      cert: tls.certificate,
      key: tls.key,
      minVersion: tls.version,
      maxVersion: tls.version,
      ciphers: tls.version === 'TLSv1.3' ? SUITES.tls13 : SUITES.tls12,
      ecdhCurve: GROUPS,
    });
  }

  /** `session` is one that an earlier connection was given. */
  connect(session: Buffer | undefined): Socket {
    const where = { host: '127.0.0.1', port: this.#target.port, localAddress: this.#from };
    if (this.#context === undefined) return connectTcp({ ...where, noDelay: true });
    const socket = connectTls({
      ...where,
      servername: 'localhost',
      secureContext: this.#context,
      ...(session === undefined ? {} : { session }),
    });
    return socket.setNoDelay();
  }
}

/** Long enough to be looked at, and neither TLS nor HTTP. */
const NOISE = Buffer.alloc(64, '\0noise');

/** Resolves when the balancer has turned a connection away. @throws Error when it is served */
export function beRefused(door: Door): Promise<void> {
  const socket = door.connect(undefined);
  return new Promise((resolve, reject) => {
    socket.on('error', () => undefined);
    socket.once('close', resolve);
    socket.on('data', () => {
      // What answers noise is an alert.
      if (socket instanceof TLSSocket) reject(new Error('the balancer served a connection that it is to refuse'));
    });
    socket.write(socket instanceof TLSSocket ? MODES.echo : NOISE);
  });
}

/** A connection whose server has answered the byte of its mode. */
export class LoadConnection {
  readonly #socket: Socket;
  readonly #mode: Mode;
  #receive: (bytes: number) => void = () => undefined;
  #fail: (error: Error) => void = () => undefined;
  readonly #closed = Promise.withResolvers<void>();
  readonly #session = Promise.withResolvers<Buffer | undefined>();

  private constructor(socket: Socket, mode: Mode) {
    this.#socket = socket;
    this.#mode = mode;
    socket.on('data', (chunk: Buffer) => this.#receive(chunk.length));
    socket.once('session', (session: Buffer) => this.#session.resolve(session));
    socket.on('error', (error) => this.#fail(error));
    socket.on('close', () => {
      this.#fail(new Error('the balancer closed a connection'));
      this.#closed.resolve();
    });
  }

  /** Resolves when the server has answered. */
  static async open(door: Door, mode: Mode, session?: Buffer): Promise<LoadConnection> {
    const connection = new LoadConnection(door.connect(session), mode);
    await connection.#answered(1, () => connection.#socket.write(MODES[mode]));
    return connection;
  }

  get resumed(): boolean {
    return this.#socket instanceof TLSSocket && this.#socket.isSessionReused();
  }

  /** Protocol, suite and group. */
  get negotiated(): string {
    if (!(this.#socket instanceof TLSSocket)) return 'plain';
    // @types/node has null and an empty object for what is not there.
    const key: { readonly name?: string } = this.#socket.getEphemeralKeyInfo() ?? {};
    return [this.#socket.getProtocol(), this.#socket.getCipher().standardName, key.name].filter((word) => word).join(' ');
  }

  /** A session that the balancer gave to resume; undefined when none comes in time. */
  session(withinMs: number): Promise<Buffer | undefined> {
    const { promise, resolve } = this.#session;
    const timer = setTimeout(() => resolve(undefined), withinMs);
    return promise.finally(() => clearTimeout(timer));
  }

  /** Sends the message `times` times, each when the one before is back whole; tells the milliseconds of each. */
  exchange(message: Buffer, times: number, took: (ms: number) => void): Promise<void> {
    let left = times;
    let missing = message.length;
    let sentMs = performance.now();
    return new Promise((resolve, reject) => {
      this.#fail = reject;
      this.#receive = (bytes) => {
        missing -= bytes;
        if (missing > 0) return;
        const nowMs = performance.now();
        took(nowMs - sentMs);
        left--;
        if (left === 0) return resolve();
        missing = message.length;
        sentMs = nowMs;
        this.#socket.write(message);
      };
      this.#socket.write(message);
    });
  }

  /** Moves the bytes in the direction of the mode. */
  transfer(bytes: number): Promise<void> {
    const length = Buffer.alloc(LENGTH_BYTES);
    length.writeBigUInt64BE(BigInt(bytes));
    if (this.#mode === 'download') return this.#answered(bytes, () => this.#socket.write(length));
    return this.#answered(1, () => {
      this.#socket.write(length);
      this.#send(bytes);
    });
  }

  #send(bytes: number): void {
    let left = bytes;
    const go = () => {
      while (left > 0) {
        const size = Math.min(left, CHUNK.length);
        left -= size;
        if (!this.#socket.write(CHUNK.subarray(0, size))) {
          this.#socket.once('drain', go);
          return;
        }
      }
    };
    go();
  }

  /** Resolves when the connection is closed on both sides. */
  end(): Promise<void> {
    this.#fail = () => undefined;
    this.#socket.end();
    return this.#closed.promise;
  }

  #answered(bytes: number, ask: () => void): Promise<void> {
    let missing = bytes;
    return new Promise((resolve, reject) => {
      this.#fail = reject;
      this.#receive = (received) => {
        missing -= received;
        if (missing <= 0) resolve();
      };
      ask();
    });
  }
}
