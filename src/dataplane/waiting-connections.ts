/** A worker's connections that wait, for their turn or for a place on a server: counted, listed, and refused when an administrator says so. */
import type { LaneWriter } from '../shared/memory/lane-writer.ts';
import {
  type ConnectionFacts,
  type ConnectionQuery,
  type ConnectionSelector,
  type Selectable,
  selects,
  type Wait,
} from '../shared/messages.ts';
import { connectionFacts, type Facts, noteWaited, numberOf } from './connection-facts.ts';
import { type ConnectionsInOrder, pageOf } from './connection-page.ts';
import type { EventFeed } from './event-feed.ts';
import { Refusal } from './refusal.ts';
import type { Ground } from './standing.ts';
import type { Waiting, WaitsFor } from './waiting.ts';

interface WaitingConnection extends Selectable {
  readonly number: number;
  facts(): ConnectionFacts;
  refuse(refusal: Refusal): void;
}

export interface WaitingConnectionsParts {
  readonly lane: LaneWriter;
  readonly events: EventFeed;
  /** Milliseconds since 1970. */
  readonly wallMs: () => number;
}

export class WaitingConnections {
  readonly #parts: WaitingConnectionsParts;
  /** By number, which rises: the order of insertion is theirs. */
  readonly #connections = new Map<number, WaitingConnection>();

  constructor(parts: WaitingConnectionsParts) {
    this.#parts = parts;
  }

  /** What a connection has to tell when it waits, and when it does no longer. */
  tellOf(kind: WaitsFor, ground: Ground, clientSlot: number, facts: Facts): Pick<Waiting, 'onWaits' | 'onWaited'> {
    const { lane, events, wallMs } = this.#parts;
    let number: number | undefined;
    return {
      onWaits: (refuse) => {
        const atMs = wallMs();
        const connection = waitingConnection(numberOf(facts, lane), ground, facts, { kind, sinceMs: atMs }, refuse);
        number = connection.number;
        this.#connections.set(number, connection);
        lane.countWaiting(kind, clientSlot, 1);
        events.add(() => ({ kind: 'waiting', atMs, connection: connection.facts() }));
      },
      onWaited: (ms) => {
        noteWaited(kind, ms, facts);
        if (number === undefined) return;
        this.#connections.delete(number);
        lane.countWaiting(kind, clientSlot, -1);
      },
    };
  }

  list(query: ConnectionQuery): ConnectionsInOrder {
    return pageOf(this.#connections.values(), query);
  }

  /** Refuses the connections that are meant, and says how many they are. */
  refuse(selector: ConnectionSelector): number {
    const chosen = [...this.#connections.values()].filter((connection) => selects(selector, connection));
    for (const connection of chosen) connection.refuse(new Refusal('refused_by_admin', 'an administrator closed it while it waited'));
    return chosen.length;
  }
}

function waitingConnection(
  number: number,
  ground: Ground,
  facts: Facts,
  waiting: Wait,
  refuse: WaitingConnection['refuse'],
): WaitingConnection {
  return {
    id: facts.id ?? '',
    number,
    clientId: ground.clientId,
    fingerprint: ground.identity?.fingerprint ?? '',
    twins: ground.identity?.twins ?? [],
    group: ground.group,
    server: '',
    facts: () => connectionFacts(facts, number, ground.identity, undefined, waiting),
    refuse,
  };
}
