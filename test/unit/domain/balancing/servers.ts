/** Servers as plain objects, a balancer that is told of what it chooses, and a random sequence that a test can repeat. */
import fc from 'fast-check';
import { createBalancer } from '../../../../src/domain/balancing/algorithms.ts';
import type { Balancer, Candidate } from '../../../../src/domain/balancing/balancer.ts';
import { type LatencyEstimate, latencyRank } from '../../../../src/domain/balancing/latency.ts';
import type { Algorithm } from '../../../../src/domain/model.ts';

export interface TestServer extends Candidate {
  readonly name: string;
  connections: number;
  latency: LatencyEstimate | undefined;
  capacity: number;
  share: number;
}

export function server(name: string, weight = 1, connections = 0, changes: Partial<TestServer> = {}): TestServer {
  return {
    name,
    address: `${name}:80`,
    weight,
    connections,
    latency: undefined,
    capacity: 1,
    share: 1,
    maxConnections: Number.POSITIVE_INFINITY,
    active() {
      return this.connections;
    },
    latencyRank() {
      return this.latency === undefined ? undefined : latencyRank(this.latency);
    },
    ...changes,
  };
}

/** Servers a, b, c ... of these weights. */
export function servers(...weights: readonly number[]): TestServer[] {
  return weights.map((weight, index) => server(String.fromCharCode(97 + index), weight));
}

/** A balancer over a list, told of each connection that it gives as the change log tells the real ones. */
export class Chooser {
  readonly balancer: Balancer<TestServer>;
  #list: readonly TestServer[];

  constructor(algorithm: Algorithm, list: readonly TestServer[], random: () => number = Math.random, hashBalanceFactor = 0) {
    this.balancer = createBalancer(algorithm, random, hashBalanceFactor);
    this.#list = list;
    this.balancer.update(list);
  }

  /** Goes on with another list. */
  use(list: readonly TestServer[]): void {
    this.#list = list;
    this.balancer.update(list);
  }

  order(key = 0): TestServer[] {
    return [...this.balancer.candidates(key)];
  }

  /** Gives a connection to the first usable server; its count stays as it is unless `hold`. */
  take({ usable = () => true, key = 0, hold = false }: TakeOptions = {}): TestServer | undefined {
    const chosen = this.order(key).find(usable);
    if (chosen === undefined) return undefined;
    if (hold) chosen.connections++;
    this.balancer.taken(this.#list.indexOf(chosen));
    return chosen;
  }

  /** Ends a connection, if the server has one. */
  end(one: TestServer): void {
    if (one.connections === 0) return;
    one.connections--;
    this.balancer.changed(this.#list.indexOf(one));
  }

  /** The names of the next so many. */
  next(count: number, options: TakeOptions = {}): string {
    return Array.from({ length: count }, () => this.take(options)?.name ?? '-').join('');
  }
}

export interface TakeOptions {
  readonly usable?: (server: TestServer) => boolean;
  readonly key?: number;
  readonly hold?: boolean;
}

export const names = (list: Iterable<TestServer>): string => [...list].map(({ name }) => name).join(' ');

/** Up to eight servers, some of weight 0, each with some connections. */
export const anyServers: fc.Arbitrary<TestServer[]> = fc
  .array(fc.tuple(fc.oneof(fc.constant(1), fc.integer({ min: 0, max: 5 })), fc.integer({ min: 0, max: 4 })), { maxLength: 8 })
  .map((rows) => rows.map(([weight, connections], index) => server(String.fromCharCode(97 + index), weight, connections)));

/** Mulberry32, a small generator of even random numbers below 1. */
export function seededRandom(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}
