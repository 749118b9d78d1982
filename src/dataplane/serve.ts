/** The part of a connection's story in which bytes flow, and others can see and close it. */
import type { Socket } from 'node:net';
import type { Identity } from '../domain/identity.ts';
import type { Timeouts } from '../domain/model.ts';
import type { CloseReason, EndReason, Reason } from '../domain/reasons.ts';
import type { LaneWriter } from '../shared/memory/lane-writer.ts';
import type { ConnectionFacts } from '../shared/messages.ts';
import { brokenTls } from '../shared/upstream-socket.ts';
import { paceOf } from './bandwidth.ts';
import { type CertificateChain, presentedChain } from './certificate-chain.ts';
import { connectionFacts, type Facts, numberOf } from './connection-facts.ts';
import type { EventFeed } from './event-feed.ts';
import { firstWords, isToBeScreened } from './first-words.ts';
import type { LiveConnection, LiveConnections } from './live-connections.ts';
import type { Pacer } from './pacer.ts';
import type { ReadTurns } from './read-turns.ts';
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
  readonly turns: ReadTurns;
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

/** A connection from when its bytes flow: seen, and closed from outside, until it ends. */
export class ServedConnection implements LiveConnection {
  readonly number: number;
  readonly ground: Ground;
  readonly server: string;
  readonly #downstream: Socket;
  readonly #splice: Splice;
  readonly #openedAtMs: number;
  readonly #facts: Facts;
  readonly #context: ServingContext;
  /** Where its listener is counted: it may be gone by the end. */
  readonly #listenerSlot: number | undefined;

  constructor(serving: Serving, facts: Facts, context: ServingContext) {
    const { lane, live, events, wallMs, view } = context;
    this.#facts = facts;
    this.#context = context;
    this.#downstream = serving.downstream;
    // From now on it may be silent for long, and nobody but the system can tell that the client is gone.
    serving.raw.setKeepAlive(true);
    this.#splice = spliceOf(serving, facts, context);
    this.ground = serving.ground;
    this.server = serving.upstream.reservation.server.address;
    this.#openedAtMs = wallMs();
    this.number = numberOf(facts, lane);
    live.add(this);
    events.add(() => ({ kind: 'opened', atMs: this.#openedAtMs, connection: this.facts() }));
    lane.countAccepted(serving.client.slot);
    this.#listenerSlot = view().slots.listeners.get(facts.listener);
    lane.listeners.countAccepted(this.#listenerSlot);
  }

  /** Copies bytes until both sides are closed, and says why they are. */
  run(): Promise<EndReason> {
    return this.#splice.run();
  }

  /** Call it once, when it is not served any more. */
  end(reason: Reason): void {
    const { lane, live, events, wallMs } = this.#context;
    if (reason === 'upstream_reset') this.#noteBrokenTls();
    lane.countEnded();
    lane.listeners.countEnded(this.#listenerSlot);
    live.delete(this);
    events.add(() => ({ kind: 'closed', atMs: wallMs(), connection: this.facts(), reason, detail: this.#facts.detail ?? '' }));
  }

  #noteBrokenTls(): void {
    const what = this.#splice.failure && brokenTls(this.#splice.failure, this.group);
    if (what !== undefined) this.#facts.detail = `${this.server}: ${what}`;
  }

  get id(): string {
    return this.#facts.id ?? '';
  }

  get listener(): string {
    return this.#facts.listener;
  }

  get clientId(): string {
    return this.ground.clientId;
  }

  get fingerprint(): string {
    return this.ground.identity?.fingerprint ?? '';
  }

  get twins(): readonly string[] {
    return this.ground.identity?.twins ?? [];
  }

  get group(): string {
    return this.ground.group;
  }

  chain(): CertificateChain | undefined {
    return presentedChain(this.#downstream);
  }

  facts(): ConnectionFacts {
    return connectionFacts(this.#facts, this.number, this.ground.identity, this.#openedAtMs);
  }

  lastMoveMs(): number {
    return this.#splice.lastMoveMs;
  }

  close(reason: CloseReason): void {
    this.#splice.close(reason);
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
  const { lane, timeouts, nowMs, view, pacer, turns } = context;
  const { server } = upstream.reservation;
  return new Splice({
    client: downstream,
    upstream: upstream.socket,
    timeouts,
    nowMs,
    resetClient: () => reset(raw, downstream),
    pace: paceOf(client, view, pacer),
    turns,
    firstWords: isToBeScreened(raw, view().listener(facts.listener)) ? firstWords(raw, timeouts.handshakeMs) : undefined,
    onBytes: (direction, bytes) => {
      if (direction === 'upload') {
        facts.bytesUp += bytes;
        lane.countBytesUp(client.slot, server.slot, bytes);
      } else {
        facts.bytesDown += bytes;
        lane.countBytesDown(client.slot, server.slot, bytes);
      }
    },
  });
}
