import type { Balancer, Candidate } from './balancer.ts';
import { WeightedRoundRobin } from './weighted-round-robin.ts';

/**
 * The server with the fewest connections for its weight. Equals are taken in turn by weight (smooth weighted round robin), as in
 * nginx's least_conn, so that an idle group shares by weight too.
 */
export class WeightedLeastConnections<S extends Candidate> implements Balancer<S> {
  readonly #turns: WeightedRoundRobin<S>;

  constructor(turns = new WeightedRoundRobin<S>()) {
    this.#turns = turns;
  }

  *candidates(servers: readonly S[]): Generator<S> {
    const least = leastLoaded(servers);
    yield* this.#turns.candidates(least);
    for (const equals of inOrder(servers, new Set(least))) yield* this.#turns.candidates(equals);
  }

  fork(): WeightedLeastConnections<S> {
    return new WeightedLeastConnections(this.#turns.fork());
  }
}

function leastLoaded<S extends Candidate>(servers: readonly S[]): S[] {
  let least: S[] = [];
  let active = 0;
  let weight = 0;
  for (const server of servers) {
    if (server.weight === 0) continue;
    const own = server.active();
    // Cross-multiplied: the quotients of equal loads may differ by rounding.
    const difference = least.length === 0 ? -1 : own * weight - active * server.weight;
    if (difference > 0) continue;
    if (difference === 0) {
      least.push(server);
      continue;
    }
    least = [server];
    active = own;
    weight = server.weight;
  }
  return least;
}

interface Loaded<S> {
  readonly server: S;
  readonly active: number;
}

/** All but the refused ones, in groups of equals. Sorting waits until it is needed, which it is for few connections. */
function* inOrder<S extends Candidate>(servers: readonly S[], refused: ReadonlySet<S>): Generator<S[]> {
  const rest: Loaded<S>[] = servers
    .filter((server) => server.weight > 0 && !refused.has(server))
    .map((server) => ({ server, active: server.active() }))
    .sort(byLoad);
  let equals: S[] = [];
  for (const [position, entry] of rest.entries()) {
    const before = rest[position - 1];
    if (before !== undefined && byLoad(before, entry) < 0) {
      yield equals;
      equals = [];
    }
    equals.push(entry.server);
  }
  yield equals;
}

function byLoad<S extends Candidate>(a: Loaded<S>, b: Loaded<S>): number {
  return a.active * b.server.weight - b.active * a.server.weight;
}
