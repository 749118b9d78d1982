/** The balancer without its admin server, as the daemon and other programs use it. */
import { type Logger, pino } from 'pino';
import { type BalancerParts, type LoadBalancerOptions, startParts } from './balancer-parts.ts';
import type { Config } from './config/config.ts';
import { type ClientDocument, clientFrom } from './config/document.ts';
import type { AgentChecker } from './controlplane/agent-checker.ts';
import type { Accepted, Authority, Intent } from './controlplane/authority.ts';
import type { Seeding } from './controlplane/bootstrap.ts';
import { type ConnectionListing, listConnections } from './controlplane/connection-list.ts';
import { type ConnectionReader, ConnectionWatch, type WatchFilter } from './controlplane/connection-watch.ts';
import type { HealthChecker } from './controlplane/health-checker.ts';
import type { HealthJournal, ServerHealth } from './controlplane/health-journal.ts';
import type { HostResolver } from './controlplane/host-resolver.ts';
import type { OutlierDetector } from './controlplane/outlier-detector.ts';
import type { PanicWatch } from './controlplane/panic-watch.ts';
import type { Rebalancer } from './controlplane/rebalancer.ts';
import type { Stats } from './controlplane/stats.ts';
import { type Store, StoreUnavailableError } from './controlplane/store/store.ts';
import type { Workers } from './controlplane/workers.ts';
import { DomainError } from './domain/errors.ts';
import { mayForbid } from './domain/may-forbid.ts';
import { type BoundListener, formatAddress, type LogLevel, type Snapshot, type UpstreamServer } from './domain/model.ts';
import type { CloseReason } from './domain/reasons.ts';
import { SESSION_LIFETIME_MS } from './domain/session-tickets.ts';
import type { Command } from './domain/state.ts';
import type { TlsEnd } from './domain/tls-ends.ts';
import type { TlsMaterial } from './domain/tls-material.ts';
import {
  checkClientDocument,
  checkCloseMode,
  checkCloseReason,
  checkCommand,
  checkDeadline,
  checkLogLevel,
  checkPage,
  checkQuestion,
  checkSelector,
  checkServerSettings,
  checkTexts,
  checkWatchFilter,
} from './library-arguments.ts';
import type { ListenerTlsFiles } from './listener-tls.ts';
import type { ServerWatch } from './server-watch.ts';
import type { ExplainQuestion, Explanation } from './shared/explain.ts';
import type { CloseMode, ConnectionSelector, Ended } from './shared/messages.ts';
import type { UpstreamTlsFiles } from './upstream-tls.ts';

export type { LoadBalancerOptions } from './balancer-parts.ts';

/** What an upstream server may have besides its address: weight 1, no limit and no backup unless given. */
export type ServerSettings = Partial<Pick<UpstreamServer, 'weight' | 'maxConnections' | 'backup' | 'mode'>>;

const BY_LIBRARY: Intent = { actor: 'library' };

