/** Where connections of an address that is over its bounds wait for their reset: whoever is turned away at once comes back at once. */
import type { Socket } from 'node:net';

/** How long, in milliseconds. */
const HELD_MS = 1_000;

export interface TarpitOptions {
  readonly nowMs: () => number;
  /** So many are held at most; then the one held longest is reset first. */
  readonly most: number;
  /** Told how many are held whenever that changes. */
  readonly onHeld: (count: number) => void;
  /** Of the tests; a second unless given. */
  readonly heldMs?: number;
}

/** A refused connection, as far as it is needed here. */
interface Refused {
  reset(): void;
}

/** Holds the refused of one worker. Nothing they send is answered. */
export class Tarpit {
  readonly #options: Required<TarpitOptions>;
  /** When each is reset. The one held longest is the first. */
  readonly #held = new Map<Refused, number>();
  #timer: NodeJS.Timeout | undefined;
  #isClosed = false;

  constructor(options: TarpitOptions) {
    this.#options = { heldMs: HELD_MS, ...options };
  }

  /** Resets it after a while, or when there are too many. */
  hold(refused: Refused): void {
    if (this.#isClosed) {
      refused.reset();
      return;
    }
    const { nowMs, most, heldMs, onHeld } = this.#options;
    this.#held.set(refused, nowMs() + heldMs);
    onHeld(this.#held.size);
    if (this.#held.size > most) this.#resetFirst();
    this.#timer ??= setTimeout(this.#resetOverdue, heldMs);
  }

  /** As {@link hold}, and forgets it when its client leaves. It must not have been handed to TLS. */
  holdSocket(socket: Socket): void {
    if (socket.destroyed) return;
    const refused = { reset: () => void socket.resetAndDestroy() };
    // Nothing of it is read, but what a stream takes by itself.
    socket.once('close', () => this.#forget(refused));
    this.hold(refused);
  }

  get size(): number {
    return this.#held.size;
  }

  /** One more would cost another its place. */
  get isFull(): boolean {
    return this.#held.size >= this.#options.most;
  }

  /** Resets all of them now, and who comes from now on at once. */
  close(): void {
    this.#isClosed = true;
    while (this.#held.size > 0) this.#resetFirst();
    clearTimeout(this.#timer);
  }

  #resetFirst(): void {
    const [first] = this.#held.keys();
    if (first === undefined) return;
    this.#forget(first);
    first.reset();
  }

  #forget(refused: Refused): void {
    if (this.#held.delete(refused)) this.#options.onHeld(this.#held.size);
  }

  readonly #resetOverdue = (): void => {
    const now = this.#options.nowMs();
    for (const untilMs of this.#held.values()) {
      if (untilMs > now) {
        this.#timer = setTimeout(this.#resetOverdue, Math.ceil(untilMs - now));
        return;
      }
      this.#resetFirst();
    }
    this.#timer = undefined;
  };
}
