import { AGENT_STANDINGS, type AgentState, SILENT_AGENT } from '../../domain/agent-report.ts';
import { type LatencyEstimate, observeLatency } from '../../domain/balancing/latency.ts';
import { FACT, type SharedBuffers } from './layout.ts';

/** What is known of each server besides its health and its connections, for all threads. */
export class ServerFacts {
  readonly #words: Float64Array;

  constructor(buffers: Pick<SharedBuffers, 'facts'>) {
    this.#words = new Float64Array(buffers.facts);
  }

  /** On the monotonic clock; undefined: it has not been down since the start. */
  recoveredAtMs(slot: number): number | undefined {
    return this.#get(slot, FACT.recoveredAtMs) || undefined;
  }

  setRecoveredAt(slot: number, recoveredAtMs: number): void {
    this.#set(slot, FACT.recoveredAtMs, recoveredAtMs);
  }

  /** undefined: nobody has connected to it yet. */
  latency(slot: number): LatencyEstimate | undefined {
    const atMs = this.#get(slot, FACT.latencyAtMs);
    return atMs === 0 ? undefined : { averageMs: this.#get(slot, FACT.latencyMs), atMs };
  }

  observeLatency(slot: number, tookMs: number, nowMs: number): void {
    const { averageMs, atMs } = observeLatency(this.latency(slot), tookMs, nowMs);
    this.#set(slot, FACT.latencyMs, averageMs);
    this.#set(slot, FACT.latencyAtMs, atMs);
  }

  agent(slot: number): AgentState {
    const percent = this.#get(slot, FACT.agentPercent);
    const maxConnections = this.#get(slot, FACT.agentMaxConnections);
    if (percent === 0 && maxConnections === 0 && this.#get(slot, FACT.agentStanding) === 0) return SILENT_AGENT;
    return {
      percent: percent === 0 ? undefined : percent - 1,
      maxConnections: maxConnections === 0 ? undefined : maxConnections - 1,
      standing: AGENT_STANDINGS[this.#get(slot, FACT.agentStanding)] ?? 'up',
    };
  }

  setAgent(slot: number, { percent, maxConnections, standing }: AgentState): void {
    this.#set(slot, FACT.agentPercent, percent === undefined ? 0 : percent + 1);
    this.#set(slot, FACT.agentMaxConnections, maxConnections === undefined ? 0 : maxConnections + 1);
    this.#set(slot, FACT.agentStanding, AGENT_STANDINGS.indexOf(standing));
  }

  clear(slot: number): void {
    this.#words.fill(0, slot * FACT.width, (slot + 1) * FACT.width);
  }

  #get(slot: number, word: number): number {
    return this.#words[slot * FACT.width + word] ?? 0;
  }

  #set(slot: number, word: number, value: number): void {
    this.#words[slot * FACT.width + word] = value;
  }
}
