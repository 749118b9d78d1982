/** The bidirectional copy: backpressure, half-close, time limits, byte counts. */
import type { Socket } from 'node:net';
import { TLSSocket } from 'node:tls';
import type { Timeouts } from '../domain/model.ts';
import type { Direction } from '../domain/ratelimit/byte-line.ts';
import type { CloseReason, EndReason } from '../domain/reasons.ts';
import { lendReads } from '../shared/lent-buffer.ts';
import { tcpBelow } from '../shared/upstream-socket.ts';
import { Flow, type FlowOptions, type FlowWatcher } from './flow.ts';
import { reset } from './reset.ts';

export interface SpliceOptions extends FlowOptions {
  /** With TLS, or plain. */
  readonly client: Socket;
  readonly upstream: Socket;
  readonly timeouts: Pick<Timeouts, 'idleMs' | 'halfCloseMs' | 'maxDurationMs'>;
  readonly nowMs: () => number;
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
export class Splice implements FlowWatcher {
  readonly #options: SpliceOptions;
  readonly #up: Flow;
  readonly #down: Flow;
  readonly #startedMs: number;
  #lastMoveMs: number;
  #timer: NodeJS.Timeout | undefined;
  #finish: ((reason: EndReason) => void) | undefined;
  #open = 2;
  /** The side that ended first. */
  #firstEnd: CloseReason | undefined;
  #reason: EndReason | undefined;
  #failure: Error | undefined;

  constructor(options: SpliceOptions) {
    const { client, upstream } = options;
    this.#options = options;
    this.#up = new Flow('upload', client, upstream, options, this);
    this.#down = new Flow('download', upstream, client, options, this);
    this.#startedMs = options.nowMs();
    this.#lastMoveMs = this.#startedMs;
  }

  /** Copies until both sockets are closed, and says why they closed. */
  run(): Promise<EndReason> {
    const { client, upstream, firstWords } = this.#options;
    const { promise, resolve } = Promise.withResolvers<EndReason>();
    this.#finish = resolve;
    this.#watch(client, 'client_reset');
    this.#watch(upstream, 'upstream_reset');
    if (firstWords === undefined) this.#startUp();
    else
      void firstWords.then((first) => {
        if (first === undefined) this.close('proxy_protocol_invalid');
        else if (this.#reason === undefined) this.#startUp(first);
      });
    this.#down.start();
    this.#watchTime();
    // One side may have gone before the listeners above were there.
    if (client.destroyed) this.close('client_reset');
    else if (upstream.destroyed) this.close('upstream_reset');
    return promise;
  }

  #startUp(first?: Buffer): void {
    lendReads(this.#options.client, () => this.#up.isHeld);
    this.#up.start(first);
  }

  /** When a byte last moved, or a side ended, by `nowMs`. */
  get lastMoveMs(): number {
    return this.#lastMoveMs;
  }

  /** The error of the side that failed; undefined: the first to go was not one that had one. */
  get failure(): Error | undefined {
    return this.#failure;
  }

  /** Told by its flows. */
  moved(): void {
    this.#lastMoveMs = this.#options.nowMs();
  }

  /** Told by its flows. */
  ended(direction: Direction): void {
    this.#firstEnd ??= direction === 'upload' ? 'client_closed' : 'upstream_closed';
    this.moved();
    this.#watchTime();
  }

  /** Ends both sides now, for this reason; the first reason stays. */
  close(reason: EndReason): void {
    if (this.#reason !== undefined) return;
    this.#reason = reason;
    const { client } = this.#options;
    // What had arrived before a server failed is the client's.
    if (reason === 'upstream_reset') this.#down.passNow();
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
    this.#up.drop();
    this.#down.drop();
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

  #watch(socket: Socket, unannounced: CloseReason): void {
    socket.on('error', (error) => this.#onError(unannounced, error));
    if (socket.closed) this.#onClose(unannounced);
    else socket.on('close', () => this.#onClose(unannounced));
  }

  #onError(unannounced: CloseReason, error: Error): void {
    if (this.#reason === undefined) this.#failure = error;
    this.close(unannounced);
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
    this.#finish?.(this.#reason ?? this.#firstEnd ?? unannounced);
  }

  /** One timer serves all limits. It is set to the earliest that could pass, and set anew when bytes have moved meanwhile. */
  #watchTime(): void {
    clearTimeout(this.#timer);
    if (this.#open === 0 || this.#reason !== undefined) return;
    const { idleMs, halfCloseMs, maxDurationMs = Number.POSITIVE_INFINITY } = this.#options.timeouts;
    const halfClosed = this.#firstEnd !== undefined;
    const now = this.#options.nowMs();
    // Bytes that wait for their turn are under way: a connection that has some is not idle.
    if (this.#up.isHeld || this.#down.isHeld) this.#lastMoveMs = now;
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