/** A balancer at work: its state can be changed, its connections seen and closed, until it is stopped. */
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
  readonly #servers: ServerWatch;
  readonly #workers: Workers;
  readonly #listenerTls: ListenerTlsFiles;
  readonly #upstreamTls: UpstreamTlsFiles;
  readonly #connectionWatch: ConnectionWatch;
  readonly #store: Store;
  readonly #keepState: () => Promise<void>;
  readonly #log: Logger;
  readonly #ticketKeys: NodeJS.Timeout;
  #stopped: Promise<number> | undefined;

  private constructor(config: Config, parts: BalancerParts, log: Logger) {
    const { servers, workers } = parts;
    this.config = config;
    this.authority = parts.authority;
    this.stats = parts.stats;
    this.journal = parts.journal;
    this.health = servers.health;
    this.agents = servers.agents;
    this.outliers = servers.outliers;
    this.panic = servers.panic;
    this.rebalancer = servers.rebalancer;
    this.hosts = servers.hosts;
    this.startedAtMs = parts.startedAtMs;
    this.seeding = parts.seeding;
    this.#servers = servers;
    this.#workers = workers;
    this.#listenerTls = parts.listenerTls;
    this.#upstreamTls = parts.upstreamTls;
    this.#connectionWatch = new ConnectionWatch(workers);
    this.#store = parts.store;
    this.#keepState = parts.keepState;
    this.#log = log;
    this.#ticketKeys = setInterval(() => void this.rotateTicketKeys(), SESSION_LIFETIME_MS).unref();
  }

  /**
   * Starts a balancer; resolves when every worker listens and every server has been probed once (or for a second).
   * @throws TlsFileError, StoreUnavailableError, StoreCorruptError, DomainError or ListenError; nothing is left running then
   */
  static async start(config: Config, options: LoadBalancerOptions = {}): Promise<LoadBalancer> {
    const log = options.log ?? pino({ level: 'silent' });
    return new LoadBalancer(config, await startParts(config, options, log), log);
  }

  get snapshot(): Snapshot {
    return this.authority.snapshot;
  }

  get logLevel(): LogLevel {
    return this.#workers.logLevel;
  }

  /** @throws TypeError for what is no level */
  setLogLevel(level: LogLevel): void {
    checkLogLevel(level);
    this.#workers.setLogLevel(level);
    this.#log.level = level;
  }

  listeners(): readonly BoundListener[] {
    return this.snapshot.listeners.map((listener) => {
      const { tls, ...settings } = listener;
      const address = formatAddress({ ...listener.address, port: this.#workers.portOf(listener) });
      return { ...settings, address, plain: tls === undefined };
    });
  }

  /** Makes one change to the state, and resets the connections that it forbids. @throws as Authority.execute does; nothing has changed then */
  async execute(command: Command, intent: Intent = BY_LIBRARY): Promise<Accepted> {
    checkCommand(command);
    const accepted = await this.authority.execute(command, intent);
    if (mayForbid(command)) await this.enforce('reset');
    return accepted;
  }

  /** Resolves when every worker sends connections to the server, if its first probe (of at most a second) found it well. @throws TypeError, and as execute */
  async addUpstreamServer(group: string, address: string, settings: ServerSettings = {}): Promise<Accepted> {
    checkTexts('addUpstreamServer', { group, address });
    checkServerSettings(settings);
    const { weight = 1, maxConnections, backup = false, mode = 'ready' } = settings;
    const server = { address, weight, maxConnections, backup, mode };
    const accepted = await this.authority.execute({ kind: 'addUpstreamServer', group, server }, BY_LIBRARY);
    await this.health.firstProbe(group, address);
    return accepted;
  }

  /** No connection goes to the server from then on; those it has go on to their end. @throws TypeError, and as execute */
  async removeUpstreamServer(group: string, address: string): Promise<Accepted> {
    checkTexts('removeUpstreamServer', { group, address });
    return this.authority.execute({ kind: 'removeUpstreamServer', group, address }, BY_LIBRARY);
  }

  /** Takes a client in the shape of the YAML file. @throws ConfigError, TypeError for what is no object, and as execute */
  async addClient(client: ClientDocument): Promise<Accepted> {
    checkClientDocument(client);
    return this.authority.execute({ kind: 'addClient', client: clientFrom(client) }, BY_LIBRARY);
  }

  /** Lets the client in no more, and resets the connections that it has: `connectionsClosed` says how many, those that were not served yet counted. @throws TypeError, and as execute */
  async removeClient(clientId: string): Promise<Accepted & { readonly connectionsClosed: number }> {
    checkTexts('removeClient', { clientId });
    const accepted = await this.authority.execute({ kind: 'removeClient', clientId }, BY_LIBRARY);
    return { ...accepted, connectionsClosed: countOf(await this.enforce('reset')) };
  }

  /**
   * What would become of a connection that came now; nothing is used up. undefined: no worker answered.
   * @throws TypeError, and DomainError `not_found` for a listener that there is not
   */
  async explain(question: ExplainQuestion): Promise<Explanation | undefined> {
    checkQuestion(question);
    if (!this.snapshot.listeners.some(({ name }) => name === question.listener))
      throw new DomainError('not_found', 'listener', `there is no listener "${question.listener}"`);
    return this.#workers.explain(question);
  }

  /** How every server is now; {@link journal} tells each change. */
  serverHealth(): readonly ServerHealth[] {
    return this.health.list();
  }

  /** Ends the live connections that every given field fits, and refuses those that are not served yet; resolves with how many they were. @throws TypeError */
  async closeConnections(selector: ConnectionSelector, reason: CloseReason): Promise<Ended> {
    checkSelector('closeConnections', selector);
    checkCloseReason(reason);
    return this.#workers.close(selector, reason);
  }

  /**
   * Ends the live connections that the state of now does not allow; resolves with how many, and how many were not served yet and were refused by the
   * change before. With `drain` live ones may go on until the deadline, and those that are allowed again by then for good. Who has a deadline already keeps it, unless `anew` fits it.
   * @throws TypeError
   */
  async enforce(mode: CloseMode, deadlineMs = 0, anew?: ConnectionSelector): Promise<Ended> {
    checkCloseMode(mode);
    checkDeadline('enforce', deadlineMs);
    if (anew !== undefined) checkSelector('enforce', anew);
    return this.#workers.enforce(mode, deadlineMs, anew);
  }

  /** At most `limit` live connections that every given field fits, oldest first; go on after what `next` of the answer says. @throws TypeError */
  async listConnections(selector: ConnectionSelector, after: readonly number[], limit: number): Promise<ConnectionListing> {
    checkSelector('listConnections', selector);
    checkPage(after, limit);
    return listConnections(this.#workers, selector, after, limit);
  }

  /** The live connections as they are, then what happens to them; close the reader at the end. @throws TypeError */
  watchConnections(filter: WatchFilter): ConnectionReader {
    checkWatchFilter(filter);
    return this.#connectionWatch.open(filter);
  }

  /** What each listener serves new connections with, by its name. */
  get tlsMaterial(): ReadonlyMap<string, TlsMaterial> {
    return this.#listenerTls.served;
  }

  /** When what the target groups' `upstreamTls` files hold ends. */
  get upstreamTlsEnds(): readonly TlsEnd[] {
    return this.#upstreamTls.ends;
  }

  /**
   * Reads certificates, keys, CA and revocation lists again, serves new connections with them, and ends the connections whose
   * certificates they withdraw; resolves with how many these are, those that were not served yet counted. `warn` is told what may not be meant of the files.
   * @throws TlsFileError when one of them is bad; the old ones all stay in force
   */
  async reloadCertificates(warn: (warning: string) => void = () => undefined): Promise<number> {
    const renewListeners = this.#listenerTls.reread(warn);
    const renewUpstreams = this.#upstreamTls.reread(warn);
    const closed = countOf(await this.#workers.reloadTls(renewListeners(), renewUpstreams()));
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
   * how many were reset. A second call sets another deadline. Once it has resolved, changes are refused with StoreUnavailableError.
   * @throws TypeError for another deadline than 0 to a day
   */
  stop(deadlineMs: number = this.config.timeouts.drainMs): Promise<number> {
    checkDeadline('stop', deadlineMs);
    if (this.#stopped === undefined) this.#stopped = this.#stop(deadlineMs);
    else void this.#workers.drain(deadlineMs);
    return this.#stopped;
  }

  /** Stores what the config file has changed, where that was held back; changes by others pass from then on. @throws StoreUnavailableError */
  keepState(): Promise<void> {
    return this.#keepState();
  }

  /** Lets another process have the stored state: changes are refused from then on, until {@link takeStateBack}. */
  async giveStateUp(): Promise<void> {
    await this.authority.suspend('another lbd has taken the state over: ask that one');
    await this.#store.close();
  }

  /** Takes in what the other has stored meanwhile; what of it cannot be, is said in the log, and tried again with each change. */
  async takeStateBack(): Promise<void> {
    try {
      const changes = await this.authority.resume();
      if (changes === 0) return;
      await this.enforce('reset');
      this.#log.warn({ changes, revision: this.snapshot.revision }, 'took in what the other lbd has stored');
    } catch (error) {
      if (!(error instanceof StoreUnavailableError)) throw error;
      this.#log.error({ problem: error.message }, 'changes are refused until the stored state can be taken in');
    }
  }

  async #stop(deadlineMs: number): Promise<number> {
    const reset = await this.#workers.drain(deadlineMs);
    await this.authority.suspend('this balancer has stopped: start another to change the state');
    clearInterval(this.#ticketKeys);
    this.#servers.stop();
    await this.#workers.stop();
    await this.#store.close();
    return reset;
  }
}

function countOf({ served, waiting }: Ended): number {
  return served + waiting;
}
