import type { Balancer, Candidate } from './balancer.ts';

/**
 * Smooth weighted round robin, as nginx does it: in each round every server gains its weight, and the one that then has most is
 * chosen and pays the weight of all. Weights 5, 1, 1 give a a b a c a a, not a burst of five. A server that is refused is left out of
 * the round, as nginx leaves out one that is down: it neither gains nor pays.
 */
export class WeightedRoundRobin<S extends Candidate> implements Balancer<S> {
  /** What each server has gained and not paid. Kept by server, so that others may come and go. */
  readonly #balance = new WeakMap<S, number>();
  /** For a server that this one has not offered yet: a fork reads on where it branched off. */
  readonly #before: (server: S) => number;

  constructor(before: (server: S) => number = () => 0) {
    this.#before = before;
  }

  *candidates(servers: readonly S[]): Generator<S> {
    let chosen: S | undefined;
    let most = Number.NEGATIVE_INFINITY;
    let round = 0;
    for (const server of servers) {
      if (server.weight === 0) continue;
      round += server.weight;
      const balance = this.#change(server, server.weight);
      if (balance <= most) continue;
      chosen = server;
      most = balance;
    }
    if (chosen === undefined) return;
    yield* this.#offer(chosen, round);
    round -= chosen.weight;
    for (const next of this.#others(servers, chosen)) {
      yield* this.#offer(next, round);
      round -= next.weight;
    }
  }

  /** To be asked before this one is asked again: it copies no balance until it changes one. */
  fork(): WeightedRoundRobin<S> {
    return new WeightedRoundRobin((server) => this.#balanceOf(server));
  }

  /** Takes the payment before the server is proposed; going on after that means that it was refused, and undoes its round. */
  *#offer(server: S, round: number): Generator<S> {
    this.#change(server, -round);
    yield server;
    this.#change(server, round - server.weight);
  }

  /** Those who gained as much as before lead again in each smaller round, so one sort gives all the rounds that may follow. */
  #others(servers: readonly S[], chosen: S): S[] {
    const rest = servers.filter((server) => server.weight > 0 && server !== chosen);
    return rest.sort((a, b) => this.#balanceOf(b) - this.#balanceOf(a));
  }

  #balanceOf(server: S): number {
    return this.#balance.get(server) ?? this.#before(server);
  }

  #change(server: S, amount: number): number {
    const balance = this.#balanceOf(server) + amount;
    this.#balance.set(server, balance);
    return balance;
  }
}
