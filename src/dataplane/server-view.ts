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
  /** `host:port`, as configured. */
  readonly address: string;
  readonly target: Address;
  readonly slot: number;
  readonly weight: number;
  readonly backup: boolean;
  readonly mode: ServerMode;
  readonly #configured: UpstreamServer;
  readonly #lane: LaneWriter;
  readonly #groupSlot: number;
  // Plain fields, since every choice reads them; refresh brings them up to date.
  #agent: AgentState = SILENT_AGENT;
  #maxConnections: number;
  #capacity = 1;
  #share = 1;

  constructor(configured: UpstreamServer, target: Address, slot: number, groupSlot: number, lane: LaneWriter) {
    this.address = configured.address;
    this.target = target;
    this.slot = slot;
    this.weight = configured.weight;
    this.backup = configured.backup;
    this.mode = configured.mode;
    this.#configured = configured;
    this.#lane = lane;
    this.#groupSlot = groupSlot;
    this.#maxConnections = configured.maxConnections ?? Number.POSITIVE_INFINITY;
  }

  /** What its agent said when {@link refresh} was last called. */
  get agent(): AgentState {
    return this.#agent;
  }

  get maxConnections(): number {
    return this.#maxConnections;
  }

  get capacity(): number {
    return this.#capacity;
  }

  get share(): number {
    return this.#share;
  }

  /** Looks at what changes seldom: the agent's word, and slow start. */
  refresh(nowMs: number, slowStartMs: number): void {
    const { facts } = this.#lane;
    const agent = facts.agent(this.slot);
    this.#agent = agent;
    // As HAProxy has it, an agent's 0 takes the bound away.
    this.#maxConnections = (agent.maxConnections ?? this.#configured.maxConnections) || Number.POSITIVE_INFINITY;
    this.#capacity = agent.percent === undefined ? 1 : Math.min(agent.percent / 100, MOST_WEIGHT / Math.max(1, this.weight));
    this.#share = slowStartShare(facts.recoveredAtMs(this.slot), nowMs, slowStartMs);
  }

  health(): HealthCode {
    return this.#lane.health(this.slot);
  }

  /** Connections to it fail, and it gets none for a while. */
  isEjected(): boolean {
    return this.#lane.outliers.isEjected(this.slot);
  }

  /** How long it still is ejected, as far as was said when it was. */
  ejectedForMs(nowMs: number): number {
    return Math.max(0, this.#lane.outliers.ejectedUntilMs(this.slot) - nowMs);
  }

  /** So few servers of the group are left that their health is not looked at. */
  isInPanic(): boolean {
    return this.#lane.outliers.isInPanic(this.#groupSlot);
  }

  active(): number {
    return this.#lane.serverActive(this.slot);
  }

  latencyRank(): number | undefined {
    const latency = this.#lane.facts.latency(this.slot);
    return latency === undefined ? undefined : latencyRank(latency);
  }
}

/** Why a server takes no connection. Weight 0 is among it, as balancers have it. */
export type Obstacle =
  | 'drain'
  | 'maintenance'
  | 'weight'
  | 'unhealthy'
  | 'ejected'
  | NonNullable<ReturnType<typeof agentObstacle>>
  | 'full';

/** Why a server takes no connection now, whatever the others do; undefined: it may. */
export function obstacleTo(server: ServerView, health: HealthCode): Obstacle | undefined {
  if (server.mode !== 'ready') return server.mode;
  if (server.weight === 0) return 'weight';
  const isEjected = server.isEjected();
  if ((health === 'unhealthy' || isEjected) && !server.isInPanic()) return isEjected ? 'ejected' : 'unhealthy';
  const agent = server.capacity === 0 ? 'agentDrain' : agentObstacle(server.agent);
  if (agent !== undefined) return agent;
  if (server.active() >= server.maxConnections) return 'full';
  return undefined;
}

/** Which servers may be chosen, best first: the next are asked only when all of the one before are out. */
export const PREFERENCES = ['healthy', 'backup', 'unknown', 'unknownBackup'] as const;
export type Preference = (typeof PREFERENCES)[number];

export function preferenceOf(server: ServerView, health: HealthCode): Preference {
  if (health === 'unknown') return server.backup ? 'unknownBackup' : 'unknown';
  return server.backup ? 'backup' : 'healthy';
}

/**
 * Nothing is known of the server: it is there only while no probed one takes connections, as before the first probes have ended; a full
 * one still counts as taking them.
 */
export function isLastResort(preference: Preference): boolean {
  return preference === 'unknown' || preference === 'unknownBackup';
}

/** Whether the server, probed, would take connections if it had room: those that were not probed yet get none then. */
export function standsFirst(obstacle: Obstacle | undefined, preference: Preference): boolean {
  return (obstacle === undefined || obstacle === 'full') && !isLastResort(preference);
}
