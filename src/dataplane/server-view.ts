import { type AgentState, agentObstacle, SILENT_AGENT } from '../domain/agent-report.ts';
import type { Candidate } from '../domain/balancing/balancer.ts';
import { latencyRank } from '../domain/balancing/latency.ts';
import { slowStartShare } from '../domain/balancing/slow-start.ts';
import type { Address, ServerMode, UpstreamServer } from '../domain/model.ts';
import type { LaneWriter } from '../shared/memory/lane-writer.ts';
import type { HealthCode } from '../shared/memory/layout.ts';

/** The greatest weight that an agent's percentage raises a server to, as in HAProxy. */
const MOST_WEIGHT = 256;

/** An upstream server as a worker sees it: as configured, with what shared memory says of it. */
export class ServerView implements Candidate {
  readonly target: Address;
  readonly slot: number;
  readonly #configured: UpstreamServer;
  readonly #lane: LaneWriter;
  #agent: AgentState = SILENT_AGENT;
  #share = 1;

  constructor(configured: UpstreamServer, target: Address, slot: number, lane: LaneWriter) {
    this.#configured = configured;
    this.target = target;
    this.slot = slot;
    this.#lane = lane;
  }

  /** `host:port`, as configured. */
  get address(): string {
    return this.#configured.address;
  }

  get weight(): number {
    return this.#configured.weight;
  }

  get backup(): boolean {
    return this.#configured.backup;
  }

  get mode(): ServerMode {
    return this.#configured.mode;
  }

  /** What its agent said when {@link refresh} was last called. */
  get agent(): AgentState {
    return this.#agent;
  }

  get maxConnections(): number {
    return (this.#agent.maxConnections ?? this.#configured.maxConnections) || Number.POSITIVE_INFINITY;
  }

  get capacity(): number {
    const { percent } = this.#agent;
    return percent === undefined ? 1 : Math.min(percent / 100, MOST_WEIGHT / Math.max(1, this.weight));
  }

  get share(): number {
    return this.#share;
  }

  /** Looks at what changes seldom: the agent's word, and slow start. */
  refresh(nowMs: number, slowStartMs: number): void {
    this.#agent = this.#lane.facts.agent(this.slot);
    this.#share = slowStartShare(this.#lane.facts.recoveredAtMs(this.slot), nowMs, slowStartMs);
  }

  health(): HealthCode {
    return this.#lane.health(this.slot);
  }

  active(): number {
    return this.#lane.serverActive(this.slot);
  }

  latencyRank(): number | undefined {
    const latency = this.#lane.facts.latency(this.slot);
    return latency === undefined ? undefined : latencyRank(latency);
  }
}

/** Why a server takes no connection now, whatever the others do; undefined: it may. Weight 0 is among it, as balancers have it. */
export function obstacleTo(
  server: ServerView,
  health: HealthCode,
): 'drain' | 'maintenance' | 'weight' | 'unhealthy' | NonNullable<ReturnType<typeof agentObstacle>> | 'full' | undefined {
  if (server.mode !== 'ready') return server.mode;
  if (server.weight === 0) return 'weight';
  if (health === 'unhealthy') return 'unhealthy';
  const agent = server.capacity === 0 ? 'agentDrain' : agentObstacle(server.agent);
  if (agent !== undefined) return agent;
  if (server.active() >= server.maxConnections) return 'full';
  return undefined;
}

/** Which servers may be chosen, best first: the next are asked only when all of the one before are out. */
export const PREFERENCES = ['healthy', 'unknown', 'backup'] as const;
export type Preference = (typeof PREFERENCES)[number];

export function preferenceOf(server: ServerView, health: HealthCode): Preference {
  if (server.backup) return 'backup';
  // Not probed yet: nothing is known against it, and a failed dial only costs a retry.
  return health === 'unknown' ? 'unknown' : 'healthy';
}
