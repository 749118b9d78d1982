import type { TLSSocket } from 'node:tls';
import type { Logger } from 'pino';
import type { AgentAnswer } from '../controlplane/agent-checker.ts';
import type { Authority } from '../controlplane/authority.ts';
import type { ConnectionListing, ConnectionSelector, Ended } from '../controlplane/connection-list.ts';
import type { ConnectionReader, WatchFilter } from '../controlplane/connection-watch.ts';
import type { HealthJournal, ServerHealth } from '../controlplane/health-journal.ts';
import type { HostStatus } from '../controlplane/host-resolver.ts';
import type { EjectionStatus } from '../controlplane/outlier-detector.ts';
import type { Planner } from '../controlplane/planner.ts';
import type { Stats } from '../controlplane/stats.ts';
import type { ExplainQuestion, Explanation } from '../controlplane/workers.ts';
import type { ListInUse } from '../domain/list-in-use.ts';
import type { BoundListener, LogLevel } from '../domain/model.ts';
import type { CloseReason } from '../domain/reasons.ts';
import type { ServedChain } from '../domain/served-chain.ts';
import type { CertificateInUse } from '../domain/useless-revocation.ts';

/** What the admin API knows of the health checker. */
export interface HealthView {
  /** undefined: there is no such server, or its checks have not begun. */
  statusOf(group: string, server: string): ServerHealth | undefined;
  list(): readonly ServerHealth[];
  /** Resolves when the server's first probe has finished, when there will be none, or after a second. */
  firstProbe(group: string, server: string): Promise<void>;
}

/** What is known of servers besides what their probes say. */
export interface UpstreamView {
  /** undefined: there is no such server. */
  ejectionOf(group: string, server: string): EjectionStatus | undefined;
  /** undefined: its host is an IP address. */
  resolutionOf(server: string): HostStatus | undefined;
  isInPanic(group: string): boolean;
  /** Connections that are still to move after a recovery; undefined: none are being moved. */
  rebalancing(group: string): number | undefined;
}

/** The data plane's live connections, over all workers. */
export interface LiveConnections {
  /** Resets the connections that every given field fits, refuses those that are not served yet, and says how many they were. */
  close(selector: ConnectionSelector, reason: CloseReason): Promise<Ended>;
  /**
   * Ends the connections that the state of now does not allow: at once, or at the deadline those that are not allowed again by
   * then. Says how many these are, and how many were not served yet and were refused by the change. Call it after every change that may take something away. Those that
   * have a deadline already keep it, except the ones that `anew` fits.
   */
  enforce(mode: 'reset' | 'drain', deadlineMs: number, anew?: ConnectionSelector): Promise<Ended>;
  /** At most `limit` of those that are meant, oldest first, after what `after` says (none: from the beginning). */
  list(selector: ConnectionSelector, after: readonly number[], limit: number): Promise<ConnectionListing>;
  /** Those that are meant, then what happens to them; close the reader at the end. */
  watch(filter: WatchFilter): Pick<ConnectionReader, 'next' | 'onNews' | 'failed' | 'close'>;
}

/** Why the files were not taken. */
export interface ReloadRefusal {
  /** In one line. */
  readonly problem: string;
  /** The files are sound, but would shut the caller out. */
  readonly shutsOut: boolean;
}

/** The files were taken. */
export interface Reloaded {
  /** Connections that were ended because their certificates are withdrawn by it, those that were not served yet counted. */
  readonly connectionsClosed: number;
  /** What may not be meant of them, one line each. */
  readonly warnings: readonly string[];
}

export interface Certificates {
  /** What is served now, whatever the files say meanwhile. */
  served(): readonly ServedChain[];
  /** The revocation lists in force. */
  lists(): readonly ListInUse[];
  /** Every certificate that is loaded: what is served, and the CAs that clients and administrators are held against. */
  inUse(): readonly CertificateInUse[];
  /**
   * Takes all of them anew from their files; otherwise says what is wrong, and the old ones all stay. It is wrong, too, when the admin
   * API would no longer take the certificate of this connection, if one is given.
   */
  reload(caller?: TLSSocket): Promise<Reloaded | ReloadRefusal>;
}

/** Everything that the admin API reads and changes; the composition root puts it together. */
export interface AdminContext {
  readonly authority: Authority;
  readonly stats: Stats;
  readonly health: HealthView;
  /** What the agents say of servers. */
  readonly agents: { answerOf(group: string, server: string): AgentAnswer | undefined };
  readonly upstreams: UpstreamView;
  readonly journal: HealthJournal;
  readonly connections: LiveConnections;
  readonly certificates: Certificates;
  /** What would become of a connection; undefined: no worker answered. */
  explain(question: ExplainQuestion): Promise<Explanation | undefined>;
  readonly logLevel: { get(): LogLevel; set(level: LogLevel): void };
  /** Works on whole configurations, off this thread. */
  readonly planner: Pick<Planner, 'plan' | 'export' | 'retell'>;
  listeners(): readonly BoundListener[];
  readonly workers: number;
  /** Milliseconds since 1970. */
  readonly startedAtMs: number;
  readonly version: string;
  /** How long RemoveUpstreamServer lets connections go on when the request does not say. */
  readonly drainTimeoutMs: number;
  readonly log: Logger;
}
