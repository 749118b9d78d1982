/** The whole balancer without its admin server: authority, health checker and worker threads, wired together. */
import { type Logger, pino } from 'pino';
import type { Config, StoreConfig } from './config/config.ts';
import { type ClientDocument, clientFrom } from './config/document.ts';
import { AgentChecker } from './controlplane/agent-checker.ts';
import { type Accepted, Authority, type Intent } from './controlplane/authority.ts';
import { type Seeding, seed } from './controlplane/bootstrap.ts';
import { type ConnectionListing, listConnections } from './controlplane/connection-list.ts';
import { type ConnectionReader, ConnectionWatch, type WatchFilter } from './controlplane/connection-watch.ts';
import { HealthChecker } from './controlplane/health-checker.ts';
import { HealthJournal, type ServerHealth } from './controlplane/health-journal.ts';
import { HostResolver, type Resolve } from './controlplane/host-resolver.ts';
import { openPorts, refuseTakenPorts } from './controlplane/listener-ports.ts';
import { connectionsPerWorker } from './controlplane/open-files.ts';
import { OutlierDetector } from './controlplane/outlier-detector.ts';
import { PanicWatch } from './controlplane/panic-watch.ts';
import { Rebalancer } from './controlplane/rebalancer.ts';
import { Slots } from './controlplane/slots.ts';
import { Stats } from './controlplane/stats.ts';
import { MemoryStore } from './controlplane/store/memory.ts';
import { SqliteStore } from './controlplane/store/sqlite.ts';
import type { Store } from './controlplane/store/store.ts';
import { Workers } from './controlplane/workers.ts';
import { type AgentState, isAgentDown } from './domain/agent-report.ts';
import { type BoundListener, formatAddress, type LogLevel, type Snapshot, type TlsMaterial, type UpstreamServer } from './domain/model.ts';
import type { CloseReason } from './domain/reasons.ts';
import { SESSION_LIFETIME_MS } from './domain/session-tickets.ts';
import type { Command } from './domain/state.ts';
import { ListenerTlsFiles } from './listener-tls.ts';
import { monotonicMs } from './shared/clock.ts';
import type { ExplainQuestion, Explanation } from './shared/explain.ts';
import { createSharedBuffers, type HealthCode } from './shared/memory/layout.ts';
import { SharedLedger } from './shared/memory/ledger.ts';
import type { CloseMode, ConnectionSelector } from './shared/messages.ts';
import { UpstreamTlsFiles } from './upstream-tls.ts';

export interface LoadBalancerOptions {
  /** Where the log goes; nowhere unless given. */
  readonly log?: Logger;
  /** Writes log lines that workers made, newline included; dropped unless given. */
  readonly writeLogLines?: (lines: readonly string[]) => void;
  /** Takes private keys that every user of the machine may read. */
  readonly allowInsecureKeyPermissions?: boolean;
  /** Where state is kept; what the configuration says unless given. */
  readonly store?: Store;
  /** Another process has the listeners' ports and is about to end: they are shared with it until then. */
  readonly sharesPorts?: boolean;
  /** Finds the addresses of servers' host names; the system's resolver unless given. */
  readonly resolve?: Resolve;
}

/** What an upstream server may have besides its address: weight 1, no limit and no backup unless given. */
export type ServerSettings = Partial<Pick<UpstreamServer, 'weight' | 'maxConnections' | 'backup' | 'mode'>>;

/** The worker's program beside this file: TypeScript in a checkout, JavaScript in an installed package. */
const WORKER_PROGRAM = new URL(import.meta.url.endsWith('.ts') ? './dataplane/worker.ts' : './dataplane/worker.js', import.meta.url);

/** The changes after which a live connection may be one that is not allowed. */
const MAY_FORBID: ReadonlySet<Command['kind']> = new Set([
  'replaceAll',
  'replaceSome',
  'updateClient',
  'removeClient',
  'revokeCertificate',
]);

export class LoadBalancer {
  readonly config: Config;
  readonly authority: Authority;
  readonly stats: Stats;
  readonly journal: HealthJournal;
  readonly health: HealthChecker;
  readonly agents: AgentChecker;
  readonly outliers: OutlierDetector;
  readonly panic: PanicWatch;
  readonly rebalancer: Rebalancer;
  readonly hosts: HostResolver;
  readonly startedAtMs: number;
  readonly seeding: Seeding;
  readonly #workers: Workers;
  readonly #listenerTls: ListenerTlsFiles;
  readonly #upstreamTls: UpstreamTlsFiles;
  readonly #connectionWatch: ConnectionWatch;
  readonly #store: Store;
  readonly #log: Logger;
  readonly #ticketKeys: NodeJS.Timeout;
  #stopped: Promise<number> | undefined;

