/** lbd as a running thing: the balancer and its admin server, started, reloaded and stopped together. */
import type { Logger } from 'pino';
import type { AdminContext } from './admin/context.ts';
import { AdminServer } from './admin/server.ts';
import type { Config } from './config/config.ts';
import { loadTlsMaterial } from './config/tls-files.ts';
import { readingFor, tlsOwner, tlsUsers } from './config/tls-owners.ts';
import { Planner, type PlannerOptions } from './controlplane/planner.ts';
import type { BoundListener } from './domain/model.ts';
import { type Address, formatAddress } from './domain/model.ts';
import { watchEnds } from './end-watch.ts';
import { LoadBalancer } from './load-balancer.ts';
import { Dashboard } from './metrics/dashboard.ts';
import { MetricsEndpoint } from './metrics/endpoint.ts';
import { Metrics, type MetricsSources } from './metrics/metrics.ts';
import { ServedCertificates } from './served-certificates.ts';
import { stateFileOf } from './state-file.ts';

export interface DaemonOptions {
  readonly log: Logger;
  readonly writeLogLines: (lines: readonly string[]) => void;
  readonly allowInsecureKeyPermissions: boolean;
  readonly version: string;
  /** Another lbd has the listeners' ports and is about to end: they are shared with it until then. */
  readonly takesOver?: boolean;
}

/** What administrators and monitoring reach; another lbd may take their addresses over. */
interface Interfaces {
  readonly admin: AdminServer;
  readonly metrics: MetricsEndpoint | undefined;
}

/** An address beside the listeners' could not be opened. `code` is the system's, EADDRINUSE for one that is taken. */
export class EndpointListenError extends Error {
  readonly endpoint: 'admin' | 'metrics';
  readonly code: string;
  readonly address: Address;

  constructor(endpoint: EndpointListenError['endpoint'], address: Address, code: string, message: string) {
    super(message);
    this.name = 'EndpointListenError';
    this.endpoint = endpoint;
    this.address = address;
    this.code = code;
  }
}

export class Daemon {
  readonly balancer: LoadBalancer;
  readonly #certificates: ServedCertificates;
  readonly #planner: Planner;
  readonly #options: DaemonOptions;
  #interfaces: Interfaces;
  #unwatchEnds: () => void = () => undefined;

  private constructor(
    balancer: LoadBalancer,
    parts: { interfaces: Interfaces; certificates: ServedCertificates; planner: Planner },
    options: DaemonOptions,
  ) {
    this.balancer = balancer;
    this.#interfaces = parts.interfaces;
    this.#certificates = parts.certificates;
    this.#planner = parts.planner;
    this.#options = options;
  }

  /** Starts everything, or nothing. @throws as LoadBalancer.start does, TlsFileError for the admin server, and EndpointListenError */
  static async start(config: Config, options: DaemonOptions): Promise<Daemon> {
    const { log, writeLogLines, allowInsecureKeyPermissions, takesOver = false } = options;
    const owner = tlsOwner(tlsUsers(config.listeners)(config.admin.tls));
    const { material, warnings } = readingFor(`${owner}: `, () => loadTlsMaterial(config.admin.tls, { allowInsecureKeyPermissions }));
    for (const warning of warnings) log.warn({ admin: formatAddress(config.admin.address) }, warning);
    const balancer = await LoadBalancer.start(config, { log, writeLogLines, allowInsecureKeyPermissions, sharesPorts: takesOver });
    try {
      const certificates = new ServedCertificates(balancer, material, options);
      const planner = createPlanner(config, log);
      const interfaces = await startInterfaces(balancer, { certificates, planner }, options);
      const daemon = new Daemon(balancer, { interfaces, certificates, planner }, options);
      await daemon.#keepState();
      daemon.#announce();
      daemon.#unwatchEnds = watchEnds({ ends: (nowMs) => certificates.ends(nowMs), log });
      return daemon;
    } catch (error) {
      // On ports that it shares it has been serving already.
      await (takesOver ? balancer.stop() : balancer.stop(0));
      throw error;
    }
  }

