/** Everything that crosses the thread wall as a message, both ways. Fast facts cross in shared memory (memory.ts). */
import type { LogLevel, Revision, Snapshot, Timeouts, TlsMaterial } from '../domain/model.ts';
import type { CloseReason } from '../domain/reasons.ts';
import type { Command } from '../domain/state.ts';
import type { Explanation, ExplainQuestion } from './explain.ts';
import type { SharedBuffers, SharedMemory } from './memory.ts';

export { LOG_LEVELS, type LogLevel } from '../domain/model.ts';

/** Which row of shared memory belongs to a server or a client. */
export interface SlotAssignments {
  /** serverKey -> slot */
  readonly servers: ReadonlyMap<string, number>;
  /** Target group name -> slot */
  readonly groups: ReadonlyMap<string, number>;
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
  /** Listener name -> the port the first worker was given, for listeners configured with port 0. */
  readonly ports: ReadonlyMap<string, number>;
  readonly timeouts: Timeouts;
  readonly maxPendingHandshakes: number;
  /** Over all listeners; more are refused. */
  readonly maxConnections: number;
  readonly logLevel: LogLevel;
}

/** Which live connections are meant; every given field must match. */
export interface ConnectionSelector {
  readonly clientId?: string;
  readonly group?: string;
  readonly server?: string;
}

export type ToWorker =
  /** Apply these commands to the snapshot of revision `from`; the slots are those that are new or changed. */
  | { readonly kind: 'publish'; readonly from: Revision; readonly commands: readonly Command[]; readonly slots: SlotAssignments }
  | { readonly kind: 'tls'; readonly requestId: number; readonly material: ReadonlyMap<string, TlsMaterial> }
  | { readonly kind: 'close'; readonly requestId: number; readonly selector: ConnectionSelector; readonly reason: CloseReason }
  | { readonly kind: 'explain'; readonly requestId: number; readonly question: ExplainQuestion }
  | { readonly kind: 'logLevel'; readonly level: LogLevel }
  /** Stop accepting; end when the last connection has, or reset what is left after `deadlineMs`. */
  | { readonly kind: 'drain'; readonly deadlineMs: number };

export type FromWorker =
  | { readonly kind: 'listening'; readonly ports: ReadonlyMap<string, number> }
  | { readonly kind: 'listenFailed'; readonly listener: string; readonly code: string; readonly message: string }
  | { readonly kind: 'published'; readonly revision: Revision }
  | { readonly kind: 'done'; readonly requestId: number; readonly count: number }
  | { readonly kind: 'explained'; readonly requestId: number; readonly explanation: Explanation }
  /** Log lines as they are to be written, newline included. */
  | { readonly kind: 'log'; readonly lines: readonly string[] }
  | { readonly kind: 'drained'; readonly reset: number };
