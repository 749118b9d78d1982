/**
 * The fast facts that main thread and workers share. Only this folder says SharedArrayBuffer or Atomics.
 *
 * Two kinds of number live here:
 * - totals that several threads change and decide on (how many connections a server or client holds, limiter cells): Int32
 *   cells changed with Atomics, or cells under a CellLock;
 * - counters that one worker alone writes, in its own lane (accepted, refused by reason, bytes): plain 64-bit floats, exact
 *   up to 2^53. Readers add the lanes up. An aligned 64-bit store is not torn on any platform Node.js supports.
 *
 * The buffers have a fixed capacity; the system commits a page only when it is first written.
 */
import { REASONS, REFUSAL_REASONS } from '../../domain/reasons.ts';
import { SHADOW_OUTCOMES } from '../../domain/shadow.ts';
import { LATENCY_WORDS } from '../latency.ts';
import { type AddressMemory, createAddressMemory } from './address-table.ts';
import { type ByteLineMemory, createByteLineMemory } from './byte-lines.ts';
import { createListenerMemory, type ListenerMemory } from './listener-cells.ts';
import { createOutlierMemory, type OutlierMemory } from './outlier-cells.ts';
import { createQueueMemory, type QueueMemory } from './waiting-queue.ts';

export const MAX_SERVERS = 16_384;
export const MAX_CLIENTS = 16_384;
export const MAX_GROUPS = 4_096;
export const MAX_LISTENERS = 4_096;

/** Memory that both sides of the thread wall see; everybody outside this folder hands it on unopened. */
export type SharedMemory = SharedArrayBuffer;

export interface SharedBuffers {
  readonly totals: SharedMemory;
  /** What is known of each server besides its connections: 64-bit words, see FACT. */
  readonly facts: SharedMemory;
  /** One for each worker, by lane number. */
  readonly lanes: readonly SharedMemory[];
  /** What source addresses hold: address-table.ts. */
  readonly addresses: AddressMemory;
  /** Which servers fail: outlier-cells.ts. */
  readonly outliers: OutlierMemory;
  /** Where connections wait for a place on a server: waiting-queue.ts. */
  readonly queue: QueueMemory;
  /** Where the bytes of clients with a bandwidth wait: byte-lines.ts. */
  readonly byteLines: ByteLineMemory;
  /** What came by each listener: listener-cells.ts. */
  readonly listeners: ListenerMemory;
}

/** The log of changes (change-log.ts): its head, then its entries. */
export const CHANGE_LOG_ENTRIES = 32_768;
const CHANGE_LOG_CELLS = 1 + CHANGE_LOG_ENTRIES;

export const HEALTH_CODES = ['unknown', 'healthy', 'unhealthy'] as const;
export type HealthCode = (typeof HEALTH_CODES)[number];

/** A server's row in a lane, in 64-bit words. */
export const SERVER = { active: 0, connected: 1, failed: 2, bytesTo: 3, bytesFrom: 4, width: 5 } as const;
/** A client's row in a lane, in 64-bit words. */
export const CLIENT = {
  active: 0,
  accepted: 1,
  bytesFrom: 2,
  bytesTo: 3,
  /** Bytes that have waited for the client's bandwidth, from it and to it. */
  paced: 4,
  /** Bytes that wait for it now. */
  held: 6,
  /** Connections that wait now for their turn by the rate limit. */
  delayed: 8,
  /** Connections that wait now for a place on a server. */
  queued: 9,
  refused: 10,
  shadow: 10 + REFUSAL_REASONS.length,
  width: 10 + REFUSAL_REASONS.length + SHADOW_OUTCOMES.length,
} as const;
/** What a lane has once, before its rows. */
const HEAD_WORDS = 5 + REASONS.length + 4 * LATENCY_WORDS;
/** Where things are in a lane, in 64-bit words. */
export const LANE = {
  accepted: 0,
  active: 1,
  numbered: 2,
  reasons: 3,
  handshake: 3 + REASONS.length,
  connect: 3 + REASONS.length + LATENCY_WORDS,
  queued: 3 + REASONS.length + 2 * LATENCY_WORDS,
  delay: 3 + REASONS.length + 3 * LATENCY_WORDS,
  /** TLS sessions of before that were taken up again. */
  resumed: 3 + REASONS.length + 4 * LATENCY_WORDS,
  /** Refused connections that are held for their reset now. */
  held: 4 + REASONS.length + 4 * LATENCY_WORDS,
  servers: HEAD_WORDS,
  clients: HEAD_WORDS + MAX_SERVERS * SERVER.width,
  width: HEAD_WORDS + MAX_SERVERS * SERVER.width + MAX_CLIENTS * CLIENT.width,
} as const;

/**
 * A server's row of facts, in 64-bit words. The main thread writes recoveredAtMs and what the agent said; workers write the latency.
 * Times are of the monotonic clock; 0 stands for never.
 */
export const FACT = {
  recoveredAtMs: 0,
  /** Two words that several workers write: a reader that meets them between two writes is off by one measurement, once. */
  latencyMs: 1,
  latencyAtMs: 2,
  /** The percentage plus 1; 0: it did not say. */
  agentPercent: 3,
  /** The number plus 1; 0: it did not say. */
  agentMaxConnections: 4,
  /** The index in AGENT_STANDINGS. */
  agentStanding: 5,
  width: 6,
} as const;

/** Where things are in the totals, in Int32 cells. */
export const TOTAL = {
  serverActive: 0,
  serverHealth: MAX_SERVERS,
  clientActive: 2 * MAX_SERVERS,
  changeLog: 2 * MAX_SERVERS + MAX_CLIENTS,
  width: 2 * MAX_SERVERS + MAX_CLIENTS + CHANGE_LOG_CELLS,
} as const;

/** Memory for a balancer of so many workers, all zero. */
export function createSharedBuffers(lanes: number): SharedBuffers {
  return {
    totals: new SharedArrayBuffer(TOTAL.width * Int32Array.BYTES_PER_ELEMENT),
    facts: new SharedArrayBuffer(MAX_SERVERS * FACT.width * Float64Array.BYTES_PER_ELEMENT),
    lanes: Array.from({ length: lanes }, () => new SharedArrayBuffer(LANE.width * Float64Array.BYTES_PER_ELEMENT)),
    addresses: createAddressMemory(lanes),
    outliers: createOutlierMemory(MAX_SERVERS, MAX_GROUPS),
    queue: createQueueMemory(MAX_GROUPS, lanes),
    byteLines: createByteLineMemory(MAX_CLIENTS),
    listeners: createListenerMemory(lanes, MAX_LISTENERS),
  };
}
