import { type Candidate, effectiveWeight, hasWeight } from './balancer.ts';

/** Lots are drawn again when they fall on a server that was drawn before, so often; then all that are left are drawn at once. */
const MOST_REPEATS = 16;

/** Servers drawn by lot, each with a chance in proportion to its weight; a draw costs the logarithm of how many there are. */
export class WeightedDraw<S extends Candidate> {
  readonly #servers: readonly S[];
  /** The weights of the servers up to and with each one, added up. */
  readonly #upTo: Float64Array;

  constructor(servers: readonly S[]) {
    this.#servers = servers.filter(hasWeight);
    let sum = 0;
    this.#upTo = Float64Array.from(this.#servers, (server) => (sum += effectiveWeight(server)));
  }

  /** All servers in the order of one draw after the other without putting back. */
  *inOrder(random: () => number): Generator<S> {
    const drawn = new Set<S>();
    for (let repeats = 0; repeats < MOST_REPEATS && drawn.size < this.#servers.length; ) {
      const server = this.#servers[this.#indexOf(random() * this.#total)];
      if (server === undefined) return;
      if (drawn.has(server)) {
        repeats++;
        continue;
      }
      drawn.add(server);
      yield server;
    }
    if (drawn.size < this.#servers.length) yield* drawAll(this.#servers, random, drawn);
  }

  get #total(): number {
    return this.#upTo.at(-1) ?? 0;
  }

  /** Of the first server whose sum is above the number. */
  #indexOf(number: number): number {
    let low = 0;
    let high = this.#upTo.length - 1;
    while (low < high) {
      const middle = (low + high) >> 1;
      if ((this.#upTo[middle] ?? 0) > number) high = middle;
      else low = middle + 1;
    }
    return low;
  }
}

/**
 * All servers but `except`, in the order of one draw after the other without putting back: sorted by exponential times with the weights
 * as rates (Efraimidis and Spirakis, "Weighted random sampling with a reservoir", 2006).
 */
function drawAll<S extends Candidate>(servers: readonly S[], random: () => number, except: ReadonlySet<S>): S[] {
  return servers
    .filter((server) => !except.has(server))
    .map((server) => ({ server, time: -Math.log1p(-random()) / effectiveWeight(server) }))
    .sort((a, b) => a.time - b.time)
    .map(({ server }) => server);
}
