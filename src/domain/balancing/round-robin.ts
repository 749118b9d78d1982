import { type Balancer, type Candidate, hasWeight } from './balancer.ts';

/**
 * Each server in turn, whatever its weight, in the order of the list. A server in slow start lets turns pass, by lot in proportion to
 * its share.
 */
export class RoundRobin<S extends Candidate> implements Balancer<S> {
  readonly #random: () => number;
  #servers: readonly S[] = [];
  /** Where the next turn begins. */
  #next = 0;

  constructor(random: () => number) {
    this.#random = random;
  }

  update(servers: readonly S[]): void {
    const places = new Map(servers.map((server, position) => [server, position]));
    const upNext = [...this.#servers.slice(this.#next), ...this.#servers.slice(0, this.#next)].find((server) => places.has(server));
    this.#next = upNext === undefined ? 0 : (places.get(upNext) ?? 0);
    this.#servers = servers;
  }

  *candidates(): Generator<S> {
    const passed: S[] = [];
    for (let step = 0; step < this.#servers.length; step++) {
      const ahead = this.#next + step;
      const server = this.#servers[ahead < this.#servers.length ? ahead : ahead - this.#servers.length];
      if (server === undefined || !hasWeight(server)) continue;
      if (server.share < 1 && this.#random() >= server.share) passed.push(server);
      else yield server;
    }
    yield* passed;
  }

  taken(position: number): void {
    this.#next = position + 1 < this.#servers.length ? position + 1 : 0;
  }

  changed(): void {
    // Turns do not go by load.
  }
}
