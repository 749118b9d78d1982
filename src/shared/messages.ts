/** Everything that crosses the thread wall as a message, both ways. Fast facts cross in shared memory (memory/). */
import {
  formatAddress,
  type Listener,
  type LogLevel,
  type Revision,
  type Snapshot,
  type Timeouts,
  type UpstreamTlsMaterial,
} from '../domain/model.ts';
import type { CloseReason, Reason } from '../domain/reasons.ts';
import { goesBy } from '../domain/revocations.ts';
import type { Command } from '../domain/state.ts';
import type { TlsMaterial } from '../domain/tls-material.ts';
import type { ExplainQuestion, Explanation } from './explain.ts';
import type { SharedBuffers, SharedMemory } from './memory/layout.ts';
import type { ResolvedHosts } from './upstream-addresses.ts';

/** Which row of shared memory belongs to a server or a client. */
export interface SlotAssignments {
  /** serverKey -> slot */
  readonly servers: ReadonlyMap<string, number>;
  /** Target group name -> slot */
  readonly groups: ReadonlyMap<string, number>;
  /** Listener name -> slot */
  readonly listeners: ReadonlyMap<string, number>;
  /** clientId -> slot */
  readonly clients: ReadonlyMap<string, number>;
  /** clientId -> the cells of its connection-rate limiter, for the clients that have one. */
  readonly limiters: ReadonlyMap<string, SharedMemory>;
}

/** What a worker is born with (workerData). */
export interface WorkerBirth {
  readonly lane: number;
  readonly memory: SharedBuffers;
  readonly snapshot: Snapshot;
  readonly slots: SlotAssignments;
  /** Listener name -> its TLS material. */
  readonly tls: ReadonlyMap<string, TlsMaterial>;
  /** Target group -> the TLS material for its servers, where they speak TLS. */
  readonly upstreamTls: ReadonlyMap<string, UpstreamTlsMaterial>;
  /** {@link placeOf} a listener -> the port the first worker was given, for listeners configured with port 0. */
  readonly ports: Ports;
  /** Where the servers are that have host names. */
  readonly hosts: ResolvedHosts;
  readonly timeouts: Timeouts;
  readonly maxPendingHandshakes: number;
  /** Over all listeners; more are refused. */
  readonly maxConnections: number;
  readonly logLevel: LogLevel;
  /** Somebody watches connections: as after a `watch` message. */
  readonly watched: boolean;
}

/** A server to which connecting has failed several times in a row, as counted over all workers. */
export interface FailingServer {
  readonly group: string;
  readonly server: string;
  readonly slot: number;
  readonly failures: number;
  /** What the last attempt failed with. */
  readonly cause: string;
}

/** Which live connections are meant; every given field must match. */
export interface ConnectionSelector {
  /** Of {@link connectionId}. */
  readonly id?: string;
  readonly clientId?: string;
  /** Of the client's certificate. */
  readonly fingerprint?: string;
  readonly group?: string;
  readonly server?: string;
}

/** What a selector looks at. */
export interface Selectable extends Required<ConnectionSelector> {
  /** As of Identity: they are meant too when a fingerprint is. */
  readonly twins: readonly string[];
}

/** True when every given field of the selector is the connection's. */
export function selects(selector: ConnectionSelector, connection: Selectable): boolean {
  return (
    (selector.id === undefined || selector.id === connection.id) &&
    (selector.clientId === undefined || selector.clientId === connection.clientId) &&
    (selector.fingerprint === undefined || goesBy(selector.fingerprint, connection)) &&
    (selector.group === undefined || selector.group === connection.group) &&
    (selector.server === undefined || selector.server === connection.server)
  );
}

/** A connection's name for people: its worker and its number there, `0-4711`. */
export function connectionId(lane: number, number: number): string {
  return `${lane}-${number}`;
}

/** A connection waits before it is served: `delayed` by its client's rate limit, `queued` for a place on a server, or `connecting` to one. */
export interface Wait {
  readonly kind: 'delayed' | 'queued' | 'connecting';
  /** Milliseconds since 1970. */
  readonly sinceMs: number;
}

/** One connection as others see it. What a refused connection did not come to is empty. */
export interface ConnectionFacts extends Selectable {
  /** Rises within the worker, from 1. */
  readonly number: number;
  readonly listener: string;
  /** host:port of the client. */
  readonly remote: string;
  /** host:port of the proxy that spoke for it (PROXY protocol); empty: it came by itself. */
  readonly via: string;
  /** The certificate's name; empty on a plain listener. */
  readonly identity: string;
  /** Milliseconds since 1970; undefined: it was never served. */
  readonly openedAtMs: number | undefined;
  /** undefined: it does not wait, or no longer. */
  readonly waiting: Wait | undefined;
  readonly bytesFromClient: number;
  readonly bytesToClient: number;
}

/** What became of a connection, for those who watch. */
export type ConnectionEvent =
  | { readonly kind: 'opened' | 'waiting'; readonly atMs: number; readonly connection: ConnectionFacts }
  | {
      readonly kind: 'closed' | 'refused';
      readonly atMs: number;
      readonly connection: ConnectionFacts;
      readonly reason: Reason;
      readonly detail: string;
    };

/**
 * A part of a worker's live connections, those that are not served yet among them, in the order of their numbers: those after `after`, up to `upTo`, at
 * most `limit`.
 */
export interface ConnectionQuery {
  readonly selector: ConnectionSelector;
  readonly after: number;
  readonly upTo: number;
  readonly limit: number;
}

