import { changesNothing } from '../domain/changes-nothing.ts';
import { DomainError } from '../domain/errors.ts';
import type { Revision, Snapshot } from '../domain/model.ts';
import { EMPTY_SNAPSHOT } from '../domain/model.ts';
import { apply, type Command } from '../domain/state.ts';
import {
  type Archive,
  type AuditRecord,
  changedAtRunTimeAfter,
  RequestIdReusedError,
  RevisionConflictError,
  type Store,
  type StoredState,
  StoreUnavailableError,
} from './store/store.ts';
import { StoreWrites } from './store/store-writes.ts';
import { nextTurn } from './turns.ts';

/** Who wants a change, and under which conditions. */
export interface Intent {
  /** The admin certificate's name, or `bootstrap` or `library`. */
  readonly actor: string;
  /** Refuse when the state has another revision. */
  readonly expectedRevision?: Revision | undefined;
  /** The same id again is answered with the revision that it made the first time, without a second change. */
  readonly requestId?: string | undefined;
  /** Another digest with the same request id is another request, and refused. */
  readonly requestDigest?: string;
  /** What the audit trail keeps of the change, in one step with it. */
  readonly audit?: Attempt;
}

/** Who asks for what, as the audit trail tells it. */
export type Attempt = Pick<AuditRecord, 'actor' | 'fingerprint' | 'from' | 'method' | 'request'>;

export interface Accepted {
  readonly revision: Revision;
  /** True when the request id had been accepted before: nothing was changed now. */
  readonly replayed: boolean;
  /** True when the state was so already: there is no new revision, and `revision` is that of now. */
  readonly unchanged: boolean;
}

/** An accepted change on its way to the workers and the health checker. */
export interface Change {
  readonly command: Command;
  readonly previous: Snapshot;
  readonly next: Snapshot;
}

/** A change, or what makes one from the state that it will be applied to: the way to change a part of what is there. */
export type Wanted = Command | ((current: Snapshot) => Command);

/** Objects to a state that could not be served, by throwing a DomainError; without `readsFiles` it finds out nothing about the files that it names. */
export type Vet = (next: Snapshot, readsFiles: boolean) => void;

/**
 * Makes ready what the next state needs that may not be had, such as open ports, before the change is kept; what it returns takes that
 * back when the change cannot be kept. Throws a DomainError to refuse the change.
 */
export type Prepare = (previous: Snapshot, next: Snapshot) => Promise<() => void>;

/** Learns of each change, in order. The change is acknowledged to its author when every subscriber's promise has settled. */
export type Subscriber = (change: Change) => Promise<void> | void;

/** Owns the current Snapshot. The one write door: changes pass one at a time, first into the store, then to everybody. */
export class Authority {
  readonly writes = new StoreWrites();
  readonly #store: Store;
  readonly #nowMs: () => number;
  readonly #vet: Vet;
  readonly #prepare: Prepare;
  readonly #subscribers = new Set<Subscriber>();
  #snapshot: Snapshot;
  #changedAtRunTime: boolean;
  #queue: Promise<unknown> = Promise.resolve();
  /** Why nothing may be changed now. */
  #suspension: string | undefined;
  /** Somebody else may have changed the store since it was last read. */
  #mayBeBehind = false;

  private constructor(
    store: Store,
    { snapshot, changedAtRunTime }: StoredState,
    { vet, prepare, nowMs }: { readonly vet: Vet; readonly prepare: Prepare; readonly nowMs: () => number },
  ) {
    this.#store = store;
    this.#snapshot = snapshot;
    this.#changedAtRunTime = changedAtRunTime;
    this.#vet = vet;
    this.#prepare = prepare;
    this.#nowMs = nowMs;
  }

  /** Takes up the state where the store has it; an empty store begins at revision 0. */
  static async open(
    store: Store,
    options: { readonly vet?: Vet; readonly prepare?: Prepare; readonly nowMs?: () => number } = {},
  ): Promise<Authority> {
    const { vet = () => undefined, prepare = async () => () => undefined, nowMs = Date.now } = options;
    const stored = (await store.load()) ?? { snapshot: EMPTY_SNAPSHOT, changedAtRunTime: false };
    vet(stored.snapshot, true);
    return new Authority(store, stored, { vet, prepare, nowMs });
  }

  get snapshot(): Snapshot {
    return this.#snapshot;
  }

  /** True when somebody other than the config file has changed the state since the file was last taken in. */
  get changedAtRunTime(): boolean {
    return this.#changedAtRunTime;
  }

  /** How the state came to be, and who tried what. */
  get archive(): Archive {
    return this.#store;
  }

  subscribe(subscriber: Subscriber): () => void {
    this.#subscribers.add(subscriber);
    return () => this.#subscribers.delete(subscriber);
  }