  /** host:port of the admin server, with the port that was really bound. */
  get admin(): string {
    return formatAddress(this.#interfaces.admin.address);
  }

  /** host:port of the metrics, with the port that was really bound; undefined: there are none. */
  get metrics(): string | undefined {
    const { metrics } = this.#interfaces;
    return metrics === undefined ? undefined : formatAddress(metrics.address);
  }

  get listeners(): readonly BoundListener[] {
    return this.balancer.listeners();
  }

  /** Takes certificates, keys, CA and CRL anew from their files: all of them, or none when one is bad. Says in the log which. */
  async reload(): Promise<void> {
    // What went wrong is in the log, and a signal has nobody to tell it to.
    await this.#certificates.reload().catch(() => undefined);
  }

  /** Why the state may not be left behind for that of another file; undefined: it may. */
  objectionTo(stateFile: string): string | undefined {
    const { authority, config } = this.balancer;
    if (config.store.kind === 'memory' || !authority.changedAtRunTime) return undefined;
    // Where its file was deleted, it is lost whoever serves next.
    if ([stateFile, 'none'].includes(stateFileOf(config.store))) return undefined;
    return `its state was changed at run time and is in ${JSON.stringify(config.store.path)}, which is not your store.path, so these changes (revocations too) would not hold; name that file, or stop it and start without it`;
  }

  /** Gives the addresses of the admin API and the metrics, and the stored state, to another lbd. Connections are served as before. */
  async handOver(): Promise<void> {
    await this.#stopInterfaces();
    await this.balancer.giveStateUp();
  }

  /** Undoes {@link handOver}. @throws EndpointListenError; nothing has changed then */
  async takeBack(): Promise<void> {
    this.#interfaces = await startInterfaces(this.balancer, { certificates: this.#certificates, planner: this.#planner }, this.#options);
    await this.balancer.takeStateBack();
  }

  /** Drains and stops; connections that outlive `deadlineMs` (drainTimeout unless given) are reset. */
  async stop(deadlineMs?: number): Promise<void> {
    this.#interfaces.admin.drain();
    this.#unwatchEnds();
    const reset = await this.balancer.stop(deadlineMs);
    await this.#stopInterfaces();
    await this.#planner.stop();
    this.#options.log.info({ reset }, 'stopped');
  }

  /** Ends a stop that is under way at once: the connections that are left are reset. */
  hurry(): void {
    void this.balancer.stop(0);
  }

  /** Nothing can fail after it that gives the state back to the lbd before. */
  async #keepState(): Promise<void> {
    try {
      await this.balancer.keepState();
    } catch (error) {
      await this.#stopInterfaces();
      throw error;
    }
  }

  async #stopInterfaces(): Promise<void> {
    const { admin, metrics } = this.#interfaces;
    await admin.stop(ADMIN_STOP_WITHIN_MS);
    await metrics?.stop();
  }

  #announce(): void {
    const { log } = this.#options;
    const { config, seeding, snapshot } = this.balancer;
    if (seeding.differs) {
      log.warn(
        { config: config.file, revision: snapshot.revision },
        'the state was changed at run time: it is in force, and the groups and clients of the config file are not',
      );
    }
    if (!config.admin.rolesConfigured) {
      const shared = config.listeners.some(({ tls }) => tls?.caCert === config.admin.tls.caCert);
      log[shared ? 'warn' : 'info'](
        { admin: this.admin },
        `admin.roles is not configured: every certificate ${shared ? "of the clients' CA " : ''}whose CN or OU is admin, operator or viewer holds that role`,
      );
    }
    const listeners = this.listeners.map(({ name, address }) => ({ name, address }));
    log.info(
      {
        listeners,
        admin: this.admin,
        ...(this.metrics === undefined ? {} : { metrics: this.metrics }),
        revision: snapshot.revision,
        workers: config.workers,
        version: this.#options.version,
      },
      'ready',
    );
  }
}

const ADMIN_STOP_WITHIN_MS = 2_000;
/** The thread's program beside this file: TypeScript in a checkout, JavaScript in an installed package. */
const PLANNER_PROGRAM = new URL(import.meta.url.endsWith('.ts') ? './planner-thread.ts' : './planner-thread.js', import.meta.url);

