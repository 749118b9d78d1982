import type { Balancer, Candidate } from './balancer.ts';
import { drawAll, drawOne } from './weighted-draw.ts';

/** A server by lot, in proportion to its weight. */
export class WeightedRandom<S extends Candidate> implements Balancer<S> {
  readonly #random: () => number;

  constructor(random: () => number) {
    this.#random = random;
  }

  *candidates(servers: readonly S[]): Generator<S> {
    const first = drawOne(servers, this.#random);
    if (first === undefined) return;
    yield first;
    yield* drawAll(servers, this.#random, new Set([first]));
  }

  /** Lots have no memory: one draw more changes no other. */
  fork(): this {
    return this;
  }
}
