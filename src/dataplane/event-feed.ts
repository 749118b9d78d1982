import type { ConnectionEvent, ConnectionEvents } from '../shared/messages.ts';

/** Events that wait for the main thread at most; beyond that they are counted and not kept. */
const MAX_WAITING = 10_000;
/** Events in one message at most: the main thread deals with so many in one go. */
const MAX_TOLD = 256;

/** What happens to connections, told to the main thread while somebody watches: in batches, the next when the last was taken. */
export class EventFeed {
  readonly #tell: (events: ConnectionEvents) => void;
  #watched: boolean;
  #waiting: ConnectionEvent[] = [];
  #lost = 0;
  /** A batch is on its way, or will be at the end of this turn. */
  #busy = false;

  constructor(watched: boolean, tell: (events: ConnectionEvents) => void) {
    this.#watched = watched;
    this.#tell = tell;
  }

  watch(on: boolean): void {
    this.#watched = on;
    this.takeAll();
  }

  /** `event` is made only while somebody watches. */
  add(event: () => ConnectionEvent): void {
    if (!this.#watched) return;
    if (this.#waiting.length >= MAX_WAITING) this.#lost++;
    else this.#waiting.push(event());
    if (this.#busy) return;
    this.#busy = true;
    setImmediate(() => this.#next());
  }

  /** The main thread has dealt with the last batch. */
  taken(): void {
    this.#next();
  }

  /** What was not told yet; it will not be told again. */
  takeAll(): ConnectionEvents {
    const events = this.#waiting;
    const lost = this.#lost;
    this.#waiting = [];
    this.#lost = 0;
    return { events, lost };
  }

  #next(): void {
    this.#busy = this.#waiting.length > 0;
    if (!this.#busy) return;
    const events = this.#waiting.splice(0, MAX_TOLD);
    this.#tell({ events, lost: this.#lost });
    this.#lost = 0;
  }
}
