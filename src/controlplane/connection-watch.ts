/** Live connections as they are, then what happens to them: for any number of readers, each at its own pace. */
import type { Reason } from '../domain/reasons.ts';
import {
  type ConnectionEvent,
  type ConnectionEvents,
  type ConnectionFacts,
  type ConnectionPage,
  type ConnectionSelector,
  selects,
} from '../shared/messages.ts';
import type { Workers } from './workers.ts';

/** Events that wait for one reader at most; a reader that is further behind is dropped. */
export const MAX_WAITING = 1000;
/** How many connections are asked of a worker at once: what a reader that stalls at the beginning keeps in memory. */
const PAGE = 100;

/** Which connections a reader wants to hear of: every given field must fit. With a reason, only ends are meant. */
export interface WatchFilter {
  readonly selector: ConnectionSelector;
  readonly reason: Reason | undefined;
}

/** What a reader is told: the connections as they are, that these were all, and then the events. */
export type WatchItem =
  | { readonly kind: 'state'; readonly connection: ConnectionFacts }
  | { readonly kind: 'synced'; readonly atMs: number }
  | ConnectionEvent;

/** Why a reader is told no more: it, or the main thread, is too slow; or a worker was lost, and what became of its connections is not known. */
export type WatchFailure = 'slow_reader' | 'worker_lost';

type WatchedWorkers = Pick<Workers, 'count' | 'list' | 'watch'>;

/** Asks the workers for events while there are readers. */
export class ConnectionWatch {
  readonly #workers: WatchedWorkers;
  readonly #readers = new Set<ConnectionReader>();

  constructor(workers: WatchedWorkers) {
    this.#workers = workers;
  }

  open(filter: WatchFilter): ConnectionReader {
    // Events first, so that none is missed between the state and them.
    if (this.#readers.size === 0) {
      this.#workers.watch({
        happened: (lane, events) => {
          for (const reader of this.#readers) reader.take(lane, events);
        },
        workerDied: () => {
          for (const reader of this.#readers) reader.fail('worker_lost');
        },
      });
    }
    const reader = new ConnectionReader(this.#workers, filter, () => this.#close(reader));
    this.#readers.add(reader);
    return reader;
  }

  #close(reader: ConnectionReader): void {
    if (this.#readers.delete(reader) && this.#readers.size === 0) this.#workers.watch(undefined);
  }
}

/** How far one worker's connections have been told to a reader: those up to `upTo` are state, what is told of them is up to `told`. */
interface Progress {
  readonly upTo: number;
  readonly told: number;
}

/** One reader. It takes item by item; what comes faster waits here, within bounds. */
export class ConnectionReader {
  readonly #workers: WatchedWorkers;
  readonly #filter: WatchFilter;
  readonly #onClose: () => void;
  readonly #failed = Promise.withResolvers<WatchFailure>();
  /** By lane; a worker that is not here yet has not been asked: its events belong to the state that it will be asked for. */
  readonly #progress = new Map<number, Progress>();
  readonly #waiting: ConnectionEvent[] = [];
  #onNews: () => void = () => undefined;
  #page: readonly ConnectionFacts[] = [];
  #pageIndex = 0;
  /** The worker whose connections are being told; all of them have been when it is as high as their count. */
  #lane = 0;
  #asking = false;
  #synced = false;
  #over = false;
  /** While the state is being told, events have to wait however quick the reader is: it gets room for each connection it takes. */
  #extraRoom = 0;

  constructor(workers: WatchedWorkers, filter: WatchFilter, onClose: () => void) {
    this.#workers = workers;
    this.#filter = filter;
    this.#onClose = onClose;
    if (filter.reason !== undefined) this.#skipState();
  }

  /** Resolves when nothing more will be told, unless the reader is closed before. */
  get failed(): Promise<WatchFailure> {
    return this.#failed.promise;
  }

  /** `listener` is called when there may be something to take after there was nothing. */
  onNews(listener: () => void): void {
    this.#onNews = listener;
  }

  /** The next item; undefined: nothing now. */
  next(): WatchItem | undefined {
    if (this.#over) return undefined;
    for (;;) {
      const connection = this.#page[this.#pageIndex++];
      if (connection !== undefined) {
        this.#extraRoom++;
        return { kind: 'state', connection };
      }
      if (this.#lane >= this.#workers.count) break;
      this.#ask();
      if (this.#asking) return undefined;
    }
    if (!this.#synced) {
      this.#synced = true;
      return { kind: 'synced', atMs: Date.now() };
    }
    const event = this.#waiting.shift();
    if (event === undefined) this.#extraRoom = 0;
    return event;
  }

  take(lane: number, { events, lost }: ConnectionEvents): void {
    if (this.#over) return;
    const had = this.#waiting.length;
    for (const event of events) if (this.#concerns(lane, event)) this.#waiting.push(event);
    if (lost > 0 || this.#waiting.length > MAX_WAITING + this.#extraRoom) this.fail('slow_reader');
    else if (this.#waiting.length > had) this.#onNews();
  }

  fail(why: WatchFailure): void {
    this.#failed.resolve(why);
    this.close();
  }

  close(): void {
    this.#over = true;
    this.#page = [];
    this.#waiting.length = 0;
    this.#onClose();
  }

  #concerns(lane: number, event: ConnectionEvent): boolean {
    const { selector, reason } = this.#filter;
    const progress = this.#progress.get(lane);
    if (progress === undefined) return false;
    const { number } = event.connection;
    // One that belongs to the state and ended before it was told never will be.
    if (number > progress.told && number <= progress.upTo) return false;
    if (reason !== undefined && (!('reason' in event) || event.reason !== reason)) return false;
    return selects(selector, event.connection);
  }

  /** A connection that is being served has no reason to be told. */
  #skipState(): void {
    for (; this.#lane < this.#workers.count; this.#lane++) this.#progress.set(this.#lane, { upTo: 0, told: 0 });
  }

  /** Asks for the next page; a worker that is being replaced answers at once that it has none. */
  #ask(): void {
    if (this.#asking) return;
    this.#asking = true;
    const { upTo = Number.POSITIVE_INFINITY, told = 0 } = this.#progress.get(this.#lane) ?? {};
    this.#workers.list(this.#lane, { selector: this.#filter.selector, after: told, upTo, limit: PAGE }, (page) => {
      this.#asking = false;
      if (this.#over) return;
      this.#turnTo(page ?? { connections: [], more: false, lastNumber: 0 });
      this.#onNews();
    });
  }

  #turnTo({ connections, more, lastNumber }: ConnectionPage): void {
    const upTo = this.#progress.get(this.#lane)?.upTo ?? lastNumber;
    const last = connections.at(-1);
    this.#progress.set(this.#lane, { upTo, told: more && last !== undefined ? last.number : upTo });
    this.#page = connections;
    this.#pageIndex = 0;
    if (!more) this.#lane++;
  }
}
