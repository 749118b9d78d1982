import { once } from 'node:events';
import { status as Code } from '@grpc/grpc-js';
import type { HealthEvent, ServerHealth } from '../controlplane/health-journal.ts';
import type { AdminServiceServer, WatchHealthRequest, WatchHealthResponse } from '../gen/lb/admin/v1/admin.ts';
import type { AdminContext, UpstreamView } from './context.ts';
import { AdminError } from './errors.ts';
import { fits, healthEventMessage, healthStateMessage, healthSyncedMessage } from './replies.ts';
import { type Replies, serverStream } from './rpc.ts';
import { refuseUnknownServer } from './service-reads.ts';

/** Events that wait for one reader at most; a reader that is further behind is dropped. */
const MAX_WAITING = 1000;
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
    const feed = new Feed(beginning(context, states, request, concerns), replies);
    const unsubscribe = context.journal.subscribe((event) => {
      if (concerns(event)) feed.add(event);
    });
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

/** @throws AdminError `COMPACTED` or `FUTURE_REVISION`, DomainError `not_found` */
function beginning(
  { authority, health, upstreams, journal }: AdminContext,
  states: SharedStates,
  { sinceRevision, targetGroup, server }: WatchHealthRequest,
  concerns: (of: Concerned) => boolean,
): Iterator<WatchHealthResponse> {
  if (sinceRevision === 0n) {
    refuseUnknownServer(authority.snapshot, targetGroup, server);
    return stateThenSynced(states.share(health.list()), concerns, upstreams, journal.revision);
  }
  const missed = journal.since(Number(sinceRevision));
  if (missed === 'compacted') {
    throw new AdminError(
      Code.OUT_OF_RANGE,
      'COMPACTED',
      `the events after revision ${sinceRevision} are no longer kept; watch from 0 to begin with the state`,
    );
  }
  if (missed === 'future') {
    throw new AdminError(
      Code.OUT_OF_RANGE,
      'FUTURE_REVISION',
      `this server has not reached revision ${sinceRevision}, it is at ${journal.revision}; watch from 0 to begin with the state`,
    );
  }
  return missed.values().filter(concerns).map(healthEventMessage);
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

/** Sends at the reader's pace: first the beginning, then the events that came meanwhile, of which it keeps MAX_WAITING. */
class Feed {
  #beginning: Iterator<WatchHealthResponse>;
  readonly #waiting: HealthEvent[] = [];
  readonly #replies: Replies<WatchHealthResponse>;
  readonly #overflow = new AbortController();
  #mayWrite = true;
  #sent = 0;
  #resting = false;

  constructor(beginning: Iterator<WatchHealthResponse>, replies: Replies<WatchHealthResponse>) {
    this.#beginning = beginning;
    this.#replies = replies;
    replies.onDrain(() => {
      this.#mayWrite = true;
      this.#pump();
    });
    this.#pump();
  }

  add(event: HealthEvent): void {
    this.#waiting.push(event);
    if (this.#waiting.length > MAX_WAITING) this.#overflow.abort();
    else this.#pump();
  }

  /** Resolves when the reader has gone. @throws AdminError `SLOW_READER` */
  async ended(): Promise<void> {
    const { signal } = this.#replies;
    const over = AbortSignal.any([signal, this.#overflow.signal]);
    if (!over.aborted) await once(over, 'abort');
    // What is left is not sent after the end, nor kept for a reader that may never read it.
    this.#beginning = [].values();
    this.#waiting.length = 0;
    if (signal.aborted) return;
    throw new AdminError(
      Code.RESOURCE_EXHAUSTED,
      'SLOW_READER',
      `the reader is more than ${MAX_WAITING} events behind; watch again from 0`,
    );
  }

  #pump(): void {
    while (this.#mayWrite && !this.#resting) {
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
    const event = this.#waiting.shift();
    return event === undefined ? undefined : healthEventMessage(event);
  }
}
