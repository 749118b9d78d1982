/**
 * Where one client's connections wait for their departures when its limit says `delay`: first come, first served. When they
 * go is reserved in shared memory, over all workers; here it is only waited for.
 */
import type { Departure } from '../domain/ratelimit/departure.ts';

/** Takes the next departure of the client's limit. */
export type Reserve = () => Departure;

export type Waited = 'admitted' | 'too_long' | 'line_full' | 'gone';

export class DelayLine {
  /** Departures of this worker, in order; as many as wait, or more: who leaves early leaves his to those behind him. */
  readonly #departures: number[] = [];
  readonly #waiting: (() => void)[] = [];
  readonly #nowMs: () => number;
  readonly #mostWaiting: number;
  readonly #onEmpty: () => void;
  #timer: NodeJS.Timeout | undefined;

  /** At most `mostWaiting` wait here. `onEmpty`: nobody waits any more, and no departure is left. */
  constructor(nowMs: () => number, mostWaiting: number, onEmpty: () => void) {
    this.#nowMs = nowMs;
    this.#mostWaiting = mostWaiting;
    this.#onEmpty = onEmpty;
  }

  /** How many wait now. */
  get waiting(): number {
    return this.#waiting.length;
  }

  /** Waits until the connection may go, or until its client has gone. */
  async wait(reserve: Reserve, gone: AbortSignal): Promise<Waited> {
    if (gone.aborted) return 'gone';
    if (this.#waiting.length >= this.#mostWaiting) return 'line_full';
    if (this.#departures.length === this.#waiting.length) {
      const departure = reserve();
      if (typeof departure !== 'number') return departure;
      if (departure <= this.#nowMs() && this.#waiting.length === 0) return 'admitted';
      this.#departures.push(departure);
      if (this.#departures.length === 1) this.#setTimer();
    }
    return new Promise((resolve) => {
      const go = () => {
        gone.removeEventListener('abort', leave);
        resolve('admitted');
      };
      const leave = () => {
        this.#waiting.splice(this.#waiting.indexOf(go), 1);
        resolve('gone');
      };
      gone.addEventListener('abort', leave, { once: true });
      this.#waiting.push(go);
    });
  }

  /** Lets all go that wait, and takes back the departures that were given. */
  open(): void {
    clearTimeout(this.#timer);
    this.#departures.length = 0;
    for (const go of this.#waiting.splice(0)) go();
    this.#onEmpty();
  }

  #setTimer(): void {
    const [next] = this.#departures;
    if (next === undefined) this.#onEmpty();
    // Rounded up: a timer that fires a fraction early would let one go too soon.
    else this.#timer = setTimeout(() => this.#depart(), Math.max(0, Math.ceil(next - this.#nowMs())));
  }

  /** A departure for which nobody waits any more has lapsed. */
  #depart(): void {
    clearTimeout(this.#timer);
    const nowMs = this.#nowMs();
    while ((this.#departures[0] ?? Number.POSITIVE_INFINITY) <= nowMs) {
      this.#departures.shift();
      this.#waiting.shift()?.();
    }
    this.#setTimer();
  }
}

/** The lines of all clients. A client has one only while there is something to wait for. */
export class DelayLines {
  readonly #lines = new Map<string, DelayLine>();
  readonly #nowMs: () => number;
  readonly #mostWaiting: number;

  /** At most `mostWaiting` wait in each. */
  constructor(nowMs: () => number, mostWaiting: number) {
    this.#nowMs = nowMs;
    this.#mostWaiting = mostWaiting;
  }

  /** How many clients have a line now. */
  get size(): number {
    return this.#lines.size;
  }

  /** The clients that have a line now. */
  get clientIds(): readonly string[] {
    return [...this.#lines.keys()];
  }

  /** As {@link DelayLine.open}, of the line of this client. */
  open(clientId: string): void {
    this.#lines.get(clientId)?.open();
  }

  /** How many of the client's connections wait now. */
  waiting(clientId: string): number {
    return this.#lines.get(clientId)?.waiting ?? 0;
  }

  /** As {@link DelayLine.wait}, in the line of this client. */
  wait(clientId: string, reserve: Reserve, gone: AbortSignal): Promise<Waited> {
    const known = this.#lines.get(clientId);
    if (known !== undefined) return known.wait(reserve, gone);
    const line = new DelayLine(this.#nowMs, this.#mostWaiting, () => this.#lines.delete(clientId));
    this.#lines.set(clientId, line);
    const waited = line.wait(reserve, gone);
    if (line.waiting === 0) this.#lines.delete(clientId);
    return waited;
  }
}
