import type { Balancer, Candidate, Turn } from './balancer.ts';

/** Each server in turn, whatever its weight, in the order of the list. */
export class RoundRobin<S extends Candidate> implements Balancer<S> {
  readonly #turn: Turn;

  constructor(turn: Turn) {
    this.#turn = turn;
  }

  *candidates(servers: readonly S[]): Generator<S> {
    const start = this.#turn.position;
    for (let step = 0; step < servers.length; step++) {
      const index = (start + step) % servers.length;
      const server = servers[index];
      if (server === undefined || server.weight === 0) continue;
      this.#turn.position = index + 1;
      yield server;
    }
  }

  fork(): RoundRobin<S> {
    return new RoundRobin({ position: this.#turn.position });
  }
}