/** @throws EndpointListenError when the address cannot be had */
async function listening<T>(endpoint: EndpointListenError['endpoint'], address: Address, start: () => Promise<T>): Promise<T> {
  try {
    return await start();
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException;
    if (code === undefined) throw error;
    throw new EndpointListenError(endpoint, address, code, message);
  }
}

async function startInterfaces(
  balancer: LoadBalancer,
  { certificates, planner }: { readonly certificates: ServedCertificates; readonly planner: Planner },
  options: DaemonOptions,
): Promise<Interfaces> {
  const { address, roles } = balancer.config.admin;
  const context = adminContext(balancer, { certificates, planner }, options);
  const admin = await listening('admin', address, () => AdminServer.start(context, { address, material: certificates.admin, roles }));
  certificates.onReload({ serve: (renewed, judge) => admin.reload(renewed, judge), known: () => admin.administrators() });
  try {
    return { admin, metrics: await startMetrics(balancer, { admin, certificates }, options) };
  } catch (error) {
    await admin.stop(0);
    throw error;
  }
}

async function startMetrics(
  balancer: LoadBalancer,
  { admin, certificates }: { readonly admin: AdminServer; readonly certificates: ServedCertificates },
  { log, version }: DaemonOptions,
): Promise<MetricsEndpoint | undefined> {
  const { metrics, workers } = balancer.config;
  if (metrics === undefined) return undefined;
  const sources: MetricsSources = {
    snapshot: () => balancer.snapshot,
    stats: balancer.stats,
    rebalancing: (group) => balancer.rebalancer.remaining(group),
    isHealthy: (group, server) => balancer.health.statusOf(group, server)?.health === 'healthy',
    storeWrites: () => balancer.authority.writes.totals,
    adminCalls: () => admin.calls.all(),
    tlsEnds: () => certificates.ends(Date.now()),
    workers,
    version,
  };
  const dashboard = metrics.dashboard ? dashboardOf(balancer, version) : undefined;
  return listening('metrics', metrics.address, () => MetricsEndpoint.start(metrics, { metrics: new Metrics(sources), dashboard }, log));
}

function dashboardOf(balancer: LoadBalancer, version: string): Dashboard {
  return new Dashboard({
    snapshot: () => balancer.snapshot,
    listeners: () => balancer.listeners(),
    stats: balancer.stats,
    healthOf: (group, server) => balancer.health.statusOf(group, server),
    newestHealthEvents: (count) => balancer.journal.newest(count),
    workers: balancer.config.workers,
    startedAtMs: balancer.startedAtMs,
    version,
  });
}

/** The planner of what is running; its thread begins with the first question. */
export function createPlanner({ targetGroups: _g, clients: _c, revocations: _r, ...running }: Config, log: PlannerOptions['log']): Planner {
  return new Planner({ program: PLANNER_PROGRAM, running, log });
}

function adminContext(
  balancer: LoadBalancer,
  { certificates, planner }: Pick<AdminContext, 'planner'> & { readonly certificates: ServedCertificates },
  { log, version }: DaemonOptions,
): AdminContext {
  return {
    authority: balancer.authority,
    stats: balancer.stats,
    health: balancer.health,
    agents: balancer.agents,
    upstreams: {
      ejectionOf: (group, server) => balancer.outliers.statusOf(group, server),
      resolutionOf: (server) => balancer.hosts.statusOfServer(server),
      isInPanic: (group) => balancer.panic.isInPanic(group),
      rebalancing: (group) => balancer.rebalancer.remaining(group),
    },
    journal: balancer.journal,
    connections: {
      close: (selector, reason) => balancer.closeConnections(selector, reason),
      enforce: (mode, deadlineMs, anew) => balancer.enforce(mode, deadlineMs, anew),
      list: (selector, after, limit) => balancer.listConnections(selector, after, limit),
      watch: (filter) => balancer.watchConnections(filter),
    },
    certificates,
    explain: (question) => balancer.explain(question),
    planner,
    logLevel: { get: () => balancer.logLevel, set: (level) => balancer.setLogLevel(level) },
    listeners: () => balancer.listeners(),
    workers: balancer.config.workers,
    startedAtMs: balancer.startedAtMs,
    version,
    drainTimeoutMs: balancer.config.timeouts.drainMs,
    log,
  };
}
