import type { Balancer, Candidate } from './balancer.ts';
import { drawAll, drawOne } from './weighted-draw.ts';

/**
 * Two servers by lot, in proportion to their weights, and of the two the one with fewer connections for its weight: HAProxy's
 * `random(2)`; Mitzenmacher, "The power of two choices in randomized load balancing" (2001). Equals need no rotation: the lot decides.
 */
export class PowerOfTwoChoices<S extends Candidate> implements Balancer<S> {
  readonly #random: () => number;

  constructor(random: () => number) {
    this.#random = random;
  }

  *candidates(servers: readonly S[]): Generator<S> {
    const one = drawOne(servers, this.#random);
    if (one === undefined) return;
    const two = drawOne(servers, this.#random, one);
    if (two === undefined) {
      yield one;
      return;
    }
    const pair = two.active() * one.weight < one.active() * two.weight ? [two, one] : [one, two];
    yield* pair;
    yield* drawAll(servers, this.#random, new Set(pair));
  }

  /** Lots have no memory: one draw more changes no other. */
  fork(): this {
    return this;
  }
}
