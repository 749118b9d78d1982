/** What a balancer is made of, and in which order it comes up. */
import type { Logger } from 'pino';
import type { Config, StoreConfig } from './config/config.ts';
import { Authority } from './controlplane/authority.ts';
import { type Seeding, seed } from './controlplane/bootstrap.ts';
import { HealthJournal } from './controlplane/health-journal.ts';
import type { Resolve } from './controlplane/host-resolver.ts';
import { openPorts, refuseTakenPorts } from './controlplane/listener-ports.ts';
import { connectionsPerWorker } from './controlplane/open-files.ts';
import { Slots } from './controlplane/slots.ts';
import { Stats } from './controlplane/stats.ts';
import { HeldStore } from './controlplane/store/held.ts';
import { MemoryStore } from './controlplane/store/memory.ts';
import { SqliteStore } from './controlplane/store/sqlite.ts';
import type { Store } from './controlplane/store/store.ts';
import { Workers } from './controlplane/workers.ts';
import type { Snapshot } from './domain/model.ts';
import { ListenerTlsFiles } from './listener-tls.ts';
import { ServerWatch } from './server-watch.ts';
import { createSharedBuffers } from './shared/memory/layout.ts';
import { SharedLedger } from './shared/memory/ledger.ts';
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
  /**
   * Another process has the listeners' ports and is about to end: they are shared with it until then, and what the config file changes
   * is not stored before `keepState` of the balancer.
   */
  readonly sharesPorts?: boolean;
  /** Finds the addresses of servers' host names; the system's resolver unless given. */
  readonly resolve?: Resolve;
}

/** A balancer at work, in parts. */
export interface BalancerParts {
  /** Milliseconds since 1970. */
  readonly startedAtMs: number;
  readonly store: Store;
  /** Stores what was held back. @throws StoreUnavailableError */
  readonly keepState: () => Promise<void>;
  readonly authority: Authority;
  /** How the config file and the stored state became one. */
  readonly seeding: Seeding;
  readonly stats: Stats;
  readonly journal: HealthJournal;
  readonly servers: ServerWatch;
  readonly workers: Workers;
  readonly listenerTls: ListenerTlsFiles;
  readonly upstreamTls: UpstreamTlsFiles;
}

/** The worker's program beside this file: TypeScript in a checkout, JavaScript in an installed package. */
const WORKER_PROGRAM = new URL(import.meta.url.endsWith('.ts') ? './dataplane/worker.ts' : './dataplane/worker.js', import.meta.url);

/**
 * Brings all parts up; resolves when every worker listens and every server has been probed once (or for a second).
 * @throws TlsFileError, StoreUnavailableError, StoreCorruptError, DomainError or ListenError; nothing is left running then
 */
export async function startParts(config: Config, options: LoadBalancerOptions, log: Logger): Promise<BalancerParts> {
  const startedAtMs = Date.now();
  const tlsOptions = { allowInsecureKeyPermissions: options.allowInsecureKeyPermissions ?? false };
  const listenerTls = new ListenerTlsFiles(config.listeners, tlsOptions, log);
  const upstreamTls = new UpstreamTlsFiles(tlsOptions, log);
  const opened = options.store ?? (await openStore(config.store));
  const held = options.sharesPorts === true ? new HeldStore(opened) : undefined;
  const store = held ?? opened;
  const keepState = async () => held?.release();
  try {
    const parts = await wire(config, options, { startedAtMs, store, keepState, listenerTls, upstreamTls, log });
    const { servers, workers } = parts;
    try {
      if (options.sharesPorts !== true) await refuseTakenPorts(config.listeners);
      await servers.start();
      await workers.start();
      servers.beginServing();
    } catch (error) {
      servers.stop();
      await workers.stop();
      throw error;
    }
    return parts;
  } catch (error) {
    await store.close();
    throw error;
  }
}

async function openStore(config: StoreConfig): Promise<Store> {
  return config.kind === 'memory' ? new MemoryStore() : SqliteStore.open(config.path);
}

/** Takes the stored state and the config file in, and puts around it what follows it; nothing runs yet. */
async function wire(
  config: Config,
  options: LoadBalancerOptions,
  outside: Pick<BalancerParts, 'startedAtMs' | 'store' | 'keepState' | 'listenerTls' | 'upstreamTls'> & { readonly log: Logger },
): Promise<BalancerParts> {
  const { startedAtMs, store, keepState, listenerTls, upstreamTls, log } = outside;
  const ledger = new SharedLedger(createSharedBuffers(config.workers));
  const slots = new Slots(ledger);
  let seeded = false;
  const vet = (next: Snapshot, readsFiles: boolean) => {
    slots.checkCapacity(next);
    // Until then the state may name files of before, which the config file has replaced.
    if (!seeded || !readsFiles) return;
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
    hosts: () => servers.hosts.known,
    onFailing: (server) => servers.outliers.failing(server),
    logLevel: config.logLevel,
    writeLines: options.writeLogLines ?? (() => undefined),
    log,
  });
  // Slots first: who learns of a new server next must find its row.
  authority.subscribe((change) => {
    const assigned = slots.follow(change.next);
    const tls = { listenerTls: listenerTls.follow(change.next), upstreamTls: upstreamTls.follow(change.next) };
    return workers.publish(change, assigned, tls);
  });
  const stats = new Stats(ledger, slots);
  const journal = new HealthJournal(startedAtMs);
  const { resolve } = options;
  const servers = new ServerWatch({ authority, ledger, slots, stats, journal, upstreamTls, workers, resolve, log });
  return { startedAtMs, store, keepState, authority, seeding, stats, journal, servers, workers, listenerTls, upstreamTls };
}
