import type { Archive, AuditRecord } from './store/store.ts';

/** So many entries wait in memory for a store that cannot take them; older ones make room. */
const MOST_UNWRITTEN = 100;
/** Without another call, the store is asked again after so long. */
const RETRY_MS = 10_000;

/** Who learns of entries that the store could not take. */
export interface AuditTroubles {
  /** They wait to be written; `count` are new. */
  waiting(error: unknown, count: number): void;
  /** There were too many of them: these will not be written. */
  lost(entries: readonly AuditRecord[]): void;
}

/**
 * Writes what changed nothing into the audit trail: refused attempts, and actions outside the state. What comes within one
 * turn of the event loop is one write, so that a flood of refused calls costs no write each. What the store cannot take (its disk
 * is full) waits, and is written before what comes next, as soon as the store works again.
 */
export class AuditTrail {
  readonly #archive: Pick<Archive, 'recordAudit'>;
  readonly #troubles: AuditTroubles;
  readonly #retryMs: number;
  #waiting: AuditRecord[] = [];
  #unwritten: readonly AuditRecord[] = [];
  #retry: NodeJS.Timeout | undefined;
  #written: Promise<void> = Promise.resolve();
  #writes: Promise<void> = Promise.resolve();

  constructor(archive: Pick<Archive, 'recordAudit'>, troubles: AuditTroubles, retryMs: number = RETRY_MS) {
    this.#archive = archive;
    this.#troubles = troubles;
    this.#retryMs = retryMs;
  }

  /** Resolves when the entry is kept, or cannot be for now; never rejects. */
  record(entry: AuditRecord): Promise<void> {
    this.#waiting.push(entry);
    if (this.#waiting.length === 1) {
      const { promise, resolve } = Promise.withResolvers<void>();
      this.#written = promise;
      setImmediate(() => void this.flush().then(resolve));
    }
    return this.#written;
  }

  /** Writes what waits, now; never rejects. */
  flush(): Promise<void> {
    this.#writes = this.#writes.then(() => this.#write());
    return this.#writes;
  }

  async #write(): Promise<void> {
    clearTimeout(this.#retry);
    const fresh = this.#waiting;
    const entries = [...this.#unwritten, ...fresh];
    if (entries.length === 0) return;
    this.#waiting = [];
    try {
      await this.#archive.recordAudit(entries);
      this.#unwritten = [];
    } catch (error) {
      this.#unwritten = entries.slice(-MOST_UNWRITTEN);
      if (fresh.length > 0) this.#troubles.waiting(error, fresh.length);
      const lost = entries.slice(0, -MOST_UNWRITTEN);
      if (lost.length > 0) this.#troubles.lost(lost);
      this.#retry = setTimeout(() => void this.flush(), this.#retryMs).unref();
    }
  }
}
