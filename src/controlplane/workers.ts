/** What all workers are told and asked together, from their start until they are drained. */
import type { Listener, LogLevel, Snapshot, UpstreamTlsMaterial } from '../domain/model.ts';
import type { CloseReason } from '../domain/reasons.ts';
import type { TlsMaterial } from '../domain/tls-material.ts';
import type { ExplainQuestion, Explanation } from '../shared/explain.ts';
import {
  type CloseMode,
  type Closing,
  type ConnectionEvents,
  type ConnectionPage,
  type ConnectionQuery,
  type ConnectionSelector,
  type Ended,
  type FailingServer,
  type Ports,
  placeOf,
  type SlotAssignments,
  type ToWorker,
  type WorkerBirth,
} from '../shared/messages.ts';

export type { ExplainQuestion, Explanation } from '../shared/explain.ts';

import type { ResolvedHosts } from '../shared/upstream-addresses.ts';
import type { Change } from './authority.ts';
import type { Slots } from './slots.ts';
import { type CrewLog, WorkerCrew } from './worker-crew.ts';
import { WorkerThread } from './worker-thread.ts';

/** What every worker is born with, apart from what changes: its lane, the state, the slots, the ports. */
export type Upbringing = Pick<WorkerBirth, 'memory' | 'timeouts' | 'maxPendingHandshakes' | 'maxConnections'>;

export interface WorkersOptions {
  /** The worker's program: `dataplane/worker.ts`, or its compiled form. */
  readonly program: URL;
  readonly count: number;
  readonly upbringing: Upbringing;
  readonly slots: Slots;
  /** The state that a worker starts from. */
  readonly snapshot: () => Snapshot;
  /** Listener name -> what new connections are served with. */
  readonly listenerTls: () => ReadonlyMap<string, TlsMaterial>;
  /** What the groups' servers are spoken TLS to with. */
  readonly upstreamTls: () => ReadonlyMap<string, UpstreamTlsMaterial>;
  readonly logLevel: LogLevel;
  /** Where the servers are that have host names. */
  readonly hosts: () => ResolvedHosts;
  /** Hears of servers that connections fail to. */
  readonly onFailing: (server: FailingServer) => void;
  /** Writes log lines that workers sent, as they are. */
  readonly writeLines: (lines: readonly string[]) => void;
  readonly log: CrewLog;
}

/** Learns what happens to connections, while they are watched. */
export interface ConnectionListener {
  happened(lane: number, events: ConnectionEvents): void;
  /** The worker is gone, its connections with it. */
  workerDied(lane: number): void;
}

/** The TLS material that a change brings along: what is new or changed. */
export interface ChangedTls {
  /** By listener. */
  readonly listenerTls?: ReadonlyMap<string, TlsMaterial>;
  /** By target group. */
  readonly upstreamTls?: ReadonlyMap<string, UpstreamTlsMaterial>;
}

export class Workers {
  readonly #options: WorkersOptions;
  readonly #crew: WorkerCrew;
  #ports: Ports = new Map();
  #logLevel: LogLevel;
  #listener: ConnectionListener | undefined;
  #drainDeadline: NodeJS.Timeout | undefined;

  constructor(options: WorkersOptions) {
    this.#options = options;
    this.#logLevel = options.logLevel;
    const { count, log } = options;
    this.#crew = new WorkerCrew({ count, spawn: (lane) => this.#spawn(lane), onDeath: (lane) => this.#clearUp(lane), log });
  }

