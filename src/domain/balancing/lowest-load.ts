import { type Balancer, type Candidate, effectiveWeight, hasWeight } from './balancer.ts';
import { IndexedHeap } from './indexed-heap.ts';

/** How servers are compared: the one with the least load is first, and of equals each gets turns in proportion to `turns`. */
export interface LoadMeasure {
  load(server: Candidate): number;
  turns(server: Candidate): number;
}

/** The fewest connections, whatever the weights. Connections of a server in slow start count as 1/share, as in Envoy's LEAST_REQUEST. */
export const LEAST_CONNECTIONS: LoadMeasure = {
  load: (server) => server.active() / server.share,
  turns: ({ share }) => share,
};

/** The fewest connections for the weight. Equals share by weight, as in nginx's least_conn, so that an idle group does too. */
export const WEIGHTED_LEAST_CONNECTIONS: LoadMeasure = {
  load: (server) => server.active() / effectiveWeight(server),
  turns: effectiveWeight,
};

/** The most free capacity, as the agents report it, times weight for each connection, the one to come included. */
export const RESOURCE: LoadMeasure = {
  load: (server) => (server.active() + 1) / effectiveWeight(server),
  turns: effectiveWeight,
};

/** More than any server that has answered can have. */
const UNANSWERED = 1e15;

/**
 * The least latency x (connections + 1) / weight, as Finagle's peak EWMA compares, by its logarithm. A server that nothing is known of
 * is tried first, with one connection; others wait until it has answered (Finagle's penalty).
 */
export const LEAST_LATENCY: LoadMeasure = {
  load: (server) => {
    const rank = server.latencyRank();
    const active = server.active();
    if (rank === undefined) return active === 0 ? Number.NEGATIVE_INFINITY : UNANSWERED + active;
    return rank + Math.log((active + 1) / effectiveWeight(server));
  },
  turns: effectiveWeight,
};

/** Next to no time at all, but behind. */
const BEHIND = 2 ** -20;

/**
 * The server with the least load, in a heap, so that a choice costs much the same among ten servers and ten thousand. Among equals turns
 * are taken by start-time fair queuing (Goyal, Vin and Cheng, SIGCOMM 1996): in order of the list where all have the same weight, and a
 * server that had no turn for long has no claim to more than its next one. Servers that are full are not proposed.
 */
export class LowestLoad<S extends Candidate> implements Balancer<S> {
  readonly #measure: LoadMeasure;
  #servers: readonly S[] = [];
  #heap = new IndexedHeap(new Float64Array(), new Float64Array());
  /** The virtual time: when the server whose turn was last was due. */
  #now = 0;
  /** When the last of those with one turn each is due. */
  #last = 0;

  constructor(measure: LoadMeasure) {
    this.#measure = measure;
  }

  update(servers: readonly S[]): void {
    const due = new Map(this.#servers.map((server, position) => [server, this.#heap.tie(position)]));
    this.#servers = servers;
    const keys = Float64Array.from(servers, (server) => this.#load(server));
    const ties = Float64Array.from(servers, (server) => due.get(server) ?? this.#now + 0.5 / this.#measure.turns(server));
    this.#heap = new IndexedHeap(keys, ties);
  }

  *candidates(): Generator<S> {
    for (const position of this.#heap.ascending()) {
      const server = this.#servers[position];
      if (server === undefined || this.#heap.key(position) === Number.POSITIVE_INFINITY) return;
      yield server;
    }
  }

  taken(position: number): void {
    const server = this.#servers[position];
    if (server === undefined) return;
    const turns = this.#measure.turns(server);
    this.#now = Math.max(this.#now, this.#heap.tie(position));
    let due = this.#now + 1 / turns;
    // Of those with one turn each, whoever had it goes behind all others, however long loads have kept them waiting.
    if (turns === 1) due = this.#last = Math.max(this.#last + BEHIND, due);
    this.#heap.set(position, this.#load(server), due);
  }

  changed(position: number): void {
    const server = this.#servers[position];
    if (server !== undefined) this.#heap.set(position, this.#load(server), this.#heap.tie(position));
  }

  #load(server: S): number {
    const takesMore = hasWeight(server) && server.active() < server.maxConnections;
    return takesMore ? this.#measure.load(server) : Number.POSITIVE_INFINITY;
  }
}
