import type { HealthCode } from '../shared/memory/layout.ts';

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

/**
 * The recent health events, newest last, in a ring of `capacity`. Revisions begin at the wall clock in microseconds, so that
 * one from before a restart is recognised as too old and is never mistaken for a later one.
 */
export class HealthJournal {
  readonly #capacity: number;
  readonly #events: HealthEvent[] = [];
  readonly #listeners = new Set<(event: HealthEvent) => void>();
  #oldestKept: number;
  #revision: number;

  constructor(startedAtMs: number, capacity = 10_000) {
    this.#capacity = capacity;
    this.#revision = startedAtMs * 1000;
    this.#oldestKept = this.#revision;
  }

  /** The revision of the newest event. */
  get revision(): number {
    return this.#revision;
  }

  append(event: Omit<HealthEvent, 'revision'>): HealthEvent {
    const kept = { ...event, revision: ++this.#revision };
    this.#events.push(kept);
    if (this.#events.length > this.#capacity) this.#oldestKept = this.#events.shift()?.revision ?? this.#oldestKept;
    for (const listener of this.#listeners) listener(kept);
    return kept;
  }

  /** The events after `revision`; `compacted` when some of them are no longer kept, `future` for a revision that is not reached yet. */
  since(revision: number): readonly HealthEvent[] | 'compacted' | 'future' {
    if (revision > this.#revision) return 'future';
    if (revision < this.#oldestKept) return 'compacted';
    return this.#events.filter((event) => event.revision > revision);
  }

  /** At most the `count` newest events, newest first. */
  newest(count: number): readonly HealthEvent[] {
    return this.#events.slice(Math.max(0, this.#events.length - count)).reverse();
  }

  subscribe(listener: (event: HealthEvent) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }
}
