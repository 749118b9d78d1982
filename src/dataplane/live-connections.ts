/** The connections that a worker serves: listed, closed, and ended when what let them in is withdrawn. */
import type { CloseReason } from '../domain/reasons.ts';
import {
  type CloseMode,
  type Closing,
  type ConnectionFacts,
  type ConnectionQuery,
  type ConnectionSelector,
  type Selectable,
  selects,
} from '../shared/messages.ts';
import type { CertificateChain } from './certificate-chain.ts';
import { type ConnectionsInOrder, pageOf } from './connection-page.ts';
import { type Ground, withdrawn } from './standing.ts';
import type { View } from './view.ts';

export interface LiveConnection extends Selectable {
  readonly number: number;
  readonly listener: string;
  /** What the client has shown of its chain, its own certificate first; undefined on a plain listener. Made anew each time. */
  chain(): CertificateChain | undefined;
  readonly ground: Ground;
  facts(): ConnectionFacts;
  /** When a byte last moved, on the monotonic clock. */
  lastMoveMs(): number;
  close(reason: CloseReason): void;
}

/** A connection that may go on until its deadline. */
interface Reprieve {
  readonly reason: CloseReason;
  readonly deadline: NodeJS.Timeout;
}

/** How connections end that are not allowed any more. */
interface Enforcement {
  readonly mode: CloseMode;
  readonly deadlineMs: number;
  readonly anew: ConnectionSelector | undefined;
}

export class LiveConnections {
  /** By number, which rises: the order of insertion is theirs. */
  readonly #connections = new Map<number, LiveConnection>();
  readonly #reprieves = new Map<LiveConnection, Reprieve>();
  readonly #view: () => View;

  /** `view` gives the state of now. */
  constructor(view: () => View) {
    this.#view = view;
  }

  /** Numbers must rise. */
  add(connection: LiveConnection): void {
    this.#connections.set(connection.number, connection);
  }

  delete(connection: LiveConnection): void {
    this.#connections.delete(connection.number);
    this.#pardon(connection);
  }

  list(query: ConnectionQuery): ConnectionsInOrder {
    return pageOf(this.#connections.values(), query);
  }

  /** The connections that came in by the listener. */
  on(listener: string): readonly LiveConnection[] {
    return this.#those((connection) => connection.listener === listener);
  }

  /** Closes the connections that are meant, and says how many they are. */
  close(selector: ConnectionSelector, reason: CloseReason): number {
    const chosen = this.#those((connection) => selects(selector, connection));
    for (const connection of chosen) connection.close(reason);
    return chosen.length;
  }

  /** Closes so many connections of each server, the longest idle first, and says how many they were. */
  closeIdlest(closings: readonly Closing[], reason: CloseReason): number {
    let closed = 0;
    for (const { group, server, count } of closings) {
      const candidates = this.#those((connection) => connection.group === group && connection.server === server);
      const chosen = candidates.sort((a, b) => a.lastMoveMs() - b.lastMoveMs()).slice(0, count);
      for (const connection of chosen) connection.close(reason);
      closed += chosen.length;
    }
    return closed;
  }

  closeAll(reason: CloseReason): void {
    for (const connection of this.#those(() => true)) connection.close(reason);
  }

  /**
   * Ends the connections whose ground is gone, and says how many they are. Those that have their deadline already, for the same
   * reason, keep it and are not counted again, unless `anew` fits them.
   */
  enforce({ mode, deadlineMs, anew }: Enforcement): number {
    const view = this.#view();
    let count = 0;
    for (const connection of this.#those(() => true)) {
      const withdrawal = withdrawn(connection.ground, view);
      if (withdrawal === undefined) continue;
      const isUnderWay = withdrawal.close === this.#reprieves.get(connection)?.reason;
      if (isUnderWay && (anew === undefined || !selects(anew, connection))) continue;
      count++;
      if (mode === 'reset') connection.close(withdrawal.close);
      else this.#reprieve(connection, withdrawal.close, deadlineMs);
    }
    return count;
  }

  /** Call it when the state has changed: what is allowed again has no deadline any more. */
  pardonTheAllowed(): void {
    const view = this.#view();
    for (const connection of [...this.#reprieves.keys()]) {
      if (withdrawn(connection.ground, view) === undefined) this.#pardon(connection);
    }
  }

  #reprieve(connection: LiveConnection, reason: CloseReason, deadlineMs: number): void {
    this.#pardon(connection);
    this.#reprieves.set(connection, { reason, deadline: setTimeout(() => connection.close(reason), deadlineMs) });
  }

  #pardon(connection: LiveConnection): void {
    clearTimeout(this.#reprieves.get(connection)?.deadline);
    this.#reprieves.delete(connection);
  }

  /** A copy, because closing a connection may take it out at once. */
  #those(fit: (connection: LiveConnection) => boolean): LiveConnection[] {
    return [...this.#connections.values()].filter(fit);
  }
}
