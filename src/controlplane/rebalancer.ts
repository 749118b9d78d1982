import { agentObstacle } from '../domain/agent-report.ts';
import { changedGroups } from '../domain/changed-groups.ts';
import type { Snapshot, TargetGroup, UpstreamServer } from '../domain/model.ts';
import { apportion, beginEpisode, type Episode, excesses, movesConnections, nextStep, type ServerLoad } from '../domain/rebalance.ts';
import type { SharedLedger } from '../shared/memory/ledger.ts';
import type { Closing } from '../shared/messages.ts';
import type { Subscriber } from './authority.ts';
import type { HealthLog } from './health-checker.ts';
import { OnceATurn } from './once-a-turn.ts';
import type { Slots } from './slots.ts';
import type { Stats } from './stats.ts';

/** What the rebalancer needs around it. */
export interface RebalancerParts {
  readonly authority: { readonly snapshot: Snapshot; subscribe(subscriber: Subscriber): () => void };
  readonly ledger: SharedLedger;
  readonly slots: Slots;
  readonly stats: Stats;
  /** Has each worker, by its lane, close connections of servers, the longest idle first; resolves with how many were closed. */
  readonly close: (closings: readonly (readonly Closing[])[]) => Promise<number>;
  readonly log: HealthLog;
}

/** A group on its way back to an even load. */
interface Running {
  /** That have recovered since it began. */
  readonly servers: Set<string>;
  episode: Episode;
  closed: number;
  timer: NodeJS.Timeout | undefined;
}

const PERIOD_MS = 1_000;

/** After a server has recovered, moves connections of its group to it, so many each second, where the group asks for that. */
export class Rebalancer {
  readonly #parts: RebalancerParts;
  readonly #changed = new OnceATurn((group) => this.#look(group));
  /** By group, the servers that took connections when it was last looked at. */
  readonly #taking = new Map<string, ReadonlySet<string>>();
  readonly #running = new Map<string, Running>();
  #unsubscribe: () => void = () => undefined;

  constructor(parts: RebalancerParts) {
    this.#parts = parts;
  }

