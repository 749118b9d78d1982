/** The bidirectional copy: backpressure, half-close, time limits, byte counts. */
import type { Socket } from 'node:net';
import { TLSSocket } from 'node:tls';
import type { Timeouts } from '../domain/model.ts';
import type { Direction } from '../domain/ratelimit/byte-line.ts';
import type { CloseReason, EndReason } from '../domain/reasons.ts';
import { kept, lendReads, writeLent } from '../shared/lent-buffer.ts';
import { tcpBelow } from '../shared/upstream-socket.ts';
import type { Held } from './pacer.ts';
import { COUNTED_BYTES, type ReadTurns } from './read-turns.ts';
import { reset } from './reset.ts';

/** Calls `pass` with how many of the bytes may go that way, until all have: at once (undefined), or some of them later. */
export type Pace = (direction: Direction, bytes: number, pass: (bytes: number) => void) => Held | undefined;

export interface SpliceOptions {
  /** With TLS, or plain. */
  readonly client: Socket;
  readonly upstream: Socket;
  readonly timeouts: Pick<Timeouts, 'idleMs' | 'halfCloseMs' | 'maxDurationMs'>;
  readonly nowMs: () => number;
  /** Called with the size of each chunk on its way to the upstream server, and on its way to the client. */
  readonly onBytesUp: (bytes: number) => void;
  readonly onBytesDown: (bytes: number) => void;
  readonly pace: Pace;
  /** Shared by all connections of the worker. */
  readonly turns: ReadTurns;
  /** What the client says first, where that is to be looked at before the server hears it; undefined then: it must not. */
  readonly firstWords?: Promise<Buffer | undefined> | undefined;
  /** Sends a TCP RST on the socket below the client's TLS. */
  readonly resetClient: () => void;
}

/** Ends that this side decides on and that the client must not take for the end of the data. */
const RESETS_THE_CLIENT: ReadonlySet<EndReason> = new Set([
  'proxy_protocol_invalid',
  'client_removed',
  'permission_removed',
  'revoked',
  'certificate_withdrawn',
  'rebalanced',
  'upstream_removed',
  'upstream_unhealthy',
  'killed_by_admin',
  'shutdown',
  'internal_error',
]);

/**
 * Two connected sockets, copied into each other until both have ended, one has failed, or a limit has passed.
 *
 * Who goes first is the reason; how the other learns it follows from that. An end is passed on as an end (half-close). A
 * client that failed resets its upstream server. A client whose server failed gets what had arrived from it and then an end
 * without TLS's close_notify, or a reset when it is plain, so that it does not take the torso for the whole.
 */
export class Splice {
  readonly #options: SpliceOptions;
  readonly #finished = Promise.withResolvers<EndReason>();
  readonly #startedMs: number;
  #lastMoveMs: number;
  #timer: NodeJS.Timeout | undefined;
  /** What was read and waits for the client's bandwidth: at most a chunk each way, while its source is paused. */
  readonly #held = new Map<Direction, Held>();
  #open = 2;
  /** The side that ended first. */
  #firstEnd: CloseReason | undefined;
  #reason: EndReason | undefined;

  constructor(options: SpliceOptions) {
    this.#options = options;
    this.#startedMs = options.nowMs();
    this.#lastMoveMs = this.#startedMs;
  }

