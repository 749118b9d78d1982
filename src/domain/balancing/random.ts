import type { Balancer, Candidate } from './balancer.ts';
import { WeightedDraw } from './weighted-draw.ts';

/** A server by lot, in proportion to its weight. */
export class WeightedRandom<S extends Candidate> implements Balancer<S> {
  readonly #random: () => number;
  #lots = new WeightedDraw<S>([]);

  constructor(random: () => number) {
    this.#random = random;
  }

  update(servers: readonly S[]): void {
    this.#lots = new WeightedDraw(servers);
  }

  candidates(): Iterable<S> {
    return this.#lots.inOrder(this.#random);
  }

  taken(): void {
    // Lots have no memory.
  }

  changed(): void {
    // Lots do not go by load.
  }
}
