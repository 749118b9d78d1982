import type { AgentState } from '../../domain/agent-report.ts';
import { DIRECTIONS, type Direction, leaveLine } from '../../domain/ratelimit/byte-line.ts';
import { REFUSAL_REASONS, type Reason, type RefusalReason, reasonIndex } from '../../domain/reasons.ts';
import { SHADOW_OUTCOMES, type ShadowOutcome } from '../../domain/shadow.ts';
import { type LatencyTotals, readLatency } from '../latency.ts';
import { releaseAddressLane } from './address-table.ts';
import { ByteLines } from './byte-lines.ts';
import { ChangeLog } from './change-log.ts';
import {
  CLIENT,
  HEALTH_CODES,
  type HealthCode,
  LANE,
  MAX_CLIENTS,
  MAX_GROUPS,
  MAX_SERVERS,
  SERVER,
  type SharedBuffers,
  TOTAL,
} from './layout.ts';
import { ListenerLedger } from './listener-cells.ts';
import { OutlierCells } from './outlier-cells.ts';
import { ServerFacts } from './server-facts.ts';
import { QueueLedger } from './waiting-queue.ts';

/** One server's counters, summed over all lanes. */
export interface ServerTotals {
  readonly connected: number;
  readonly failed: number;
  readonly bytesToUpstream: number;
  readonly bytesFromUpstream: number;
}

/** One client's counters, summed over all lanes. */
export interface ClientTotals {
  readonly accepted: number;
  readonly bytesFromClient: number;
  readonly bytesToClient: number;
  readonly refused: ReadonlyMap<RefusalReason, number>;
  /** Bytes that have waited for the client's bandwidth. */
  readonly paced: Readonly<Record<Direction, number>>;
  /** Connections that wait now for their turn by its rate limit. */
  readonly delayed: number;
  /** Connections that wait now for a place on a server. */
  readonly queued: number;
  /** What its limits would have done while they were in shadow. */
  readonly shadow: ReadonlyMap<ShadowOutcome, number>;
}

/** The main thread's side: writes health, reads everything, clears up after a worker that died. */
export class SharedLedger {
  readonly buffers: SharedBuffers;
  readonly facts: ServerFacts;
  readonly outliers: OutlierCells;
  readonly byteLines: ByteLines;
  readonly queue: QueueLedger;
  readonly listeners: ListenerLedger;
  readonly #changes: ChangeLog;
  readonly #totals: Int32Array;
  readonly #lanes: readonly Float64Array[];
  /** What the lanes' counters added up to when their row began anew, which is not the present entry's; workers alone write lanes. */
  readonly #before = new Float64Array(LANE.width);

  constructor(buffers: SharedBuffers) {
    this.buffers = buffers;
    this.#totals = new Int32Array(buffers.totals);
    this.#lanes = buffers.lanes.map((lane) => new Float64Array(lane));
    this.facts = new ServerFacts(buffers);
    this.outliers = new OutlierCells(buffers.outliers);
    this.byteLines = new ByteLines(buffers.byteLines);
    this.queue = new QueueLedger(buffers.queue, MAX_GROUPS);
    this.listeners = new ListenerLedger(buffers.listeners);
    this.#changes = new ChangeLog(buffers);
  }

