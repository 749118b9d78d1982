/** Servers as plain objects, and a random sequence that a test can repeat. */
import fc from 'fast-check';
import type { Candidate } from '../../../../src/domain/balancing/balancer.ts';

export interface TestServer extends Candidate {
  readonly name: string;
  connections: number;
}

export function server(name: string, weight = 1, connections = 0): TestServer {
  return {
    name,
    weight,
    connections,
    active() {
      return this.connections;
    },
  };
}

/** Servers a, b, c ... of these weights. */
export function servers(...weights: readonly number[]): TestServer[] {
  return weights.map((weight, index) => server(String.fromCharCode(97 + index), weight));
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
