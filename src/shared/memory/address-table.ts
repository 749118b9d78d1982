import type { AddressGuard } from '../../domain/model.ts';
import type { RateLimiter } from '../../domain/ratelimit/limiter.ts';
import { tokenBucket } from '../../domain/ratelimit/token-bucket.ts';
import type { SharedMemory } from './layout.ts';
import { releaseIfHeldBy, withSpinLock } from './spin-lock.ts';

/**
 * What each source address holds and how fast it comes, exact over all workers, in memory of a fixed size.
 *
 * An open-addressing hash table whose probe is bounded: an address of a listener has its place in one row of WAYS entries, chosen by
 * a hash with a seed of this process, and a row is changed under its own lock. A row that is full gives up the entry that
 * was seen longest ago and holds no connection; its address loses the memory of its rate, and nothing else. When
 * every entry of a row holds connections, one more address goes unbounded: a guard that fails lets in, because what it would
 * refuse is somebody who did nothing. The handshakes of a worker are bounded besides.
 *
 * How many connections an entry holds is the sum of what each lane holds, so that the part of a worker that died is taken out by
 * clearing its column. The whole address is compared, and 32 bits of its listener's name: two listeners of one hash, one in
 * four thousand million, would bound an address together.
 */
const ROWS = 8_192;
const WAYS = 8;
const ENTRIES = ROWS * WAYS;

/** An entry's 32-bit cells: the four words of the address, the listener's hash, and whether it is in use. */
const KEY_CELLS = 6;
const IN_USE = 5;
/** An entry's 64-bit words: the two cells of its token bucket, and when it was last seen. */
const WORDS = 3;
const SEEN_AT = 2;
/** Of a lane, for each entry. */
const GAUGES = 2;

const SEED_CELL = 0;
const LOCKS_AT = 1;
const KEYS_AT = LOCKS_AT + ROWS;
const GAUGES_AT = KEYS_AT + ENTRIES * KEY_CELLS;
const LANE_CELLS = ENTRIES * GAUGES;

/** Pages that are never touched cost nothing: a lane's column is 512 KiB at most. */
export interface AddressMemory {
  readonly cells: SharedMemory;
  readonly words: SharedMemory;
}

/** Memory for so many workers, nobody in it. */
export function createAddressMemory(lanes: number): AddressMemory {
  const cells = new SharedArrayBuffer((GAUGES_AT + lanes * LANE_CELLS) * Int32Array.BYTES_PER_ELEMENT);
  // Nobody outside can guess which addresses meet in a row.
  new Int32Array(cells).set(crypto.getRandomValues(new Int32Array(1)), SEED_CELL);
  return { cells, words: new SharedArrayBuffer(ENTRIES * WORDS * Float64Array.BYTES_PER_ELEMENT) };
}

/** What one address has at one listener. */
export interface AddressUse {
  readonly pending: number;
  readonly held: number;
}

/** A connection that was let in: give it back when it has ended. */
export interface AddressPlace {
  /** The handshake is done. A second time does nothing. */
  shaken(): void;
  /** The connection has ended. A second time does nothing. */
  release(): void;
}

/** A connection of a listener without bounds; a class, because idle connections hold one each. */
class Uncounted implements AddressPlace {
  readonly listener: string;
  readonly address: bigint;
  readonly #others: Set<Uncounted>;
  #shaking = true;
  #place: AddressPlace | undefined;

  /** Stands among `others` until it is counted or has ended. */
  constructor(listener: string, address: bigint, others: Set<Uncounted>) {
    this.listener = listener;
    this.address = address;
    this.#others = others;
    others.add(this);
  }

  shaken(): void {
    this.#shaking = false;
    this.#place?.shaken();
  }

  release(): void {
    this.#others.delete(this);
    this.#place?.release();
  }

  /** It is counted from now on; undefined: there was no room. */
  count(place: AddressPlace | undefined): void {
    this.#others.delete(this);
    this.#place = place;
    if (!this.#shaking) place?.shaken();
  }
}

/** Which of the bounds is reached. */
export type AddressBound = 'pendingHandshakes' | 'concurrentConnections' | 'connectionsPerSecond';

/** A lane's side of the table. */
export class AddressTable {
  readonly #cells: Int32Array;
  readonly #words: Float64Array;
  readonly #lane: number;
  readonly #lanes: number;
  readonly #uncounted = new Set<Uncounted>();

