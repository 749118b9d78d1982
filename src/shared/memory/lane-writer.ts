import { DIRECTIONS, type Direction } from '../../domain/ratelimit/byte-line.ts';
import { type Reason, type RefusalReason, reasonIndex } from '../../domain/reasons.ts';
import { SHADOW_OUTCOMES, type ShadowOutcome } from '../../domain/shadow.ts';
import { countLatency } from '../latency.ts';
import { ChangeLog } from './change-log.ts';
import { CLIENT, HEALTH_CODES, type HealthCode, LANE, MAX_GROUPS, SERVER, type SharedBuffers, TOTAL } from './layout.ts';
import { ListenerLane } from './listener-cells.ts';
import { OutlierCells } from './outlier-cells.ts';
import { ServerFacts } from './server-facts.ts';
import { WaitingQueue } from './waiting-queue.ts';

/** Where one worker writes: its own lane, and its part in the shared totals. */
export class LaneWriter {
  readonly lane: number;
  readonly facts: ServerFacts;
  readonly outliers: OutlierCells;
  readonly queue: WaitingQueue;
  readonly listeners: ListenerLane;
  /** What happens to servers, whichever thread does it. */
  readonly changes: ChangeLog;
  readonly #totals: Int32Array;
  readonly #own: Float64Array;

  constructor(buffers: SharedBuffers, lane: number) {
    const own = buffers.lanes[lane];
    if (own === undefined) throw new RangeError(`there is no lane ${lane}`);
    this.lane = lane;
    this.#totals = new Int32Array(buffers.totals);
    this.#own = new Float64Array(own);
    this.facts = new ServerFacts(buffers);
    this.outliers = new OutlierCells(buffers.outliers);
    this.queue = new WaitingQueue(buffers.queue, lane, MAX_GROUPS);
    this.listeners = new ListenerLane(buffers.listeners, lane);
    this.changes = new ChangeLog(buffers);
  }