  /** From now on a server that begins to take connections has recovered; subscribe what assigns slots before. */
  start(): void {
    const { authority } = this.#parts;
    for (const group of authority.snapshot.targetGroups.values()) this.#taking.set(group.name, this.#takingIn(group));
    this.#unsubscribe = authority.subscribe(({ previous, next }) => {
      for (const { name } of changedGroups(previous, next)) this.note(name);
    });
  }

  stop(): void {
    this.#unsubscribe();
    for (const { timer } of this.#running.values()) clearTimeout(timer);
    this.#running.clear();
  }

  /** Whether a server of the group takes connections may be another than before. */
  note(group: string): void {
    this.#changed.note(group);
  }

  /** Connections of the group that are still to move; undefined: none are being moved. */
  remaining(group: string): number | undefined {
    const settings = this.#parts.authority.snapshot.targetGroups.get(group);
    if (settings === undefined || !this.#running.has(group)) return undefined;
    return [...excesses(this.#loads(settings, false)).values()].reduce((sum, excess) => sum + excess, 0);
  }

  #look(name: string): void {
    const group = this.#parts.authority.snapshot.targetGroups.get(name);
    const before = this.#taking.get(name);
    const taking = group === undefined ? new Set<string>() : this.#takingIn(group);
    if (group === undefined) this.#taking.delete(name);
    else this.#taking.set(name, taking);
    const running = this.#running.get(name);
    if (running !== undefined) {
      for (const server of running.servers) if (!taking.has(server)) running.servers.delete(server);
      if (running.servers.size === 0) this.#end(name, 'the server that had recovered takes no connections any more');
      else if (group?.rebalance === undefined) this.#end(name, 'the group does not ask for it any more');
    }
    // A group that is new has nothing to move.
    if (group === undefined || before === undefined) return;
    const recovered = [...taking].filter((server) => !before.has(server));
    if (recovered.length > 0 && group.rebalance !== undefined && movesConnections(group.algorithm)) this.#begin(group, recovered);
  }

  #begin(group: TargetGroup, recovered: readonly string[]): void {
    const episode = beginEpisode(this.#loads(group, false));
    const running = this.#running.get(group.name);
    if (running !== undefined) {
      for (const server of recovered) running.servers.add(server);
      running.episode = episode;
      return;
    }
    if (episode.budget === 0) return;
    const fresh: Running = { servers: new Set(recovered), episode, closed: 0, timer: undefined };
    this.#running.set(group.name, fresh);
    this.#parts.log.info(
      { group: group.name, servers: recovered, connections: episode.budget, perSecond: group.rebalance?.perSecond },
      'rebalancing: connections move to servers that have recovered',
    );
    this.#wait(group.name, fresh);
  }

  #wait(group: string, running: Running): void {
    running.timer = setTimeout(() => void this.#step(group, running), PERIOD_MS);
  }

  async #step(name: string, running: Running): Promise<void> {
    const group = this.#parts.authority.snapshot.targetGroups.get(name);
    if (group?.rebalance === undefined) return this.#end(name, 'the group does not ask for it any more');
    const step = nextStep(running.episode, this.#loads(group, false), this.#loads(group, true), group.rebalance.perSecond);
    if (step.kind === 'end') return this.#end(name, step.why === 'even' ? 'the load is even' : 'more would not make it more even');
    running.episode = step.episode;
    this.#wait(name, running);
    running.closed += await this.#parts.close(this.#divided(group, step.closings));
  }

  #end(group: string, why: string): void {
    const running = this.#running.get(group);
    if (running === undefined) return;
    clearTimeout(running.timer);
    this.#running.delete(group);
    this.#parts.log.info({ group, closed: running.closed, why }, 'rebalancing has ended');
  }

  /** By lane, in proportion to what each worker holds of a server. */
  #divided({ name }: TargetGroup, closings: ReadonlyMap<string, number>): readonly (readonly Closing[])[] {
    const { ledger, slots } = this.#parts;
    const lanes: Closing[][] = ledger.buffers.lanes.map(() => []);
    for (const [server, count] of closings) {
      const slot = slots.serverSlot(name, server);
      if (slot === undefined) continue;
      for (const [lane, part] of apportion(count, new Map(ledger.serverActiveByLane(slot).entries())))
        lanes[lane]?.push({ group: name, server, count: part });
    }
    return lanes;
  }

  #takingIn(group: TargetGroup): ReadonlySet<string> {
    return new Set(group.servers.filter((server) => this.#takes(group, server)).map(({ address }) => address));
  }

  /** Whether the server is one that connections go to while it has room; to one that was not probed yet they go only for want of others. */
  #takes({ name, healthCheck }: TargetGroup, { address, mode, weight }: UpstreamServer): boolean {
    const { ledger, slots } = this.#parts;
    const slot = slots.serverSlot(name, address);
    if (slot === undefined || mode !== 'ready' || weight === 0) return false;
    const isWell = ledger.health(slot) === 'healthy' || healthCheck.type === 'none';
    return isWell && !ledger.outliers.isEjected(slot) && agentObstacle(ledger.facts.agent(slot)) === undefined;
  }

  /** `isPresent`: with the share that slow start leaves a server now. */
  #loads(group: TargetGroup, isPresent: boolean): readonly ServerLoad[] {
    const { stats } = this.#parts;
    const taking = group.servers.filter((server) => this.#takes(group, server));
    const hasRegular = taking.some(({ backup }) => !backup);
    return taking.map(({ address, weight, maxConnections, backup }) => {
      const balance = stats.balance(group.name, address, group.slowStartMs);
      const percent = balance?.agent.percent ?? 100;
      const share = isPresent ? (balance?.slowStartShare ?? 1) : 1;
      return {
        server: address,
        active: Math.max(0, stats.activeOn(group.name, address)),
        weight: backup && hasRegular ? 0 : (weight * percent * share) / 100,
        maxConnections: (balance?.agent.maxConnections ?? maxConnections) || Number.POSITIVE_INFINITY,
      };
    });
  }
}