export interface ConnectionPage {
  readonly connections: readonly ConnectionFacts[];
  /** There may be more of them after the last. */
  readonly more: boolean;
  /** The highest number that was given so far: later connections have higher ones. */
  readonly lastNumber: number;
}

/** What happened, in order. `lost`: more happened between these and those before than there was room for. */
export interface ConnectionEvents {
  readonly events: readonly ConnectionEvent[];
  readonly lost: number;
}

/** How live connections that are no longer allowed end: now, or at a deadline unless they are allowed again by then. */
export type CloseMode = 'reset' | 'drain';

/** How many connections a withdrawal or an administrator has ended. */
export interface Ended {
  /** That were served: closed, or with time until a deadline. */
  readonly served: number;
  /** That waited for their turn or for a server, or were being connected to one: refused. */
  readonly waiting: number;
}

/** How many connections of a server are to be closed. */
export interface Closing {
  readonly group: string;
  readonly server: string;
  readonly count: number;
}

export type ToWorker =
  /** Apply these commands to the snapshot of revision `from`; slots and TLS material are those that are new or changed. */
  | {
      readonly kind: 'publish';
      readonly from: Revision;
      readonly commands: readonly Command[];
      readonly slots: SlotAssignments;
      readonly listenerTls: ReadonlyMap<string, TlsMaterial>;
      readonly upstreamTls: ReadonlyMap<string, UpstreamTlsMaterial>;
    }
  /** Open these beside those that are open, all or none; who comes waits until a state names them. */
  | { readonly kind: 'open'; readonly requestId: number; readonly listeners: readonly Listener[]; readonly ports: Ports }
  /** Close what the state of now does not name. */
  | { readonly kind: 'shut' }
  | {
      readonly kind: 'tls';
      readonly requestId: number;
      readonly material: ReadonlyMap<string, TlsMaterial>;
      readonly upstreamTls: ReadonlyMap<string, UpstreamTlsMaterial>;
    }
  /** These host names are resolved anew. */
  | { readonly kind: 'hosts'; readonly requestId: number; readonly hosts: ResolvedHosts }
  /** Refuse those that wait for their turn or for a place. */
  | { readonly kind: 'refuseWaiting'; readonly requestId: number; readonly selector: ConnectionSelector }
  /** Close those that are served, and refuse those that are being connected to a server unless they lose it. */
  | { readonly kind: 'close'; readonly requestId: number; readonly selector: ConnectionSelector; readonly reason: CloseReason }
  /** End the connections that are not allowed any more by the state of now. */
  | {
      readonly kind: 'enforce';
      readonly requestId: number;
      readonly mode: CloseMode;
      readonly deadlineMs: number;
      /** These are ended as this says although they have a deadline already. */
      readonly anew: ConnectionSelector | undefined;
    }
  /** Close so many connections of these servers, the longest idle first, so that their clients come back elsewhere. */
  | { readonly kind: 'rebalance'; readonly requestId: number; readonly closings: readonly Closing[] }
  | { readonly kind: 'list'; readonly requestId: number; readonly query: ConnectionQuery }
  /** Tell what happens to connections from now on, or stop telling. */
  | { readonly kind: 'watch'; readonly on: boolean }
  /** The last events that were told have been taken: the next may come. */
  | { readonly kind: 'taken' }
  | { readonly kind: 'explain'; readonly requestId: number; readonly question: ExplainQuestion }
  | { readonly kind: 'logLevel'; readonly level: LogLevel }
  /** Stop accepting; end when the last connection has. */
  | { readonly kind: 'drain' }
  /** The deadline of the end has come: nobody waits any longer. */
  | { readonly kind: 'dismissWaiting'; readonly requestId: number }
  /** Reset every connection that is left. */
  | { readonly kind: 'closeAll' };

/** {@link placeOf} a listener -> the port that is open there. */
export type Ports = ReadonlyMap<string, number>;

/** Where a listener is open: by this it is recognised when its name changes. With port 0 every listener has a place of its own. */
export function placeOf({ name, address }: Pick<Listener, 'name' | 'address'>): string {
  return address.port === 0 ? `${address.host} for ${name}` : formatAddress(address);
}

/** A listener that could not be opened. `code` is the system's. */
export interface OpenFailure {
  readonly listener: string;
  readonly code: string;
  readonly message: string;
}

export type FromWorker =
  | { readonly kind: 'listening'; readonly ports: Ports }
  | ({ readonly kind: 'listenFailed' } & OpenFailure)
  | { readonly kind: 'opened'; readonly requestId: number; readonly result: Ports | OpenFailure }
  | { readonly kind: 'published'; readonly revision: Revision }
  | ({ readonly kind: 'failing' } & FailingServer)
  | { readonly kind: 'done'; readonly requestId: number; readonly count: number }
  | ({ readonly kind: 'ended'; readonly requestId: number } & Ended)
  /** `before`: what happened before this and was not told yet. */
  | { readonly kind: 'listed'; readonly requestId: number; readonly page: ConnectionPage; readonly before: ConnectionEvents }
  | ({ readonly kind: 'events' } & ConnectionEvents)
  | { readonly kind: 'explained'; readonly requestId: number; readonly explanation: Explanation }
  /** Log lines as they are to be written, newline included. */
  | { readonly kind: 'log'; readonly lines: readonly string[] }
  | { readonly kind: 'drained'; readonly reset: number };
