import type { Archive, AuditRecord } from './store/store.ts';

/**
 * Writes what changed nothing into the audit trail: refused attempts, and actions outside the state. What comes within one
 * turn of the event loop is one write, so that a flood of refused calls costs no write each.
 */
export class AuditTrail {
  readonly #archive: Pick<Archive, 'recordAudit'>;
  readonly #onLost: (error: unknown, count: number) => void;
  #waiting: AuditRecord[] = [];
  #written: Promise<void> = Promise.resolve();

  /** `onLost` learns of entries that could not be written. */
  constructor(archive: Pick<Archive, 'recordAudit'>, onLost: (error: unknown, count: number) => void) {
    this.#archive = archive;
    this.#onLost = onLost;
  }

  /** Resolves when the entry is kept, or cannot be; never rejects. */
  record(entry: AuditRecord): Promise<void> {
    this.#waiting.push(entry);
    if (this.#waiting.length === 1) {
      const { promise, resolve } = Promise.withResolvers<void>();
      this.#written = promise;
      setImmediate(() => void this.#write().then(resolve));
    }
    return this.#written;
  }

  async #write(): Promise<void> {
    const entries = this.#waiting;
    this.#waiting = [];
    try {
      await this.#archive.recordAudit(entries);
    } catch (error) {
      this.#onLost(error, entries.length);
    }
  }
}
