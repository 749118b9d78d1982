import type { AgentState } from '../domain/agent-report.ts';
import { slowStartShare } from '../domain/balancing/slow-start.ts';
import type { Client } from '../domain/model.ts';
import { bytesPerSecondOf, type Direction, lineHeadroom } from '../domain/ratelimit/byte-line.ts';
import { limitAt, peekLimit } from '../domain/ratelimit/limit-state.ts';
import { ruleOf } from '../domain/ratelimit/rate-rule.ts';
import { REASONS, type Reason } from '../domain/reasons.ts';
import { monotonicMs } from '../shared/clock.ts';
import type { LatencyTotals } from '../shared/latency.ts';
import type { ClientTotals, ServerTotals, SharedLedger } from '../shared/memory/ledger.ts';
import type { ListenerTotals } from '../shared/memory/listener-cells.ts';
import type { Slots } from './slots.ts';

export interface ServerCounters extends ServerTotals {
  readonly active: number;
}

/** What balancing goes by, besides counters. */
export interface ServerBalance {
  /** How long connecting takes, as leastLatency averages it; undefined: nobody has tried yet. */
  readonly connectMs: number | undefined;
  readonly agent: AgentState;
  /** 1: the server has all of its share. */
  readonly slowStartShare: number;
  readonly isEjected: boolean;
  /** How often it was. */
  readonly ejections: number;
}

export interface ClientCounters extends ClientTotals {
  readonly active: number;
}

/** undefined: there is no such limit. */
export interface ClientHeadroom {
  /** Connections that the rate limit would admit now. */
  readonly rate: number | undefined;
  /** Connections that the client may hold besides those it has. */
  readonly connections: number | undefined;
  /** Bytes that would pass now without waiting: at most a tenth of what passes in a second. */
  readonly upload: number | undefined;
  readonly download: number | undefined;
}

const NOTHING_COUNTED: ClientTotals = {
  accepted: 0,
  bytesFromClient: 0,
  bytesToClient: 0,
  refused: new Map(),
  paced: { upload: 0, download: 0 },
  delayed: 0,
  queued: 0,
  shadow: new Map(),
};

export interface Totals {
  /** Connections being served now. */
  readonly active: number;
  /** Connections that were served, since the start. */
  readonly accepted: number;
  /** Every refusal and close, since the start, by reason; reasons that never occurred are left out. */
  readonly byReason: ReadonlyMap<Reason, number>;
}

/** Reads the counters: sums over the lanes of all workers, live. */
export class Stats {
  readonly #ledger: SharedLedger;
  readonly #slots: Slots;

  constructor(ledger: SharedLedger, slots: Slots) {
    this.#ledger = ledger;
    this.#slots = slots;
  }