  constructor({ cells, words }: AddressMemory, lane: number) {
    this.#cells = new Int32Array(cells);
    this.#words = new Float64Array(words);
    this.#lane = lane;
    this.#lanes = (this.#cells.length - GAUGES_AT) / LANE_CELLS;
  }

  /**
   * Lets one more connection of the address in, or says which bound it is over. `address` is 128 bits, of a network of addresses
   * that count as one the first; undefined: there was no room to count it.
   */
  enter(listener: string, address: bigint, bounds: AddressGuard, nowMs: number): AddressPlace | AddressBound | undefined {
    return this.#inRow(listener, address, (row, key) => {
      const entry = this.#entryOf(row, key, nowMs);
      if (entry === undefined) return undefined;
      this.#words[entry * WORDS + SEEN_AT] = nowMs;
      return this.#reached(entry, bounds, nowMs, 'admit') ?? this.#placeIn(entry);
    });
  }

  /** Lets one in at a listener without bounds, and counts it once {@link count} asks for it: until then it costs no row and no lock. */
  enterUncounted(listener: string, address: bigint): AddressPlace {
    return new Uncounted(listener, address, this.#uncounted);
  }

  /** The listener has bounds from now on: counts those of this lane that were let in before, also beyond the bounds. */
  count(listener: string, nowMs: number): void {
    for (const connection of this.#uncounted) if (connection.listener === listener) connection.count(this.#taken(connection, nowMs));
  }

  /** What the address has, and which bound {@link enter} would name. Changes nothing. */
  peek(listener: string, address: bigint, bounds: AddressGuard, nowMs: number): AddressUse & { readonly bound: AddressBound | undefined } {
    return this.#inRow(listener, address, (row, key) => {
      const entry = this.#known(row, key);
      if (entry === undefined) return { pending: 0, held: 0, bound: undefined };
      return { ...this.#use(entry), bound: this.#reached(entry, bounds, nowMs, 'peek') };
    });
  }

  /** A place without a look at the bounds; undefined: there was no room to count it. */
  #taken({ listener, address }: Uncounted, nowMs: number): AddressPlace | undefined {
    return this.#inRow(listener, address, (row, key) => {
      const entry = this.#entryOf(row, key, nowMs);
      return entry === undefined ? undefined : this.#placeIn(entry);
    });
  }

  #reached(entry: number, bounds: AddressGuard, nowMs: number, ask: 'admit' | 'peek'): AddressBound | undefined {
    const { connectionsPerSecond, pendingHandshakes, concurrentConnections } = bounds;
    const { pending, held } = this.#use(entry);
    if (pendingHandshakes !== undefined && pending >= pendingHandshakes) return 'pendingHandshakes';
    if (concurrentConnections !== undefined && held >= concurrentConnections) return 'concurrentConnections';
    if (connectionsPerSecond === undefined) return undefined;
    const tokens = this.#words.subarray(entry * WORDS, entry * WORDS + SEEN_AT);
    return bucketOf(bounds, connectionsPerSecond)[ask](tokens, nowMs).admitted ? undefined : 'connectionsPerSecond';
  }

  #use(entry: number): AddressUse {
    let [pending, held] = [0, 0];
    for (let lane = 0; lane < this.#lanes; lane++) {
      pending += Atomics.load(this.#cells, gauge(lane, entry, 'pending'));
      held += Atomics.load(this.#cells, gauge(lane, entry, 'held'));
    }
    return { pending, held };
  }

  #known(row: number, key: Key): number | undefined {
    for (let entry = row * WAYS; entry < (row + 1) * WAYS; entry++) {
      const at = KEYS_AT + entry * KEY_CELLS;
      if (this.#cells[at + IN_USE] === 1 && this.#holds(at, key)) return entry;
    }
    return undefined;
  }

  #holds(at: number, key: Key): boolean {
    for (let index = 0; index < key.length; index++) if (this.#cells[at + index] !== key[index]) return false;
    return true;
  }

  /** The entry of the key, or one made ready for it; undefined: all of the row hold connections. */
  #entryOf(row: number, key: Key, nowMs: number): number | undefined {
    const known = this.#known(row, key);
    if (known !== undefined) return known;
    const oldest = this.#oldestIdle(row);
    if (oldest === undefined) return undefined;
    const at = KEYS_AT + oldest * KEY_CELLS;
    this.#cells.set(key, at);
    this.#cells[at + IN_USE] = 1;
    this.#words.fill(0, oldest * WORDS, oldest * WORDS + SEEN_AT);
    this.#words[oldest * WORDS + SEEN_AT] = nowMs;
    return oldest;
  }

  /** One that was never used is the oldest. */
  #oldestIdle(row: number): number | undefined {
    let oldest: number | undefined;
    let oldestSeenMs = Number.POSITIVE_INFINITY;
    for (let entry = row * WAYS; entry < (row + 1) * WAYS; entry++) {
      const seenMs = this.#words[entry * WORDS + SEEN_AT] ?? 0;
      if (seenMs >= oldestSeenMs || this.#use(entry).held > 0) continue;
      oldest = entry;
      oldestSeenMs = seenMs;
    }
    return oldest;
  }

  #placeIn(entry: number): AddressPlace {
    this.#add(entry, 'pending', 1);
    this.#add(entry, 'held', 1);
    const state = { shaking: true, held: true };
    const shaken = () => {
      if (state.shaking) this.#add(entry, 'pending', -1);
      state.shaking = false;
    };
    return {
      shaken,
      release: () => {
        shaken();
        if (state.held) this.#add(entry, 'held', -1);
        state.held = false;
      },
    };
  }

  #add(entry: number, which: keyof AddressUse, amount: number): void {
    Atomics.add(this.#cells, gauge(this.#lane, entry, which), amount);
  }

  /** While nobody else is in the row of the address at the listener. */
  #inRow<T>(listener: string, address: bigint, decide: (row: number, key: Key) => T): T {
    const key = keyOf(listener, address);
    const row = rowOf(key, this.#cells[SEED_CELL] ?? 0);
    return withSpinLock(this.#cells, LOCKS_AT + row, this.#lane, () => decide(row, key));
  }
}

