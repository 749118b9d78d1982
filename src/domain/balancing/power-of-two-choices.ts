import { type Balancer, type Candidate, effectiveWeight } from './balancer.ts';
import { WeightedDraw } from './weighted-draw.ts';

/**
 * Two servers by lot, in proportion to their weights, and of the two the one with fewer connections for its weight: HAProxy's
 * `random(2)`; Mitzenmacher, "The power of two choices in randomized load balancing" (2001). Equals need no rotation: the lot decides.
 */
export class PowerOfTwoChoices<S extends Candidate> implements Balancer<S> {
  readonly #random: () => number;
  #lots = new WeightedDraw<S>([]);

  constructor(random: () => number) {
    this.#random = random;
  }

  update(servers: readonly S[]): void {
    this.#lots = new WeightedDraw(servers);
  }

  *candidates(): Generator<S> {
    const drawn = this.#lots.inOrder(this.#random);
    const one = drawn.next().value;
    const two = drawn.next().value;
    if (one === undefined) return;
    if (two === undefined) {
      yield one;
      return;
    }
    yield* two.active() * effectiveWeight(one) < one.active() * effectiveWeight(two) ? [two, one] : [one, two];
    yield* drawn;
  }

  taken(): void {
    // Lots have no memory.
  }

  changed(): void {
    // Loads are looked at when the lots have fallen.
  }
}