  /** `recoveredAtMs`: when the server's slow start begins, on the monotonic clock; undefined: it has none for this. */
  setHealth(serverSlot: number, health: HealthCode, recoveredAtMs?: number): void {
    if (recoveredAtMs !== undefined) this.facts.setRecoveredAt(serverSlot, recoveredAtMs);
    Atomics.store(this.#totals, TOTAL.serverHealth + serverSlot, HEALTH_CODES.indexOf(health));
    this.#announce(serverSlot);
  }

  health(serverSlot: number): HealthCode {
    return HEALTH_CODES[Atomics.load(this.#totals, TOTAL.serverHealth + serverSlot)] ?? 'unknown';
  }

  /** `recoveredAtMs`: as of {@link setHealth}. */
  setAgent(serverSlot: number, agent: AgentState, recoveredAtMs?: number): void {
    if (recoveredAtMs !== undefined) this.facts.setRecoveredAt(serverSlot, recoveredAtMs);
    this.facts.setAgent(serverSlot, agent);
    this.#announce(serverSlot);
  }

  /** Until `untilMs` on the monotonic clock; undefined: the server is back, and its slow start begins at `recoveredAtMs`. */
  setEjected(serverSlot: number, untilMs: number | undefined, recoveredAtMs?: number): void {
    if (recoveredAtMs !== undefined) this.facts.setRecoveredAt(serverSlot, recoveredAtMs);
    this.outliers.setEjected(serverSlot, untilMs);
    this.#announce(serverSlot);
  }

  /** `serverSlot` is of any server of the group: workers look at all of them then. */
  setPanic(groupSlot: number, isInPanic: boolean, serverSlot: number | undefined): void {
    this.outliers.setPanic(groupSlot, isInPanic);
    if (serverSlot !== undefined) this.#announce(serverSlot);
  }

  serverActive(serverSlot: number): number {
    return Atomics.load(this.#totals, TOTAL.serverActive + serverSlot);
  }

  /** Connections that the workers hold to the server, by their lanes. */
  serverActiveByLane(serverSlot: number): readonly number[] {
    return this.#lanes.map((lane) => lane[LANE.servers + serverSlot * SERVER.width + SERVER.active] ?? 0);
  }

  clientActive(clientSlot: number): number {
    return Atomics.load(this.#totals, TOTAL.clientActive + clientSlot);
  }

  accepted(): number {
    return this.#sum(LANE.accepted);
  }

  active(): number {
    return this.#sum(LANE.active);
  }

  reason(reason: Reason): number {
    return this.#sum(LANE.reasons + reasonIndex(reason));
  }

  resumed(): number {
    return this.#sum(LANE.resumed);
  }

  /** Refused connections that are held for their reset now. */
  held(): number {
    return this.#sum(LANE.held);
  }

  handshakes(): LatencyTotals {
    return readLatency((index) => this.#sum(LANE.handshake + index));
  }

  connects(): LatencyTotals {
    return readLatency((index) => this.#sum(LANE.connect + index));
  }

  /** How long connections waited for a place. */
  queued(): LatencyTotals {
    return readLatency((index) => this.#sum(LANE.queued + index));
  }

  /** How long connections waited for their turn. */
  delays(): LatencyTotals {
    return readLatency((index) => this.#sum(LANE.delay + index));
  }

  server(serverSlot: number): ServerTotals {
    const row = LANE.servers + serverSlot * SERVER.width;
    return {
      connected: this.#sum(row + SERVER.connected),
      failed: this.#sum(row + SERVER.failed),
      bytesToUpstream: this.#sum(row + SERVER.bytesTo),
      bytesFromUpstream: this.#sum(row + SERVER.bytesFrom),
    };
  }

  client(clientSlot: number): ClientTotals {
    const row = LANE.clients + clientSlot * CLIENT.width;
    const refused = new Map<RefusalReason, number>();
    REFUSAL_REASONS.forEach((reason, index) => {
      const count = this.#sum(row + CLIENT.refused + index);
      if (count > 0) refused.set(reason, count);
    });
    const shadow = new Map<ShadowOutcome, number>();
    SHADOW_OUTCOMES.forEach((outcome, index) => {
      const count = this.#sum(row + CLIENT.shadow + index);
      if (count > 0) shadow.set(outcome, count);
    });
    return {
      accepted: this.#sum(row + CLIENT.accepted),
      bytesFromClient: this.#sum(row + CLIENT.bytesFrom),
      bytesToClient: this.#sum(row + CLIENT.bytesTo),
      refused,
      paced: { upload: this.#sum(row + CLIENT.paced), download: this.#sum(row + CLIENT.paced + 1) },
      delayed: this.#sum(row + CLIENT.delayed),
      queued: this.#sum(row + CLIENT.queued),
      shadow,
    };
  }

  /** Gives back every place that a dead worker still held. Its counters of what was stay. */
  releaseLane(lane: number): void {
    releaseAddressLane(this.buffers.addresses, lane);
    const servers = this.#releaseGauges(lane, LANE.servers + SERVER.active, SERVER.width, MAX_SERVERS, TOTAL.serverActive);
    for (const slot of servers) this.#changes.append(slot, 'changed');
    this.#releaseGauges(lane, LANE.clients + CLIENT.active, CLIENT.width, MAX_CLIENTS, TOTAL.clientActive);
    for (const gauge of [LANE.active, LANE.held]) this.#lanes[lane]?.fill(0, gauge, gauge + 1);
    this.#releaseBytes(lane);
    this.#releaseWaiting(lane);
    this.queue.releaseLane(lane);
    this.listeners.releaseLane(lane);
  }

  /** What waited in the lane for its client's bandwidth will not pass any more. */
  #releaseBytes(lane: number): void {
    this.byteLines.releaseLane(lane);
    const words = this.#lanes[lane];
    if (words === undefined) return;
    for (let slot = 0; slot < MAX_CLIENTS; slot++) {
      DIRECTIONS.forEach((direction, index) => {
        const word = LANE.clients + slot * CLIENT.width + CLIENT.held + index;
        const held = words[word] ?? 0;
        if (held === 0) return;
        this.byteLines.change(slot, direction, (cells) => leaveLine(cells, held));
        words[word] = 0;
      });
    }
  }

  #releaseWaiting(lane: number): void {
    const words = this.#lanes[lane];
    if (words === undefined) return;
    for (let slot = 0; slot < MAX_CLIENTS; slot++) {
      for (const gauge of [CLIENT.delayed, CLIENT.queued]) {
        const word = LANE.clients + slot * CLIENT.width + gauge;
        // Reading costs no memory; writing would have every page of the rows committed.
        if (words[word] !== 0) words[word] = 0;
      }
    }
  }

  /** Counts and knows nothing of the row's server any more, but the connections that are held to it. */
  renewServer(serverSlot: number): void {
    const row = LANE.servers + serverSlot * SERVER.width;
    this.#beginAtZero(row, SERVER.width, [SERVER.active]);
    Atomics.store(this.#totals, TOTAL.serverHealth + serverSlot, 0);
    this.facts.clear(serverSlot);
    this.outliers.clear(serverSlot);
    this.#announce(serverSlot);
  }

  /** Counts nothing of the row's client any more, but its connections, those that wait, the bytes of theirs that wait, and what they have used of its bandwidth. */
  renewClient(clientSlot: number): void {
    const row = LANE.clients + clientSlot * CLIENT.width;
    this.#beginAtZero(row, CLIENT.width, [CLIENT.active, CLIENT.held, CLIENT.held + 1, CLIENT.delayed, CLIENT.queued]);
  }

  /** Makes the row of an idle client ready for another one. */
  clearClient(clientSlot: number): void {
    this.renewClient(clientSlot);
    this.byteLines.clear(clientSlot);
  }

  /** Whether the server can be proposed may be another than before, and so may be whether somebody has to wait. */
  #announce(serverSlot: number): void {
    this.#changes.append(serverSlot, 'standing');
    this.queue.callAll();
  }

  #releaseGauges(lane: number, first: number, width: number, rows: number, totals: number): readonly number[] {
    const words = this.#lanes[lane];
    if (words === undefined) return [];
    const released: number[] = [];
    for (let row = 0; row < rows; row++) {
      const held = words[first + row * width] ?? 0;
      if (held === 0) continue;
      Atomics.sub(this.#totals, totals + row, held);
      words[first + row * width] = 0;
      released.push(row);
    }
    return released;
  }

  #beginAtZero(row: number, width: number, gauges: readonly number[]): void {
    for (let word = 0; word < width; word++) if (!gauges.includes(word)) this.#before[row + word] = this.#sumOfLanes(row + word);
  }

  #sum(word: number): number {
    return this.#sumOfLanes(word) - (this.#before[word] ?? 0);
  }

  #sumOfLanes(word: number): number {
    let sum = 0;
    for (const lane of this.#lanes) sum += lane[word] ?? 0;
    return sum;
  }
}