/** Takes out what the lane held, and frees the locks that it held: for a worker that died. */
export function releaseAddressLane({ cells }: AddressMemory, lane: number): void {
  const all = new Int32Array(cells);
  const from = GAUGES_AT + lane * LANE_CELLS;
  for (let cell = from; cell < from + LANE_CELLS; cell++) if (all[cell] !== 0) Atomics.store(all, cell, 0);
  for (let row = 0; row < ROWS; row++) releaseIfHeldBy(all, LOCKS_AT + row, lane);
}

function gauge(lane: number, entry: number, which: keyof AddressUse): number {
  return GAUGES_AT + lane * LANE_CELLS + entry * GAUGES + (which === 'pending' ? 0 : 1);
}

/** The four words of an address and its listener's hash: 32 bits with a sign each. */
type Key = readonly number[];

function keyOf(listener: string, address: bigint): Key {
  let hash = 0x811c9dc5 | 0;
  for (let index = 0; index < listener.length; index++) hash = Math.imul(hash ^ listener.charCodeAt(index), 0x01000193);
  const low = wordsOf(BigInt.asUintN(64, address));
  const high = wordsOf(address >> 64n);
  return [high[0], high[1], low[0], low[1], hash];
}

/** Of 64 bits. */
function wordsOf(half: bigint): readonly [number, number] {
  return [Number(half >> 32n) | 0, Number(half & 0xffff_ffffn) | 0];
}

/** Bounds are never changed; others take their place. */
const buckets = new WeakMap<AddressGuard, RateLimiter>();

function bucketOf(bounds: AddressGuard, limit: number): RateLimiter {
  const known = buckets.get(bounds);
  if (known !== undefined) return known;
  const bucket = tokenBucket({ limit, windowMs: 1000, burst: bounds.burst });
  buckets.set(bounds, bucket);
  return bucket;
}

/** Mixes as MurmurHash3 does. */
function rowOf(key: Key, seed: number): number {
  let hash = seed;
  for (const word of key) {
    const mixed = Math.imul(rotated(Math.imul(word, 0xcc9e2d51), 15), 0x1b873593);
    hash = (Math.imul(rotated(hash ^ mixed, 13), 5) + 0xe6546b64) | 0;
  }
  hash = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b);
  hash = Math.imul(hash ^ (hash >>> 13), 0xc2b2ae35);
  return ((hash ^ (hash >>> 16)) >>> 0) % ROWS;
}

function rotated(word: number, bits: number): number {
  return (word << bits) | (word >>> (32 - bits));
}
