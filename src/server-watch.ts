/** All that watches over the upstream servers, and what one of them finds that the others must know. */
import type { Logger } from 'pino';
import { AgentChecker } from './controlplane/agent-checker.ts';
import type { Authority } from './controlplane/authority.ts';
import { HealthChecker } from './controlplane/health-checker.ts';
import type { HealthJournal } from './controlplane/health-journal.ts';
import { HostResolver, type Resolve } from './controlplane/host-resolver.ts';
import { OutlierDetector } from './controlplane/outlier-detector.ts';
import { PanicWatch } from './controlplane/panic-watch.ts';
import { Rebalancer } from './controlplane/rebalancer.ts';
import type { Slots } from './controlplane/slots.ts';
import type { Stats } from './controlplane/stats.ts';
import type { Workers } from './controlplane/workers.ts';
import { type AgentState, isAgentDown } from './domain/agent-report.ts';
import { monotonicMs } from './shared/clock.ts';
import type { HealthCode } from './shared/memory/layout.ts';
import type { SharedLedger } from './shared/memory/ledger.ts';
import type { UpstreamTlsFiles } from './upstream-tls.ts';

export interface ServerWatchParts {
  readonly authority: Authority;
  readonly ledger: SharedLedger;
  readonly slots: Slots;
  readonly stats: Stats;
  readonly journal: HealthJournal;
  readonly upstreamTls: UpstreamTlsFiles;
  readonly workers: Workers;
  /** Finds the addresses of servers' host names; the system's resolver unless given. */
  readonly resolve: Resolve | undefined;
  readonly log: Logger;
}

/** Looks servers' names up, asks after their health, ejects, panics and rebalances. */
export class ServerWatch {
  readonly hosts: HostResolver;
  readonly health: HealthChecker;
  readonly agents: AgentChecker;
  readonly outliers: OutlierDetector;
  readonly panic: PanicWatch;
  readonly rebalancer: Rebalancer;
  readonly #parts: ServerWatchParts;
  #isServing = false;

  constructor(parts: ServerWatchParts) {
    this.#parts = parts;
    const { authority, ledger, slots, stats, journal, upstreamTls, workers, resolve, log } = parts;
    this.hosts = new HostResolver({ authority, publish: (found) => workers.useHosts(found), resolve, log });
    this.panic = new PanicWatch({ authority, ledger, slots, log });
    this.rebalancer = new Rebalancer({ authority, ledger, slots, stats, close: (closings) => workers.rebalance(closings), log });
    this.outliers = new OutlierDetector({ authority, ledger, slots, journal, log, onChange: (group) => this.#noteEjection(group) });
    this.health = new HealthChecker({
      authority,
      journal,
      publish: (group, server, health) => this.#publishHealth(group, server, health),
      opening: (group) => upstreamTls.openingForChecks(authority.snapshot.targetGroups.get(group)),
      addressesOf: (host) => this.hosts.addressesOf(host),
      log,
    });
    this.agents = new AgentChecker({ authority, publish: (group, server, state) => this.#publishAgent(group, server, state), log });
  }

  /** Follows changes of state from now on; subscribe what assigns slots before. Resolves when every server was probed once, or after a second. */
  async start(): Promise<void> {
    this.agents.start();
    this.outliers.start();
    this.panic.start();
    await Promise.all([this.hosts.start(), this.health.start()]);
  }

  /**
   * Connections are served from now on. A server that comes up while others serve starts slowly, a new one too, as in HAProxy and
   * Envoy; at the start none does.
   */
  beginServing(): void {
    this.rebalancer.start();
    this.#isServing = true;
  }

  stop(): void {
    for (const each of [this.health, this.agents, this.outliers, this.panic, this.rebalancer, this.hosts]) each.stop();
  }

  #publishHealth(group: string, server: string, health: HealthCode): void {
    const { ledger, slots } = this.#parts;
    const slot = slots.serverSlot(group, server);
    if (slot !== undefined) {
      const recovers = this.#isServing && health === 'healthy' && ledger.health(slot) !== 'healthy';
      ledger.setHealth(slot, health, recovers ? monotonicMs() : undefined);
    }
    this.outliers.note(group);
    this.panic.note(group);
    this.rebalancer.note(group);
    if (health === 'unhealthy') this.#closeIfAsked(group, server);
  }

  #publishAgent(group: string, server: string, state: AgentState): void {
    const { ledger, slots } = this.#parts;
    const slot = slots.serverSlot(group, server);
    if (slot === undefined) return;
    const recovers = isAgentDown(ledger.facts.agent(slot).standing) && !isAgentDown(state.standing);
    ledger.setAgent(slot, state, recovers ? monotonicMs() : undefined);
    this.rebalancer.note(group);
    if (isAgentDown(state.standing)) this.#closeIfAsked(group, server);
  }

  #noteEjection(group: string): void {
    this.panic.note(group);
    this.rebalancer.note(group);
  }

  /** Ends the connections of a server that is down, where its group says so. */
  #closeIfAsked(group: string, server: string): void {
    const { authority, workers } = this.#parts;
    if (authority.snapshot.targetGroups.get(group)?.onUnhealthy === 'close') void workers.close({ group, server }, 'upstream_unhealthy');
  }
}