  /** The state that the command would lead to, from that of now unless given; nothing changes. @throws DomainError when it does not fit */
  preview(command: Command, from: Snapshot = this.#snapshot, { readsFiles = true } = {}): Snapshot {
    const next = apply(from, command);
    this.#vet(next, readsFiles);
    return next;
  }

  /**
   * Makes one change. Resolves when it is durable and every worker serves it; a command that would change nothing makes no revision.
   * @throws DomainError when it does not fit the state, RevisionConflictError when `expectedRevision` is not the current one,
   * RequestIdReusedError when the request id has made another change, StoreUnavailableError when it cannot be kept; in each case nothing has changed.
   */
  execute(wanted: Wanted, intent: Intent): Promise<Accepted> {
    const result = this.#queue.then(() => this.#change(wanted, intent));
    this.#queue = result.catch(() => undefined);
    return result;
  }

  /** Refuses every change from now on, and says why; resolves when the one under way is through. */
  suspend(why: string): Promise<void> {
    const result = this.#queue.then(() => {
      this.#suspension = why;
    });
    this.#queue = result;
    return result;
  }

  /**
   * Undoes {@link suspend}, and takes in what another has stored meanwhile, as if it had been asked for here. Resolves with how many changes
   * these are. @throws StoreUnavailableError when that cannot be read or served: every change is refused so until it can
   */
  resume(): Promise<number> {
    const result = this.#queue.then(() => {
      this.#suspension = undefined;
      this.#mayBeBehind = true;
      return this.#catchUp();
    });
    this.#queue = result.catch(() => undefined);
    return result;
  }

  async #catchUp(): Promise<number> {
    const [newest] = await this.#store.history(1);
    const missed = (newest?.revision ?? 0) - this.#snapshot.revision;
    const changes = missed > 0 ? await this.#store.history(missed) : [];
    for (const { command, actor } of changes.toReversed()) await this.#takeIn(command, actor);
    this.#mayBeBehind = false;
    return changes.length;
  }

  async #takeIn(command: Command, actor: string): Promise<void> {
    const previous = this.#snapshot;
    try {
      const next = this.preview(command);
      await this.#prepare(previous, next);
      await this.#publish({ command, previous, next }, actor);
    } catch (error) {
      if (!(error instanceof DomainError)) throw error;
      const whatToDo = 'mend that, or restart lbd';
      throw new StoreUnavailableError(`another lbd has stored a state that this one cannot serve: ${error.message}; ${whatToDo}`);
    }
  }

  async #change(wanted: Wanted, intent: Intent): Promise<Accepted> {
    if (this.#suspension !== undefined) throw new StoreUnavailableError(this.#suspension);
    if (this.#mayBeBehind) await this.#catchUp();
    const { actor, expectedRevision, requestId = '', requestDigest = '' } = intent;
    const made = requestId === '' ? undefined : await this.#store.findRequest(requestId);
    if (made !== undefined) {
      if (made.digest !== requestDigest) throw new RequestIdReusedError(requestId, made.revision);
      return { revision: made.revision, replayed: true, unchanged: false };
    }
    const previous = this.#snapshot;
    if (expectedRevision !== undefined && expectedRevision !== previous.revision) {
      throw new RevisionConflictError(expectedRevision, previous.revision);
    }
    const command = typeof wanted === 'function' ? wanted(previous) : wanted;
    const atMs = this.#nowMs();
    if (changesNothing(previous, command)) {
      const { revision } = previous;
      // The same request is not to change a later state.
      if (requestId !== '') await this.#store.keepRequest(requestId, { revision, digest: requestDigest });
      return { revision, replayed: false, unchanged: true };
    }
    const next = this.preview(command);
    const audit = intent.audit && {
      ...intent.audit,
      atMs,
      result: 'OK',
      message: '',
      revisionBefore: previous.revision,
      revisionAfter: next.revision,
    };
    const stored = { revision: next.revision, command, actor, requestId, requestDigest, atMs };
    const takeBack = await this.#prepare(previous, next);
    try {
      await this.writes.timed(() => this.#store.compareAndSet(previous.revision, stored, next, audit));
    } catch (error) {
      takeBack();
      throw error;
    }
    await this.#publish({ command, previous, next }, actor);
    return { revision: next.revision, replayed: false, unchanged: false };
  }

  async #publish(change: Change, actor: string): Promise<void> {
    // A change of everything takes each of these steps a while; the first subscriber learns of it at once.
    await nextTurn();
    this.#snapshot = change.next;
    this.#changedAtRunTime = changedAtRunTimeAfter(this.#changedAtRunTime, { actor, command: change.command });
    const heard: Promise<void>[] = [];
    for (const subscriber of [...this.#subscribers]) {
      heard.push((async () => subscriber(change))().catch(() => undefined));
      await nextTurn();
    }
    await Promise.all(heard);
  }
}
