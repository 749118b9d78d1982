import { EMPTY_SNAPSHOT, type Revision, type Snapshot } from '../../domain/model.ts';
import { inTurns } from '../turns.ts';
import { encodeCommand, snapshotParts } from './codec.ts';
import type { Recorded } from './replay.ts';
import {
  ADMINISTRATORS_KEPT,
  type AuditEntry,
  type AuditQuery,
  type AuditRecord,
  changedAtRunTimeAfter,
  DEFAULT_RETENTION,
  type KnownAdministrator,
  type Retention,
  RevisionConflictError,
  type Store,
  type StoredChange,
  type StoredRequest,
  type StoredState,
} from './store.ts';

/** Keeps changes for the life of the process: the config file alone says what the next one starts with. */
export class MemoryStore implements Store {
  readonly #retention: Retention;
  #state: StoredState | undefined;
  /** Oldest first; those after the first base. */
  #changes: StoredChange[] = [];
  /** A state in every snapshotEvery, oldest first: what changes are replayed on to have an old state back. */
  #bases: Snapshot[] = [EMPTY_SNAPSHOT];
  readonly #requests = new Map<string, StoredRequest>();
  /** Oldest first, each in its {@link AuditPlace}. */
  #audit: AuditEntry[] = [];
  #nextAuditId = 1;
  /** Of requests that had nothing to change, oldest first. */
  readonly #unchanged = new Map<string, StoredRequest>();
  readonly #administrators = new Map<string, KnownAdministrator>();

  constructor(retention: Retention = DEFAULT_RETENTION) {
    this.#retention = retention;
  }

  async load(): Promise<StoredState | undefined> {
    return this.#state;
  }

  async compareAndSet(expected: Revision, change: StoredChange, next: Snapshot, audit?: AuditRecord): Promise<void> {
    const newest = this.#state?.snapshot.revision ?? 0;
    if (newest !== expected) throw new RevisionConflictError(expected, newest);
    if (this.#requests.has(change.requestId)) throw new Error(`request id ${JSON.stringify(change.requestId)} has made a revision already`);
    this.#state = { snapshot: next, changedAtRunTime: changedAtRunTimeAfter(this.#state?.changedAtRunTime ?? false, change) };
    this.#changes.push(change);
    if (change.requestId !== '') this.#requests.set(change.requestId, { revision: change.revision, digest: change.requestDigest });
    if (audit !== undefined) this.#append(audit);
    this.#compactIfDue(next);
  }

  async findRequest(requestId: string): Promise<StoredRequest | undefined> {
    return this.#requests.get(requestId) ?? this.#unchanged.get(requestId);
  }

  async keepRequest(requestId: string, request: StoredRequest): Promise<void> {
    this.#unchanged.set(requestId, request);
    const [oldest] = this.#unchanged.keys();
    if (oldest !== undefined && this.#unchanged.size > this.#retention.changesKept) this.#unchanged.delete(oldest);
  }

  async history(limit: number, before: Revision = Number.POSITIVE_INFINITY): Promise<readonly StoredChange[]> {
    const first = this.#changes[0]?.revision ?? 0;
    const end = Math.min(this.#changes.length, Math.max(0, before - first));
    return this.#changes.slice(Math.max(0, end - limit), end).reverse();
  }

  async recorded(revision: Revision): Promise<Recorded | undefined> {
    const base = this.#bases.findLast((each) => each.revision <= revision);
    if (base === undefined || revision > (this.#state?.snapshot.revision ?? 0)) return undefined;
    const changes = this.#changes.filter((change) => change.revision > base.revision && change.revision <= revision);
    const snapshot = base === EMPTY_SNAPSHOT ? undefined : (await Array.fromAsync(inTurns(snapshotParts(base)))).join('');
    return { snapshot, commands: await Array.fromAsync(inTurns(changes), ({ command }) => encodeCommand(command)) };
  }

  async recordAudit(records: readonly AuditRecord[]): Promise<void> {
    for (const record of records) this.#append(record);
  }

  async auditEntries({ limit, ...wanted }: AuditQuery): Promise<readonly AuditEntry[]> {
    const found: AuditEntry[] = [];
    for (let index = this.#audit.length - 1; index >= 0 && found.length < limit; index--) {
      const entry = this.#audit[index];
      if (entry !== undefined && fits(entry, wanted)) found.push(entry);
    }
    return found;
  }

  async recordAdministrators(seen: readonly KnownAdministrator[]): Promise<void> {
    for (const administrator of seen) this.#administrators.set(administrator.fingerprint, administrator);
    for (const { fingerprint } of lastSeenFirst(this.#administrators).slice(ADMINISTRATORS_KEPT)) this.#administrators.delete(fingerprint);
  }

  async administrators(): Promise<readonly KnownAdministrator[]> {
    return lastSeenFirst(this.#administrators);
  }

  watch(): () => void {
    return () => undefined;
  }

  async close(): Promise<void> {}

  #append(record: AuditRecord): void {
    // What comes late goes before what is newer.
    const at = this.#audit.findLastIndex(({ atMs }) => atMs <= record.atMs) + 1;
    this.#audit.splice(at, 0, { ...record, id: this.#nextAuditId++ });
    // A tenth at a time: dropping the first of a long list moves all the others.
    const { auditEntriesKept } = this.#retention;
    if (this.#audit.length > auditEntriesKept * 1.1) this.#audit = this.#audit.slice(-auditEntriesKept);
  }

  #compactIfDue(next: Snapshot): void {
    const { snapshotEvery, changesKept } = this.#retention;
    if (next.revision - (this.#bases.at(-1)?.revision ?? 0) < snapshotEvery) return;
    this.#bases.push(next);
    const base = this.#bases.findLastIndex(({ revision }) => revision <= next.revision - changesKept);
    if (base <= 0) return;
    this.#bases = this.#bases.slice(base);
    const oldest = this.#bases[0]?.revision ?? 0;
    for (const { revision, requestId } of this.#changes) if (revision <= oldest) this.#requests.delete(requestId);
    this.#changes = this.#changes.filter(({ revision }) => revision > oldest);
  }
}

function lastSeenFirst(administrators: ReadonlyMap<string, KnownAdministrator>): readonly KnownAdministrator[] {
  return [...administrators.values()].sort((a, b) => b.seenAtMs - a.seenAtMs);
}

function fits(entry: AuditEntry, { sinceMs, untilMs, actor, method, before }: Omit<AuditQuery, 'limit'>): boolean {
  return (
    (before === undefined || entry.atMs < before.atMs || (entry.atMs === before.atMs && entry.id < before.id)) &&
    (sinceMs === undefined || entry.atMs >= sinceMs) &&
    (untilMs === undefined || entry.atMs < untilMs) &&
    (actor === undefined || entry.actor === actor) &&
    (method === undefined || entry.method === method)
  );
}
