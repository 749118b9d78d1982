import { type HealthCode, MAX_SERVERS } from '../shared/memory/layout.ts';

/** One change of one server's health, its removal, its ejection or its return from that, which leave its health as it is. */
export interface HealthEvent {
  readonly kind: 'changed' | 'removed' | 'ejected' | 'returned';
  /** Monotonic over restarts too; a reader resumes after the last one it has seen. */
  readonly revision: number;
  readonly group: string;
  readonly server: string;
  readonly from: HealthCode;
  readonly to: HealthCode;
  /** What was seen: "connection refused", "HTTP 503", "connected". */
  readonly cause: string;
  /** Milliseconds since 1970. */
  readonly atMs: number;
  /** Of an ejection: until when, unless told otherwise; milliseconds since 1970. */
  readonly ejectedUntilMs?: number | undefined;
}

/** How a server is now, for listings and for the beginning of a watch. */
export interface ServerHealth {
  readonly group: string;
  readonly server: string;
  readonly health: HealthCode;
  /** What was seen when the health became what it is. */
  readonly cause: string;
  /** What the last probe saw. */
  readonly lastProbe: string;
  /** How long the last probe took. */
  readonly lastProbeMs: number;
  /** When that was, milliseconds since 1970; undefined: there was none yet. */
  readonly probedAtMs: number | undefined;
  /** When the next one is due, milliseconds since 1970; undefined: one is under way, or none will come. */
  readonly nextProbeAtMs: number | undefined;
  /** When the health last changed, or else when the server was added; milliseconds since 1970. */
  readonly sinceMs: number;
}

/** Twice as many as there can be servers: each of them may be removed in one turn, and readers have as long again to hear of it. */
const KEPT = 2 * MAX_SERVERS;

/**
 * The recent health events, in a ring of `capacity`. Revisions begin at the wall clock in microseconds, so that
 * one from before a restart is recognised as too old and is never mistaken for a later one.
 */
export class HealthJournal {
  readonly #capacity: number;
  readonly #events: HealthEvent[] = [];
  readonly #listeners = new Set<(event: HealthEvent) => void>();
  readonly #begin: number;
  #revision: number;

  constructor(startedAtMs: number, capacity = KEPT) {
    this.#capacity = capacity;
    this.#begin = startedAtMs * 1000;
    this.#revision = this.#begin;
  }

  /** The revision of the newest event. */
  get revision(): number {
    return this.#revision;
  }

  append(event: Omit<HealthEvent, 'revision'>): HealthEvent {
    const kept = { ...event, revision: ++this.#revision };
    this.#events[this.#indexOf(kept.revision)] = kept;
    for (const listener of this.#listeners) listener(kept);
    return kept;
  }

  /**
   * The first event after `revision`; undefined: there is none yet. `compacted` when it is no longer kept, `future` for a revision that
   * is not reached yet.
   */
  after(revision: number): HealthEvent | 'compacted' | 'future' | undefined {
    if (revision > this.#revision) return 'future';
    if (revision === this.#revision) return undefined;
    const next = this.#events[this.#indexOf(revision + 1)];
    return next?.revision === revision + 1 ? next : 'compacted';
  }

  /** How many events a reader may be behind; the last quarter of those that are kept is for whoever comes back to go on. */
  get mostBehind(): number {
    return Math.floor((this.#capacity * 3) / 4);
  }

  /** At most the `count` newest events, newest first. */
  newest(count: number): readonly HealthEvent[] {
    const length = Math.min(count, this.#events.length);
    return Array.from({ length }, (_, back) => this.#events[this.#indexOf(this.#revision - back)]).filter((event) => event !== undefined);
  }

  /** Tells the listener of every event from now on, until what is returned is called. @throws TypeError for what is no function */
  subscribe(listener: (event: HealthEvent) => void): () => void {
    // Else whoever tells of the next event would fail of it.
    if (typeof listener !== 'function')
      throw new TypeError(`subscribe takes a function that is told of each event, not ${typeof listener}`);
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  #indexOf(revision: number): number {
    return (revision - this.#begin - 1) % this.#capacity;
  }
}