  /**
   * Starts all workers; resolves when all listen. The first one settles the port of listeners configured with port 0.
   * @throws ListenError when a listener cannot be opened; no worker is left then.
   */
  start(): Promise<void> {
    return this.#crew.start((ports) => {
      this.#ports = ports;
    });
  }

  /** The port that the listener really has. */
  portOf(listener: Listener): number {
    return this.#ports.get(placeOf(listener)) ?? listener.address.port;
  }

  get logLevel(): LogLevel {
    return this.#logLevel;
  }

  /** Hands a change to every worker; resolves when each has taken it over (or has died, and its successor starts from the new state). */
  async publish(
    { command, previous, next }: Change,
    slots: SlotAssignments,
    { listenerTls = new Map(), upstreamTls = new Map() }: ChangedTls = {},
  ): Promise<void> {
    if (next.listeners !== previous.listeners) this.#keepPortsOf(next.listeners);
    await Promise.all(
      Array.from({ length: this.count }, async (_, worker) => {
        const thread = this.#crew.at(worker);
        const taken = await thread?.publish(
          { kind: 'publish', from: previous.revision, commands: [command], slots, listenerTls, upstreamTls },
          next.revision,
        );
        if (taken !== false || this.#crew.at(worker) !== thread) return;
        this.#options.log.error(
          { worker, revision: next.revision },
          'a worker is stuck: it has not taken a change and goes by the state before it',
        );
      }),
    );
  }

  /** Puts it into force; resolves with how many connections are ended whose certificates it withdraws. */
  reloadTls(material: ReadonlyMap<string, TlsMaterial>, upstreamTls: ReadonlyMap<string, UpstreamTlsMaterial>): Promise<Ended> {
    return this.#endOver((requestId) => ({ kind: 'tls', requestId, material, upstreamTls }));
  }

  /**
   * Opens these ports in every worker; who comes is served from the change on that names the listeners.
   * @throws ListenError when a worker cannot: none has them open then
   */
  async open(listeners: readonly Listener[]): Promise<void> {
    try {
      // One after the other: the first settles the port of listeners configured with port 0.
      for (const thread of this.#crew.running()) {
        const opened = await thread.open(listeners, this.#ports);
        if (opened !== undefined) this.#ports = new Map([...this.#ports, ...opened]);
      }
    } catch (error) {
      this.shut();
      throw error;
    }
  }

  /** Closes again what was opened and no state names. */
  shut(): void {
    this.#keepPortsOf(this.#options.snapshot().listeners);
    for (const thread of this.#crew.running()) thread.send({ kind: 'shut' });
  }

  /** Tells every worker where servers are; resolves when each knows. */
  async useHosts(hosts: ResolvedHosts): Promise<void> {
    await Promise.all(this.#crew.running().map((thread) => thread.request((requestId) => ({ kind: 'hosts', requestId, hosts }))));
  }

  /** Closes the live connections that are meant, and refuses those that are not served yet; resolves with how many they were. */
  async close(selector: ConnectionSelector, reason: CloseReason): Promise<Ended> {
    // Those that wait first, in every worker: one could take a place on a server that another leaves, and reach the server for a moment.
    const waiting = await this.#countOver((requestId) => ({ kind: 'refuseWaiting', requestId, selector }));
    const ended = await this.#endOver((requestId) => ({ kind: 'close', requestId, selector, reason }));
    return { served: ended.served, waiting: waiting + ended.waiting };
  }

  /** Has each worker close the connections that are meant for its lane; resolves with how many they were. */
  async rebalance(closings: readonly (readonly Closing[])[]): Promise<number> {
    const counts = await Promise.all(
      closings.map((each, lane) =>
        each.length === 0 ? 0 : this.#crew.at(lane)?.request((requestId) => ({ kind: 'rebalance', requestId, closings: each })),
      ),
    );
    return counts.reduce<number>((sum, count = 0) => sum + count, 0);
  }

  /**
   * Ends the live connections that the state of now does not allow; resolves with how many they are, and how many were not served yet when the state
   * was published and were refused by it.
   */
  enforce(mode: CloseMode, deadlineMs: number, anew?: ConnectionSelector): Promise<Ended> {
    return this.#endOver((requestId) => ({ kind: 'enforce', requestId, mode, deadlineMs, anew }));
  }

  /** Gives `take` a part of one worker's live connections; undefined when there is no such worker now or it does not answer. */
  list(lane: number, query: ConnectionQuery, take: (page: ConnectionPage | undefined) => void): void {
    const thread = this.#crew.at(lane);
    if (thread === undefined) take(undefined);
    else thread.list(query, take);
  }

  /** Tells the listener what happens to connections from now on; undefined: nobody. */
  watch(listener: ConnectionListener | undefined): void {
    this.#listener = listener;
    for (const thread of this.#crew.running()) thread.send({ kind: 'watch', on: listener !== undefined });
  }

  /** How many workers there are, those counted that are being replaced: lanes are numbered from 0. */
  get count(): number {
    return this.#options.count;
  }

  /** Asks one worker what would become of a connection; undefined: none answered. */
  async explain(question: ExplainQuestion): Promise<Explanation | undefined> {
    return this.#crew.running()[0]?.explain(question);
  }

  setLogLevel(level: LogLevel): void {
    this.#logLevel = level;
    for (const thread of this.#crew.running()) thread.send({ kind: 'logLevel', level });
  }

  /**
   * Accepts no more, waits until the last connection has ended, resets what is left after `deadlineMs`; resolves with that number. A second
   * call sets another deadline.
   */
  async drain(deadlineMs: number): Promise<number> {
    this.#crew.replaceNoMore();
    clearTimeout(this.#drainDeadline);
    const deadline = setTimeout(() => void this.#closeAll(), deadlineMs);
    this.#drainDeadline = deadline;
    const resets = await Promise.all(this.#crew.running().map((thread) => thread.drain(deadlineMs)));
    clearTimeout(deadline);
    return resets.reduce((sum, count) => sum + count, 0);
  }

  /** Ends every worker at once, its connections with it. */
  stop(): Promise<void> {
    return this.#crew.stop();
  }

  /** As in {@link close}: nobody gets the place of one that is reset. */
  async #closeAll(): Promise<void> {
    await this.#countOver((requestId) => ({ kind: 'dismissWaiting', requestId }));
    for (const thread of this.#crew.running()) thread.send({ kind: 'closeAll' });
  }

  async #countOver(message: (requestId: number) => ToWorker): Promise<number> {
    const counts = await Promise.all(this.#crew.running().map((thread) => thread.request(message)));
    return counts.reduce((sum, count) => sum + count, 0);
  }

  async #endOver(message: (requestId: number) => ToWorker): Promise<Ended> {
    const all = await Promise.all(this.#crew.running().map((thread) => thread.end(message)));
    return all.reduce((sum, { served, waiting }) => ({ served: sum.served + served, waiting: sum.waiting + waiting }), {
      served: 0,
      waiting: 0,
    });
  }

  #spawn(lane: number): WorkerThread {
    const { program, upbringing, slots, snapshot, listenerTls, upstreamTls, hosts, onFailing, writeLines } = this.#options;
    return new WorkerThread(
      program,
      {
        ...upbringing,
        lane,
        snapshot: snapshot(),
        slots: slots.all(),
        tls: listenerTls(),
        upstreamTls: upstreamTls(),
        hosts: hosts(),
        ports: this.#ports,
        logLevel: this.#logLevel,
        watched: this.#listener !== undefined,
      },
      { lines: writeLines, connections: (events) => this.#listener?.happened(lane, events), failing: onFailing },
    );
  }

  /** Takes back what a dead worker held. */
  #clearUp(lane: number): void {
    this.#options.slots.releaseLane(lane);
    this.#listener?.workerDied(lane);
  }

  #keepPortsOf(listeners: readonly Listener[]): void {
    const places = new Set(listeners.map(placeOf));
    this.#ports = new Map([...this.#ports].filter(([place]) => places.has(place)));
  }
}