  server(group: string, address: string): ServerCounters {
    const slot = this.#slots.serverSlot(group, address);
    if (slot === undefined) return { active: 0, connected: 0, failed: 0, bytesToUpstream: 0, bytesFromUpstream: 0 };
    return { active: this.#ledger.serverActive(slot), ...this.#ledger.server(slot) };
  }

  /** Connections that the server holds now. */
  activeOn(group: string, address: string): number {
    const slot = this.#slots.serverSlot(group, address);
    return slot === undefined ? 0 : this.#ledger.serverActive(slot);
  }

  /** What balancing goes by besides the counters; `slowStartMs` is that of the group. undefined: there is no such server. */
  balance(group: string, address: string, slowStartMs: number): ServerBalance | undefined {
    const slot = this.#slots.serverSlot(group, address);
    if (slot === undefined) return undefined;
    const { facts, outliers } = this.#ledger;
    return {
      connectMs: facts.latency(slot)?.averageMs,
      agent: facts.agent(slot),
      slowStartShare: slowStartShare(facts.recoveredAtMs(slot), monotonicMs(), slowStartMs),
      isEjected: outliers.isEjected(slot),
      ejections: outliers.ejections(slot),
    };
  }

  /** Connections to the server fail, and it gets none for a while. */
  isEjected(group: string, address: string): boolean {
    const slot = this.#slots.serverSlot(group, address);
    return slot !== undefined && this.#ledger.outliers.isEjected(slot);
  }

  /** Too few servers of the group are healthy for health to be looked at. */
  isInPanic(group: string): boolean {
    const slot = this.#slots.groupSlot(group);
    return slot !== undefined && this.#ledger.outliers.isInPanic(slot);
  }

  /**
   * Reads this server's active connections from now on, after its removal too, and goes on when it is added again. The row goes to
   * another server only when it has been idle, so the count of a removed server goes down to 0 and means nothing afterwards.
   */
  activeCounter(group: string, address: string): () => number {
    const slot = this.#slots.serverSlot(group, address);
    return slot === undefined ? () => 0 : () => this.#ledger.serverActive(slot);
  }

  client(clientId: string): ClientCounters {
    const slot = this.#slots.clientSlot(clientId);
    if (slot === undefined) return { active: 0, ...NOTHING_COUNTED };
    return { active: this.#ledger.clientActive(slot), ...this.#ledger.client(slot) };
  }

  /** What is left of each of the client's limits now. Uses up nothing. */
  headroom(client: Client): ClientHeadroom {
    const { concurrentConnections } = client.limits;
    const slot = this.#slots.clientSlot(client.clientId);
    const active = slot === undefined ? 0 : this.#ledger.clientActive(slot);
    return {
      rate: this.rateHeadroom(client),
      connections: concurrentConnections === undefined ? undefined : Math.max(0, concurrentConnections - active),
      upload: this.#bandwidthHeadroom(client, 'upload'),
      download: this.#bandwidthHeadroom(client, 'download'),
    };
  }

  #bandwidthHeadroom({ clientId, limits }: Client, direction: Direction): number | undefined {
    const bytesPerSecond = bytesPerSecondOf(limits.bandwidth, direction);
    const slot = this.#slots.clientSlot(clientId);
    if (bytesPerSecond === undefined || slot === undefined) return undefined;
    const rule = { revision: Number.POSITIVE_INFINITY, bytesPerSecond };
    const left = this.#ledger.byteLines.glance(slot, direction, (cells) => lineHeadroom(cells, rule, monotonicMs()));
    return Math.max(0, Math.floor(left));
  }

  /** How many connections the client's rate limit would admit now; undefined: it has none. Uses up nothing. */
  rateHeadroom({ clientId, limits }: Client): number | undefined {
    const lock = this.#slots.limiterLock(clientId);
    if (limits.connectionRate === undefined || lock === undefined) return undefined;
    // The authority's state is the newest there is, whatever the workers have taken over so far.
    const limit = limitAt(Number.POSITIVE_INFINITY, ruleOf(limits.connectionRate), limits.shadow);
    const verdict = lock.glance((state) => peekLimit(state, limit, monotonicMs()));
    return verdict.admitted ? verdict.remaining : 0;
  }

  listener(name: string): ListenerTotals {
    const slot = this.#slots.listenerSlot(name);
    return slot === undefined ? { active: 0, accepted: 0, refused: 0 } : this.#ledger.listeners.totals(slot);
  }

  /** Connections that wait for a place on one of the group's servers now. */
  waiting(group: string): number {
    const slot = this.#slots.groupSlot(group);
    return slot === undefined ? 0 : this.#ledger.queue.length(slot);
  }

  /**
   * Times from accept to a verified handshake, from the first dial to a connected server, in the queue of those that got a place, and of
   * those whose turn came by their rate limit until it did.
   */
  latencies(): Readonly<Record<'handshake' | 'connect' | 'queued' | 'delay', LatencyTotals>> {
    return {
      handshake: this.#ledger.handshakes(),
      connect: this.#ledger.connects(),
      queued: this.#ledger.queued(),
      delay: this.#ledger.delays(),
    };
  }

  /** TLS sessions of before that clients took up again. */
  resumedSessions(): number {
    return this.#ledger.resumed();
  }

  /** Connections over the bounds of their address that are held for their reset now. */
  held(): number {
    return this.#ledger.held();
  }

  totals(): Totals {
    const byReason = new Map<Reason, number>();
    for (const reason of REASONS) {
      const count = this.#ledger.reason(reason);
      if (count > 0) byReason.set(reason, count);
    }
    return { active: this.#ledger.active(), accepted: this.#ledger.accepted(), byReason };
  }
}
