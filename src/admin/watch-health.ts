import { once } from 'node:events';
import { status as Code } from '@grpc/grpc-js';
import type { HealthJournal, ServerHealth } from '../controlplane/health-journal.ts';
import type { AdminServiceServer, WatchHealthRequest, WatchHealthResponse } from '../gen/lb/admin/v1/admin.ts';
import type { AdminContext, UpstreamView } from './context.ts';
import { AdminError } from './errors.ts';
import { fits, healthEventMessage, healthStateMessage, healthSyncedMessage } from './replies.ts';
import { type Replies, serverStream } from './rpc.ts';
import { refuseUnknownServer } from './service-reads.ts';

/** After so many, others have their turn. */
const SENT_AT_ONCE = 50;

/**
 * WatchHealth: the state, SYNCED, then the events; or with since_revision only the events after it. Subscribing and reading
 * what is there happen in one synchronous step, so that no event is lost or told twice.
 */
export function watchHealth(context: AdminContext): AdminServiceServer['watchHealth'] {
  const states = new SharedStates();
  return serverStream(context.log, async (request, replies) => {
    const concerns = ({ group, server }: Concerned) => fits(request.targetGroup, group) && fits(request.server, server);
    const feed = new Feed(beginning(context, states, request, concerns), context.journal, concerns, replies);
    const unsubscribe = context.journal.subscribe(() => feed.follow());
    try {
      await feed.ended();
    } finally {
      unsubscribe();
    }
  });
}

interface Concerned {
  readonly group: string;
  readonly server: string;
}

/** What a reader is told before the events after `revision`. */
interface Beginning {
  readonly messages: Iterator<WatchHealthResponse>;
  readonly revision: number;
}

/** @throws AdminError `COMPACTED` or `FUTURE_REVISION`, DomainError `not_found` */
function beginning(
  { authority, health, upstreams, journal }: AdminContext,
  states: SharedStates,
  { sinceRevision, targetGroup, server }: WatchHealthRequest,
  concerns: (of: Concerned) => boolean,
): Beginning {
  if (sinceRevision === 0n) {
    refuseUnknownServer(authority.snapshot, targetGroup, server);
    const { revision } = journal;
    return { messages: stateThenSynced(states.share(health.list()), concerns, upstreams, revision), revision };
  }
  const next = journal.after(Number(sinceRevision));
  if (next === 'compacted') {
    throw new AdminError(
      Code.OUT_OF_RANGE,
      'COMPACTED',
      `the events after revision ${sinceRevision} are no longer kept; watch from 0 to begin with the state`,
    );
  }
  if (next === 'future') {
    throw new AdminError(
      Code.OUT_OF_RANGE,
      'FUTURE_REVISION',
      `this server has not reached revision ${sinceRevision}, it is at ${journal.revision}; watch from 0 to begin with the state`,
    );
  }
  return { messages: [].values(), revision: Number(sinceRevision) };
}

function* stateThenSynced(
  servers: readonly ServerHealth[],
  concerns: (of: Concerned) => boolean,
  upstreams: UpstreamView,
  revision: number,
): Generator<WatchHealthResponse, void, undefined> {
  // Now, not when it is sent: what happens from here on comes as events. Few servers are ejected, so this is small.
  const ejections = new Map<ServerHealth, number>();
  for (const each of servers) {
    const untilMs = upstreams.ejectionOf(each.group, each.server)?.ejectedUntilMs;
    if (untilMs !== undefined) ejections.set(each, untilMs);
  }
  for (const each of servers) if (concerns(each)) yield healthStateMessage(each, ejections.get(each), revision);
  yield healthSyncedMessage(revision, new Date());
}

/** The states of 10,000 servers are a megabyte: readers that stall at the beginning have what is alike in common. */
class SharedStates {
  #last: readonly ServerHealth[] = [];

  /** The same states, which are the objects that others were given wherever those say the same. */
  share(states: readonly ServerHealth[]): readonly ServerHealth[] {
    const last = this.#last;
    const shared = states.map((state, index) => keptIfAlike(last[index], state));
    const isNew = shared.length !== last.length || shared.some((state, index) => state !== last[index]);
    if (isNew) this.#last = shared;
    return this.#last;
  }
}

/** How long a probe took may differ: no reader is told. */
function keptIfAlike(kept: ServerHealth | undefined, state: ServerHealth): ServerHealth {
  const alike =
    kept?.server === state.server &&
    kept.group === state.group &&
    kept.health === state.health &&
    kept.lastProbe === state.lastProbe &&
    kept.sinceMs === state.sinceMs;
  return alike ? kept : state;
}

/**
 * Sends at the reader's pace: first the beginning, then the events from the journal, which keeps them for all readers. However many come
 * at once, a reader is dropped only when the journal is about to forget what it has not been told.
 */
class Feed {
  #beginning: Iterator<WatchHealthResponse>;
  readonly #journal: HealthJournal;
  readonly #concerns: (of: Concerned) => boolean;
  readonly #replies: Replies<WatchHealthResponse>;
  readonly #overflow = new AbortController();
  /** What has happened up to here has been told. */
  #told: number;
  #hasBegun = false;
  #mayWrite = true;
  #sent = 0;
  #resting = false;

  constructor(beginning: Beginning, journal: HealthJournal, concerns: (of: Concerned) => boolean, replies: Replies<WatchHealthResponse>) {
    this.#beginning = beginning.messages;
    this.#told = beginning.revision;
    this.#journal = journal;
    this.#concerns = concerns;
    this.#replies = replies;
    replies.onDrain(() => {
      this.#mayWrite = true;
      this.#pump();
    });
    this.#pump();
  }

  /** Call it after each event. */
  follow(): void {
    this.#pump();
    if (this.#journal.revision - this.#told > this.#journal.mostBehind) this.#overflow.abort();
  }

  /** Resolves when the reader has gone. @throws AdminError `SLOW_READER` */
  async ended(): Promise<void> {
    const { signal } = this.#replies;
    const over = AbortSignal.any([signal, this.#overflow.signal]);
    if (!over.aborted) await once(over, 'abort');
    // What is left is not sent after the end, nor kept for a reader that may never read it.
    this.#mayWrite = false;
    this.#beginning = [].values();
    if (signal.aborted) return;
    const goOn = this.#hasBegun ? `go on with since_revision=${this.#told}` : 'watch again from 0';
    const problem = `the reader is more than ${this.#journal.mostBehind} events behind`;
    throw new AdminError(Code.RESOURCE_EXHAUSTED, 'SLOW_READER', `${problem}; ${goOn}`);
  }

  #pump(): void {
    while (this.#mayWrite && !this.#resting && !this.#overflow.signal.aborted) {
      const message = this.#next();
      if (message === undefined) return;
      this.#mayWrite = this.#replies.send(message);
      if (++this.#sent % SENT_AT_ONCE === 0) this.#rest();
    }
  }

  #rest(): void {
    this.#resting = true;
    setImmediate(() => {
      this.#resting = false;
      this.#pump();
    });
  }

  #next(): WatchHealthResponse | undefined {
    const { done, value } = this.#beginning.next();
    if (done !== true) return value;
    this.#hasBegun = true;
    for (;;) {
      const event = this.#journal.after(this.#told);
      // Forgotten it cannot be: the reader is dropped before.
      if (typeof event !== 'object') return undefined;
      this.#told = event.revision;
      if (this.#concerns(event)) return healthEventMessage(event);
    }
  }
}