  health(serverSlot: number): HealthCode {
    return HEALTH_CODES[Atomics.load(this.#totals, TOTAL.serverHealth + serverSlot)] ?? 'unknown';
  }

  serverActive(serverSlot: number): number {
    return Atomics.load(this.#totals, TOTAL.serverActive + serverSlot);
  }

  /**
   * Takes one of the server's places, if its count is still `seen`. False: another worker was quicker; look again.
   */
  reserveServer(serverSlot: number, seen: number): boolean {
    if (Atomics.compareExchange(this.#totals, TOTAL.serverActive + serverSlot, seen, seen + 1) !== seen) return false;
    this.#add(LANE.servers + serverSlot * SERVER.width + SERVER.active, 1);
    this.changes.append(serverSlot, 'taken');
    return true;
  }

  releaseServer(serverSlot: number): void {
    Atomics.sub(this.#totals, TOTAL.serverActive + serverSlot, 1);
    this.#add(LANE.servers + serverSlot * SERVER.width + SERVER.active, -1);
    this.changes.append(serverSlot, 'changed');
  }

  /** Connecting to the server took so long, at this moment of the monotonic clock. */
  observeLatency(serverSlot: number, tookMs: number, nowMs: number): void {
    this.facts.observeLatency(serverSlot, tookMs, nowMs);
    this.changes.append(serverSlot, 'changed');
  }

  clientActive(clientSlot: number): number {
    return Atomics.load(this.#totals, TOTAL.clientActive + clientSlot);
  }

  /** Takes one of the client's `limit` places; false when all are taken. Exact across workers. */
  reserveClient(clientSlot: number, limit: number): boolean {
    const cell = TOTAL.clientActive + clientSlot;
    for (;;) {
      const seen = Atomics.load(this.#totals, cell);
      if (seen >= limit) return false;
      if (Atomics.compareExchange(this.#totals, cell, seen, seen + 1) === seen) break;
    }
    this.#add(LANE.clients + clientSlot * CLIENT.width + CLIENT.active, 1);
    return true;
  }

  releaseClient(clientSlot: number): void {
    Atomics.sub(this.#totals, TOTAL.clientActive + clientSlot, 1);
    this.#add(LANE.clients + clientSlot * CLIENT.width + CLIENT.active, -1);
  }

  /** A connection is being served from now on; {@link countEnded} says when it no longer is. */
  countAccepted(clientSlot: number): void {
    this.#add(LANE.accepted, 1);
    this.#add(LANE.active, 1);
    this.#add(LANE.clients + clientSlot * CLIENT.width + CLIENT.accepted, 1);
  }

  /** How many connections have been given a number in this lane; it outlives the worker, so that no number comes twice. */
  get lastNumber(): number {
    return this.#own[LANE.numbered] ?? 0;
  }

  /** The number of one more connection, from 1. */
  nextNumber(): number {
    this.#add(LANE.numbered, 1);
    return this.lastNumber;
  }

  /** A client has taken up a TLS session of before. */
  countResumed(): void {
    this.#add(LANE.resumed, 1);
  }

  /** So many refused connections are held for their reset now. */
  setHeld(count: number): void {
    this.#own[LANE.held] = count;
  }

  /** `seconds` from accept to a verified handshake. */
  countHandshake(seconds: number): void {
    countLatency(this.#own, LANE.handshake, seconds);
  }

  /** `seconds` from the first dial to a connected upstream server, retries included. */
  countConnect(seconds: number): void {
    countLatency(this.#own, LANE.connect, seconds);
  }

  /** `seconds` in the queue, of a connection that got a place. */
  countQueued(seconds: number): void {
    countLatency(this.#own, LANE.queued, seconds);
  }

  /** `seconds` that a connection waited for its turn, which has come. */
  countDelay(seconds: number): void {
    countLatency(this.#own, LANE.delay, seconds);
  }

  /** So many more of the client's connections wait, for their turn or for a server, or fewer. */
  countWaiting(kind: 'delayed' | 'queued', clientSlot: number, change: 1 | -1): void {
    this.#add(LANE.clients + clientSlot * CLIENT.width + CLIENT[kind], change);
  }

  countEnded(): void {
    this.#add(LANE.active, -1);
  }

  countReason(reason: Reason): void {
    this.#add(LANE.reasons + reasonIndex(reason), 1);
  }

  countRefused(clientSlot: number, reason: RefusalReason): void {
    this.#add(LANE.clients + clientSlot * CLIENT.width + CLIENT.refused + reasonIndex(reason), 1);
  }

  countConnected(serverSlot: number): void {
    this.#add(LANE.servers + serverSlot * SERVER.width + SERVER.connected, 1);
  }

  countFailed(serverSlot: number): void {
    this.#add(LANE.servers + serverSlot * SERVER.width + SERVER.failed, 1);
  }

  countBytesUp(clientSlot: number, serverSlot: number, bytes: number): void {
    this.#add(LANE.clients + clientSlot * CLIENT.width + CLIENT.bytesFrom, bytes);
    this.#add(LANE.servers + serverSlot * SERVER.width + SERVER.bytesTo, bytes);
  }

  countBytesDown(clientSlot: number, serverSlot: number, bytes: number): void {
    this.#add(LANE.clients + clientSlot * CLIENT.width + CLIENT.bytesTo, bytes);
    this.#add(LANE.servers + serverSlot * SERVER.width + SERVER.bytesFrom, bytes);
  }

  /** Bytes of the client wait for its bandwidth from now on; a negative number: so many no longer do. */
  countHeld(clientSlot: number, direction: Direction, bytes: number): void {
    const word = LANE.clients + clientSlot * CLIENT.width + DIRECTIONS.indexOf(direction);
    this.#add(word + CLIENT.held, bytes);
    if (bytes > 0) this.#add(word + CLIENT.paced, bytes);
  }

  /** What a limit in shadow would have done. */
  countShadow(clientSlot: number, outcome: ShadowOutcome): void {
    this.#add(LANE.clients + clientSlot * CLIENT.width + CLIENT.shadow + SHADOW_OUTCOMES.indexOf(outcome), 1);
  }

  #add(word: number, amount: number): void {
    this.#own[word] = (this.#own[word] ?? 0) + amount;
  }
}
