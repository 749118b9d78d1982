import type { Revision, Snapshot } from '../../domain/model.ts';
import {
  type AuditQuery,
  type AuditRecord,
  BOOTSTRAP_ACTOR,
  type KnownAdministrator,
  type Store,
  type StoredChange,
  type StoredRequest,
} from './store.ts';

/**
 * The store of an lbd that takes over from another: what the config file changes is held back until {@link release}, so that one which
 * fails to start leaves the state as the other knows it. What administrators change waits until then.
 */
export class HeldStore implements Store {
  readonly #store: Store;
  readonly #held: (() => Promise<void>)[] = [];
  readonly #released = Promise.withResolvers<void>();

  constructor(store: Store) {
    this.#store = store;
  }

  /** Keeps what was held back; from then on changes pass. @throws as compareAndSet does, and goes on holding the rest */
  async release(): Promise<void> {
    for (let keep = this.#held[0]; keep !== undefined; keep = this.#held[0]) {
      await keep();
      this.#held.shift();
    }
    this.#released.resolve();
  }

  async compareAndSet(expected: Revision, change: StoredChange, next: Snapshot, audit?: AuditRecord): Promise<void> {
    const keep = () => this.#store.compareAndSet(expected, change, next, audit);
    if (change.actor === BOOTSTRAP_ACTOR) {
      this.#held.push(keep);
      return;
    }
    await this.#released.promise;
    await keep();
  }

  load() {
    return this.#store.load();
  }

  findRequest(requestId: string) {
    return this.#store.findRequest(requestId);
  }

  keepRequest(requestId: string, request: StoredRequest) {
    return this.#store.keepRequest(requestId, request);
  }

  history(limit: number, before?: Revision) {
    return this.#store.history(limit, before);
  }

  recorded(revision: Revision) {
    return this.#store.recorded(revision);
  }

  recordAudit(records: readonly AuditRecord[]) {
    return this.#store.recordAudit(records);
  }

  auditEntries(query: AuditQuery) {
    return this.#store.auditEntries(query);
  }

  recordAdministrators(seen: readonly KnownAdministrator[]) {
    return this.#store.recordAdministrators(seen);
  }

  administrators() {
    return this.#store.administrators();
  }

  watch(listener: (change: StoredChange) => void) {
    return this.#store.watch(listener);
  }

  close() {
    return this.#store.close();
  }
}