  private constructor(
    parts: Pick<
      LoadBalancer,
      | 'config'
      | 'authority'
      | 'stats'
      | 'journal'
      | 'health'
      | 'agents'
      | 'outliers'
      | 'panic'
      | 'rebalancer'
      | 'hosts'
      | 'startedAtMs'
      | 'seeding'
    >,
    wiring: { workers: Workers; listenerTls: ListenerTlsFiles; upstreamTls: UpstreamTlsFiles; store: Store; log: Logger },
  ) {
    this.config = parts.config;
    this.authority = parts.authority;
    this.stats = parts.stats;
    this.journal = parts.journal;
    this.health = parts.health;
    this.agents = parts.agents;
    this.outliers = parts.outliers;
    this.panic = parts.panic;
    this.rebalancer = parts.rebalancer;
    this.hosts = parts.hosts;
    this.startedAtMs = parts.startedAtMs;
    this.seeding = parts.seeding;
    this.#workers = wiring.workers;
    this.#listenerTls = wiring.listenerTls;
    this.#upstreamTls = wiring.upstreamTls;
    this.#connectionWatch = new ConnectionWatch(wiring.workers);
    this.#store = wiring.store;
    this.#log = wiring.log;
    this.#ticketKeys = setInterval(() => void this.rotateTicketKeys(), SESSION_LIFETIME_MS).unref();
  }

  /**
   * Starts a balancer; resolves when every worker listens and every server has been probed once (or for a second).
   * @throws TlsFileError, StoreUnavailableError, StoreCorruptError, DomainError or ListenError; nothing is left running then
   */
  static async start(config: Config, options: LoadBalancerOptions = {}): Promise<LoadBalancer> {
    const log = options.log ?? pino({ level: 'silent' });
    const startedAtMs = Date.now();
    const tlsOptions = { allowInsecureKeyPermissions: options.allowInsecureKeyPermissions ?? false };
    const listenerTls = new ListenerTlsFiles(config.listeners, tlsOptions, log);
    const store = options.store ?? (await openStore(config.store));
    try {
      const ledger = new SharedLedger(createSharedBuffers(config.workers));
      const slots = new Slots(ledger);
      const upstreamTls = new UpstreamTlsFiles(tlsOptions, log);
      let seeded = false;
      const vet = (next: Snapshot) => {
        slots.checkCapacity(next);
        // Until then the state may name files of before, which the config file has replaced.
        if (!seeded) return;
        listenerTls.check(next);
        upstreamTls.check(next);
      };
      const prepare = async (previous: Snapshot, next: Snapshot) => (seeded ? openPorts(workers, previous, next) : () => undefined);
      const authority = await Authority.open(store, { vet, prepare });
      const seeding = await seed(authority, config);
      seeded = true;
      slots.follow(authority.snapshot);
      listenerTls.follow(authority.snapshot);
      upstreamTls.follow(authority.snapshot);

      const workers = new Workers({
        program: WORKER_PROGRAM,
        count: config.workers,
        upbringing: {
          memory: ledger.buffers,
          timeouts: config.timeouts,
          maxPendingHandshakes: config.maxPendingHandshakes,
          maxConnections: connectionsPerWorker(config.workers),
        },
        slots,
        snapshot: () => authority.snapshot,
        listenerTls: () => listenerTls.served,
        upstreamTls: () => upstreamTls.served,
        hosts: () => hosts.known,
        onFailing: (server) => outliers.failing(server),
        logLevel: config.logLevel,
        writeLines: options.writeLogLines ?? (() => undefined),
        log,
      });
      const journal = new HealthJournal(startedAtMs);
      const publishHealth = (group: string, address: string, health: HealthCode) => {
        const slot = slots.serverSlot(group, address);
        if (slot !== undefined) ledger.setHealth(slot, health, isRecovery(ledger.health(slot), health) ? monotonicMs() : undefined);
        outliers.note(group);
        panic.note(group);
        rebalancer.note(group);
        if (health === 'unhealthy') closeIfUnhealthy(group, address);
      };
      const closeIfUnhealthy = (group: string, server: string) => {
        if (authority.snapshot.targetGroups.get(group)?.onUnhealthy === 'close')
          void workers.close({ group, server }, 'upstream_unhealthy');
      };
      // A server that comes up while others serve starts slowly, a new one too, as in HAProxy and Envoy; at the start none does.
      let isServing = false;
      const isRecovery = (from: HealthCode, to: HealthCode) => isServing && to === 'healthy' && from !== 'healthy';
      // Slots first: who learns of a new server next must find its row.
      authority.subscribe((change) => {
        const assigned = slots.follow(change.next);
        const tls = { listenerTls: listenerTls.follow(change.next), upstreamTls: upstreamTls.follow(change.next) };
        return workers.publish(change, assigned, tls);
      });
      const openingForChecks = (group: string) => upstreamTls.openingForChecks(authority.snapshot.targetGroups.get(group));
      const hosts = new HostResolver({ authority, publish: (found) => workers.useHosts(found), resolve: options.resolve, log });
      const addressesOf = (host: string) => hosts.addressesOf(host);
      const panic = new PanicWatch({ authority, ledger, slots, log });
      const onEjection = (group: string) => {
        panic.note(group);
        rebalancer.note(group);
      };
      const outliers = new OutlierDetector({ authority, ledger, slots, journal, log, onChange: onEjection });
      const stats = new Stats(ledger, slots);
      const rebalancer = new Rebalancer({ authority, ledger, slots, stats, close: (closings) => workers.rebalance(closings), log });
      const health = new HealthChecker({ authority, journal, publish: publishHealth, opening: openingForChecks, addressesOf, log });
      const publishAgent = (group: string, address: string, state: AgentState) => {
        const slot = slots.serverSlot(group, address);
        if (slot === undefined) return;
        const recovers = isAgentDown(ledger.facts.agent(slot).standing) && !isAgentDown(state.standing);
        ledger.setAgent(slot, state, recovers ? monotonicMs() : undefined);
        rebalancer.note(group);
        if (isAgentDown(state.standing)) closeIfUnhealthy(group, address);
      };
      const agents = new AgentChecker({ authority, publish: publishAgent, log });

      try {
        if (options.sharesPorts !== true) await refuseTakenPorts(config.listeners);
        agents.start();
        outliers.start();
        panic.start();
        await Promise.all([hosts.start(), health.start()]);
        await workers.start();
        rebalancer.start();
        isServing = true;
      } catch (error) {
        for (const each of [health, agents, outliers, panic, rebalancer, hosts]) each.stop();
        await workers.stop();
        throw error;
      }
      const parts = {
        config,
        authority,
        stats,
        rebalancer,
        journal,
        health,
        agents,
        outliers,
        panic,
        hosts,
        startedAtMs,
        seeding,
      };
      return new LoadBalancer(parts, { workers, listenerTls, upstreamTls, store, log });
    } catch (error) {
      await store.close();
      throw error;
    }
  }

