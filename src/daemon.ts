/** lbd as a running thing: the balancer and its admin server, started, reloaded and stopped together. */
import type { Logger } from 'pino';
import type { AdminContext } from './admin/context.ts';
import { AdminServer } from './admin/server.ts';
import type { Config } from './config/config.ts';
import { loadTlsMaterial } from './config/tls-files.ts';
import { type Address, formatAddress } from './domain/model.ts';
import { type BoundListener, LoadBalancer } from './load-balancer.ts';

export interface DaemonOptions {
  readonly log: Logger;
  readonly writeLogLines: (lines: readonly string[]) => void;
  readonly allowInsecureKeyPermissions: boolean;
  readonly version: string;
}

/** The admin address could not be opened. `code` is the system's, EADDRINUSE for one that is taken. */
export class AdminListenError extends Error {
  readonly code: string;
  readonly address: Address;

  constructor(address: Address, code: string, message: string) {
    super(message);
    this.name = 'AdminListenError';
    this.address = address;
    this.code = code;
  }
}

export class Daemon {
  readonly balancer: LoadBalancer;
  readonly #admin: AdminServer;
  readonly #options: DaemonOptions;

  private constructor(balancer: LoadBalancer, admin: AdminServer, options: DaemonOptions) {
    this.balancer = balancer;
    this.#admin = admin;
    this.#options = options;
  }

  /** Starts everything, or nothing. @throws as LoadBalancer.start does, TlsFileError and AdminListenError for the admin server */
  static async start(config: Config, options: DaemonOptions): Promise<Daemon> {
    const { log, writeLogLines, allowInsecureKeyPermissions } = options;
    const { material, warnings } = loadTlsMaterial(config.admin.tls, { allowInsecureKeyPermissions });
    for (const warning of warnings) log.warn({ admin: formatAddress(config.admin.address) }, warning);
    const balancer = await LoadBalancer.start(config, { log, writeLogLines, allowInsecureKeyPermissions });
    try {
      const admin = await listenAsAdmin(config, adminContext(balancer, options), material);
      const daemon = new Daemon(balancer, admin, options);
      daemon.#announce();
      return daemon;
    } catch (error) {
      await balancer.stop(0);
      throw error;
    }
  }

  /** host:port of the admin server, with the port that was really bound. */
  get admin(): string {
    return formatAddress(this.#admin.address);
  }

  get listeners(): readonly BoundListener[] {
    return this.balancer.listeners();
  }

  /** Takes certificates, keys, CA and CRL anew from their files: all of them, or none when one is bad. Says in the log which. */
  async reload(): Promise<void> {
    const { log, allowInsecureKeyPermissions } = this.#options;
    try {
      const { material } = loadTlsMaterial(this.balancer.config.admin.tls, { allowInsecureKeyPermissions });
      await this.balancer.reloadCertificates();
      this.#admin.reload(material);
      log.info('certificates reloaded');
    } catch (error) {
      const why = error instanceof Error ? error.message : String(error);
      log.error({ why }, 'certificates not reloaded: the ones in force stay');
    }
  }

  /** Drains and stops; connections that outlive `deadlineMs` (drainTimeout unless given) are reset. */
  async stop(deadlineMs?: number): Promise<void> {
    this.#admin.drain();
    const reset = await this.balancer.stop(deadlineMs);
    await this.#admin.stop(ADMIN_STOP_WITHIN_MS);
    this.#options.log.info({ reset }, 'stopped');
  }

  /** Ends a stop that is under way at once: the connections that are left are reset. */
  hurry(): void {
    void this.balancer.stop(0);
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
      const shared = config.listeners.some(({ tls }) => tls.caCert === config.admin.tls.caCert);
      log[shared ? 'warn' : 'info'](
        { admin: this.admin },
        `admin.roles is not configured: every certificate ${shared ? "of the clients' CA " : ''}whose CN or OU is admin, operator or viewer holds that role`,
      );
    }
    const listeners = this.listeners.map(({ name, address }) => ({ name, address }));
    log.info(
      { listeners, admin: this.admin, revision: snapshot.revision, workers: config.workers, version: this.#options.version },
      'ready',
    );
  }
}

const ADMIN_STOP_WITHIN_MS = 2_000;

async function listenAsAdmin(
  config: Config,
  context: AdminContext,
  material: Parameters<typeof AdminServer.start>[1]['material'],
): Promise<AdminServer> {
  const { address, roles } = config.admin;
  try {
    return await AdminServer.start(context, { address, material, roles });
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException;
    if (code === undefined) throw error;
    throw new AdminListenError(address, code, message);
  }
}

function adminContext(balancer: LoadBalancer, { log, version }: DaemonOptions): AdminContext {
  return {
    authority: balancer.authority,
    stats: balancer.stats,
    health: balancer.health,
    journal: balancer.journal,
    connections: { close: (selector, reason) => balancer.closeConnections(selector, reason) },
    logLevel: { get: () => balancer.logLevel, set: (level) => balancer.setLogLevel(level) },
    listeners: () => balancer.listeners(),
    workers: balancer.config.workers,
    startedAtMs: balancer.startedAtMs,
    version,
    drainTimeoutMs: balancer.config.timeouts.drainMs,
    log,
  };
}
