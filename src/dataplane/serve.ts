/** The part of a connection's story in which bytes flow, and others can see and close it. */
import type { Socket } from 'node:net';
import type { Identity } from '../domain/identity.ts';
import type { Timeouts } from '../domain/model.ts';
import type { EndReason, Reason } from '../domain/reasons.ts';
import type { LaneWriter } from '../shared/memory/lane-writer.ts';
import { paceOf } from './bandwidth.ts';
import { presentedChain } from './certificate-chain.ts';
import { connectionFacts, type Facts, numberOf } from './connection-facts.ts';
import type { EventFeed } from './event-feed.ts';
import { firstWords, isToBeScreened } from './first-words.ts';
import type { LiveConnection, LiveConnections } from './live-connections.ts';
import type { Pacer } from './pacer.ts';
import { reset } from './reset.ts';
import { Splice } from './splice.ts';
import type { Ground } from './standing.ts';
import type { Upstream } from './upstream.ts';
import type { ClientView, View } from './view.ts';

/** What serving takes from the worker. */
export interface ServingContext {
  /** The state of now; it is another object after each change. */
  readonly view: () => View;
  readonly lane: LaneWriter;
  readonly pacer: Pacer;
  readonly timeouts: Timeouts;
  /** The connections being served, so that they can be seen and closed from outside. */
  readonly live: LiveConnections;
  readonly events: EventFeed;
  readonly nowMs: () => number;
  /** Milliseconds since 1970. */
  readonly wallMs: () => number;
}

/** Both sides of a connection that is served, and on whose account. */
export interface Serving {
  /** As accepted, below the TLS of {@link downstream}. */
  readonly raw: Socket;
  readonly downstream: Socket;
  readonly upstream: Upstream;
  readonly client: ClientView;
  readonly ground: Ground;
}

/** Copies bytes until both sides are closed, and says why they are. */
export async function serve(serving: Serving, facts: Facts, context: ServingContext): Promise<EndReason> {
  const { lane, live, events, wallMs, view } = context;
  const splice = spliceOf(serving, facts, context);
  const openedAtMs = wallMs();
  const connection = liveConnection(serving, splice, facts, numberOf(facts, lane), openedAtMs);
  live.add(connection);
  events.add(() => ({ kind: 'opened', atMs: openedAtMs, connection: connection.facts() }));
  lane.countAccepted(serving.client.slot);
  // Kept: the listener may be gone by the end.
  const listener = view().slots.listeners.get(facts.listener);
  lane.listeners.countAccepted(listener);
  let reason: EndReason = 'internal_error';
  try {
    reason = await splice.run();
    return reason;
  } finally {
    lane.countEnded();
    lane.listeners.countEnded(listener);
    live.delete(connection);
    events.add(() => ({ kind: 'closed', atMs: wallMs(), connection: connection.facts(), reason, detail: facts.detail ?? '' }));
  }
}

/** Tells those who watch of a connection that is not served. */
export function tellRefused(
  reason: Reason,
  identity: Identity | undefined,
  facts: Facts,
  { lane, events, wallMs }: Pick<ServingContext, 'lane' | 'events' | 'wallMs'>,
): void {
  const number = numberOf(facts, lane);
  events.add(() => ({
    kind: 'refused',
    atMs: wallMs(),
    connection: connectionFacts(facts, number, identity, undefined),
    reason,
    detail: facts.detail ?? '',
  }));
}

function spliceOf({ raw, downstream, upstream, client }: Serving, facts: Facts, context: ServingContext): Splice {
  const { lane, timeouts, nowMs, view, pacer } = context;
  const { server } = upstream;
  return new Splice({
    client: downstream,
    upstream: upstream.socket,
    timeouts,
    nowMs,
    resetClient: () => reset(raw, downstream),
    pace: paceOf(client, view, pacer),
    firstWords: isToBeScreened(raw, view().listener(facts.listener)) ? firstWords(raw, timeouts.handshakeMs) : undefined,
    onBytesUp: (bytes) => {
      facts.bytesUp += bytes;
      lane.countBytesUp(client.slot, server.slot, bytes);
    },
    onBytesDown: (bytes) => {
      facts.bytesDown += bytes;
      lane.countBytesDown(client.slot, server.slot, bytes);
    },
  });
}

function liveConnection(
  { downstream, upstream, ground }: Serving,
  splice: Splice,
  facts: Facts,
  number: number,
  openedAtMs: number,
): LiveConnection {
  return {
    id: facts.id ?? '',
    number,
    clientId: ground.clientId,
    fingerprint: ground.identity?.fingerprint ?? '',
    listener: facts.listener,
    chain: () => presentedChain(downstream),
    group: ground.group,
    server: upstream.server.address,
    ground,
    facts: () => connectionFacts(facts, number, ground.identity, openedAtMs),
    lastMoveMs: () => splice.lastMoveMs,
    close: (reason) => splice.close(reason),
  };
}