  /** Copies until both sockets are closed, and says why they closed. */
  run(): Promise<EndReason> {
    const { client, upstream, onBytesUp, onBytesDown, firstWords } = this.#options;
    for (const [socket, reason] of [
      [client, 'client_reset'],
      [upstream, 'upstream_reset'],
    ] as const) {
      socket.on('error', () => this.close(reason));
      if (socket.closed) this.#onClose(reason);
      else socket.on('close', () => this.#onClose(reason));
    }
    if (client instanceof TLSSocket) lendReads(client, () => this.#held.has('upload'));
    const hear = (first?: Buffer) => this.#pump(client, upstream, 'upload', 'client_closed', onBytesUp, first);
    if (firstWords === undefined) hear();
    else
      void firstWords.then((first) => {
        if (first === undefined) this.close('proxy_protocol_invalid');
        else if (this.#reason === undefined) hear(first);
      });
    this.#pump(upstream, client, 'download', 'upstream_closed', onBytesDown);
    this.#watchTime();
    // One side may have gone before the listeners above were there.
    if (client.destroyed) this.close('client_reset');
    else if (upstream.destroyed) this.close('upstream_reset');
    return this.#finished.promise;
  }

  /** When a byte last moved, or a side ended, by `nowMs`. */
  get lastMoveMs(): number {
    return this.#lastMoveMs;
  }

  /** Ends both sides now, for this reason; the first reason stays. */
  close(reason: EndReason): void {
    if (this.#reason !== undefined) return;
    this.#reason = reason;
    const { client } = this.#options;
    // What had arrived before a server failed is the client's.
    if (reason === 'upstream_reset') this.#held.get('download')?.passNow();
    this.#dropHeld();
    if (reason === 'client_reset') this.#afterClientFailed();
    else if (reason === 'upstream_reset') this.#afterUpstreamFailed();
    else if (RESETS_THE_CLIENT.has(reason)) {
      this.#options.resetClient();
      this.#dropUpstream();
    } else {
      client.destroy();
      this.#dropUpstream();
    }
  }

  #dropHeld(): void {
    for (const held of this.#held.values()) held.drop();
  }

  /** A server that has not had the client's end must not take what it got so far for all there was. */
  #dropUpstream(): void {
    const { upstream } = this.#options;
    if (this.#firstEnd === 'client_closed') upstream.destroy();
    else reset(tcpBelow(upstream), upstream);
  }

  #afterClientFailed(): void {
    const { client, upstream } = this.#options;
    client.destroy();
    if (!upstream.writableEnded) {
      reset(tcpBelow(upstream), upstream);
      return;
    }
    // It had said all it wanted before it stopped listening: that is an ordinary close.
    this.#reason = this.#firstEnd ?? 'client_closed';
    this.#giveTime(upstream);
    upstream.destroySoon();
  }

  #afterUpstreamFailed(): void {
    const { client, upstream } = this.#options;
    upstream.destroy();
    this.#giveTime(client);
    if (client.writableEnded) {
      this.#reason = this.#firstEnd ?? 'upstream_closed';
      client.destroySoon();
    } else {
      // Done when all that was written before it is.
      client.write(Buffer.alloc(0), () => this.#cutClient());
    }
  }

  /** An end without close_notify tells a client with TLS that there was more; without TLS only a reset does. */
  #cutClient(): void {
    const { client, resetClient } = this.#options;
    if (client instanceof TLSSocket) client.destroy();
    else resetClient();
  }

  /** The last bytes get this long to leave, however little the other side reads. */
  #giveTime(side: Socket): void {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => side.destroy(), this.#options.timeouts.halfCloseMs);
  }

  #pump(from: Socket, to: Socket, direction: Direction, ended: CloseReason, count: (bytes: number) => void, first?: Buffer): void {
    let hasEnded = false;
    let taken = 0;
    let isResting = false;
    const passOnEnd = () => {
      this.#firstEnd ??= ended;
      this.#lastMoveMs = this.#options.nowMs();
      to.end();
      this.#watchTime();
    };
    /** Reads on, or stops, as the bandwidth, the other side and the worker's other connections have it. */
    const steer = () => {
      if (this.#held.has(direction) || to.writableNeedDrain || isResting) from.pause();
      else if (from.isPaused()) from.resume();
    };
    const goOn = () => {
      isResting = false;
      steer();
    };
    const pass = (chunk: Buffer, isLast: boolean) => {
      this.#lastMoveMs = this.#options.nowMs();
      count(chunk.length);
      if (isLast) this.#held.delete(direction);
      writeLent(to, chunk);
      if (hasEnded && isLast) return passOnEnd();
      taken += chunk.length;
      // What a pause does not stop any more comes while it rests already.
      if (taken >= COUNTED_BYTES && !isResting) {
        isResting = this.#options.turns.isOver(taken, goOn);
        taken = 0;
      }
      steer();
    };
    const take = (arrived: Buffer) => {
      let chunk = arrived;
      let passed = 0;
      this.#lastMoveMs = this.#options.nowMs();
      const held = this.#options.pace(direction, chunk.length, (bytes) => {
        const piece = bytes === chunk.length ? chunk : chunk.subarray(passed, passed + bytes);
        passed += bytes;
        pass(piece, passed === chunk.length);
      });
      if (held === undefined) return;
      chunk = kept(arrived);
      this.#held.set(direction, held);
      steer();
    };
    if (first !== undefined && first.length > 0) take(first);
    from.on('data', take);
    to.on('drain', () => {
      this.#lastMoveMs = this.#options.nowMs();
      steer();
    });
    // The end comes right after the last chunk, which may be held while its source is paused.
    const onEnd = () => {
      hasEnded = true;
      if (!this.#held.has(direction)) passOnEnd();
    };
    // A client may have ended before its server was found.
    if (from.readableEnded) onEnd();
    else from.on('end', onEnd);
    // A socket that lends what it reads waits for this.
    steer();
  }

  #onClose(unannounced: CloseReason): void {
    this.#open--;
    if (this.#open > 0) {
      // A side that closed after both had ended closed in good order; the other is about to.
      if (this.#reason === undefined && this.#firstEnd === undefined) this.close(unannounced);
      return;
    }
    clearTimeout(this.#timer);
    this.#dropHeld();
    this.#finished.resolve(this.#reason ?? this.#firstEnd ?? unannounced);
  }

  /** One timer serves all limits. It is set to the earliest that could pass, and set anew when bytes have moved meanwhile. */
  #watchTime(): void {
    clearTimeout(this.#timer);
    if (this.#open === 0 || this.#reason !== undefined) return;
    const { idleMs, halfCloseMs, maxDurationMs = Number.POSITIVE_INFINITY } = this.#options.timeouts;
    const halfClosed = this.#firstEnd !== undefined;
    const now = this.#options.nowMs();
    // Bytes that wait for their turn are under way: a connection that has some is not idle.
    if (this.#held.size > 0) this.#lastMoveMs = now;
    const quietUntil = this.#lastMoveMs + (halfClosed ? Math.min(halfCloseMs, idleMs) : idleMs);
    const livesUntil = this.#startedMs + maxDurationMs;
    if (now >= livesUntil) this.close('max_duration');
    else if (now >= quietUntil) this.close(halfClosed ? 'half_close_timeout' : 'idle_timeout');
    else {
      const wait = Math.min(quietUntil, livesUntil) - now;
      this.#timer = setTimeout(() => this.#watchTime(), Math.min(Math.ceil(wait), 2 ** 31 - 1));
    }
  }
}