  get snapshot(): Snapshot {
    return this.authority.snapshot;
  }

  get logLevel(): LogLevel {
    return this.#workers.logLevel;
  }

  setLogLevel(level: LogLevel): void {
    this.#workers.setLogLevel(level);
    this.#log.level = level;
  }

  listeners(): readonly BoundListener[] {
    return this.snapshot.listeners.map((listener) => {
      const { name, address, targetGroup, routes } = listener;
      return { name, address: formatAddress({ ...address, port: this.#workers.portOf(listener) }), targetGroup, routes };
    });
  }

  /** Makes one change to the state, and resets the connections that it forbids. @throws as Authority.execute does; nothing has changed then */
  async execute(command: Command, intent: Intent = { actor: 'library' }): Promise<Accepted> {
    const accepted = await this.authority.execute(command, intent);
    if (MAY_FORBID.has(command.kind)) await this.enforce('reset');
    return accepted;
  }

  /** Resolves when every worker sends connections to the server, if its first probe (of at most a second) found it well. @throws as execute */
  async addUpstreamServer(group: string, address: string, settings: ServerSettings = {}): Promise<Accepted> {
    const { weight = 1, maxConnections, backup = false, mode = 'ready' } = settings;
    const accepted = await this.execute({ kind: 'addUpstreamServer', group, server: { address, weight, maxConnections, backup, mode } });
    await this.health.firstProbe(group, address);
    return accepted;
  }

  /** No connection goes to the server from then on; those it has go on to their end. @throws as execute */
  removeUpstreamServer(group: string, address: string): Promise<Accepted> {
    return this.execute({ kind: 'removeUpstreamServer', group, address });
  }

  /** Takes a client in the shape of the YAML file. @throws ConfigError, and as execute */
  async addClient(client: ClientDocument): Promise<Accepted> {
    return this.execute({ kind: 'addClient', client: clientFrom(client) });
  }

  /** Lets the client in no more, and resets the connections that it has: `connectionsClosed` says how many. @throws as execute */
  async removeClient(clientId: string): Promise<Accepted & { readonly connectionsClosed: number }> {
    const accepted = await this.authority.execute({ kind: 'removeClient', clientId }, { actor: 'library' });
    return { ...accepted, connectionsClosed: await this.enforce('reset') };
  }

  /** What would become of a connection that came now; nothing is used up. undefined: no worker answered. */
  explain(question: ExplainQuestion): Promise<Explanation | undefined> {
    return this.#workers.explain(question);
  }

  /** How every server is now; {@link journal} tells each change. */
  serverHealth(): readonly ServerHealth[] {
    return this.health.list();
  }

  /** Ends the live connections that every given field fits; resolves with how many they were. */
  closeConnections(selector: ConnectionSelector, reason: CloseReason): Promise<number> {
    return this.#workers.close(selector, reason);
  }

  /**
   * Ends the live connections that the state of now does not allow; resolves with how many. With `drain` they may go on until
   * the deadline, and those that are allowed again by then for good. Who has a deadline already keeps it, unless `anew` fits it.
   */
  enforce(mode: CloseMode, deadlineMs = 0, anew?: ConnectionSelector): Promise<number> {
    return this.#workers.enforce(mode, deadlineMs, anew);
  }

  /** At most `limit` live connections that every given field fits, oldest first; go on after what `next` of the answer says. */
  listConnections(selector: ConnectionSelector, after: readonly number[], limit: number): Promise<ConnectionListing> {
    return listConnections(this.#workers, selector, after, limit);
  }

  /** The live connections as they are, then what happens to them; close the reader at the end. */
  watchConnections(filter: WatchFilter): ConnectionReader {
    return this.#connectionWatch.open(filter);
  }

  /** What each listener serves new connections with, by its name. */
  get tlsMaterial(): ReadonlyMap<string, TlsMaterial> {
    return this.#listenerTls.served;
  }

  /**
   * Reads certificates, keys, CA and revocation lists again, serves new connections with them, and closes the live ones whose
   * certificates they withdraw; resolves with how many these are.
   * @throws TlsFileError when one of them is bad; the old ones all stay in force
   */
  async reloadCertificates(): Promise<number> {
    const renewListeners = this.#listenerTls.reread();
    const renewUpstreams = this.#upstreamTls.reread();
    const closed = await this.#workers.reloadTls(renewListeners(), renewUpstreams());
    if (closed > 0) this.#log.info({ connections: closed }, 'closed the connections whose certificates were withdrawn');
    return closed;
  }

  /** Gives the session tickets of every listener that has them another key; it is done at every end of a session's lifetime anyway. */
  async rotateTicketKeys(): Promise<void> {
    const rotated = this.#listenerTls.rotateTicketKeys(Date.now());
    if (rotated.size > 0) await this.#workers.reloadTls(rotated, new Map());
  }

  /**
   * Accepts no more, lets connections end for at most `deadlineMs` (drainTimeout unless given), resets the rest; resolves with
   * how many were reset. A second call sets another deadline.
   */
  stop(deadlineMs: number = this.config.timeouts.drainMs): Promise<number> {
    if (this.#stopped === undefined) this.#stopped = this.#stop(deadlineMs);
    else void this.#workers.drain(deadlineMs);
    return this.#stopped;
  }

  /** Lets another process have the stored state: changes are refused from then on, until {@link takeStateBack}. */
  async giveStateUp(): Promise<void> {
    await this.authority.suspend();
    await this.#store.close();
  }

  /** Opens the stored state with the next change, which fails if it is another by then. */
  takeStateBack(): void {
    this.authority.resume();
  }

  async #stop(deadlineMs: number): Promise<number> {
    const reset = await this.#workers.drain(deadlineMs);
    clearInterval(this.#ticketKeys);
    for (const each of [this.health, this.agents, this.outliers, this.panic, this.hosts]) each.stop();
    await this.#workers.stop();
    await this.#store.close();
    return reset;
  }
}

async function openStore(config: StoreConfig): Promise<Store> {
  return config.kind === 'memory' ? new MemoryStore() : SqliteStore.open(config.path);
}
