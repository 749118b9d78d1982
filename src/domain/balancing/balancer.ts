/** What an algorithm may know of a server. It knows nothing of health or backups: which servers can be proposed is the caller's to say. */
export interface Candidate {
  /** `host:port`: what the server is hashed by. */
  readonly address: string;
  /** As configured: a whole number; 0 takes no new connections. */
  readonly weight: number;
  /** The part of its weight that it is good for as it says itself, 1 for all of it; 0 takes no new connections. */
  readonly capacity: number;
  /** The part of its share that it gets so soon after it has recovered: more than 0, 1 for all of it. */
  readonly share: number;
  /** At so many connections it takes no more; Infinity: not bounded. */
  readonly maxConnections: number;
  /** Connections now, over all threads. */
  active(): number;
  /** How long it takes to connect, in the order of {@link latencyRank}; undefined: not known yet. */
  latencyRank(): number | undefined;
}

/**
 * One algorithm, for one target group in one thread. It is told of each connection that a server gets, whichever thread gave it:
 * balancers of several threads that are told the same then take turns together.
 */
export interface Balancer<S extends Candidate> {
  /**
   * From now on these are the servers, in the order of the configuration. What is remembered of servers (by their object) that stay
   * goes on. `roster` has those too that cannot be proposed now, so that a hash need not move the keys of the others when one is away.
   */
  update(servers: readonly S[], roster?: readonly S[]): void;

  /**
   * The servers of positive weight in order of preference, each at most once; the caller takes the first that is usable. Asking changes
   * nothing. `key` is what consistent hashing goes by, a whole number below 2^32; the others do not look at it.
   */
  candidates(key: number): Iterable<S>;

  /** The server at this place of the list has got a connection. */
  taken(position: number): void;

  /** The load or the latency of the server at this place of the list is another than before. */
  changed(position: number): void;
}

/** What a server counts for now, for algorithms that go by weight. */
export function effectiveWeight({ weight, capacity, share }: Candidate): number {
  return weight * capacity * share;
}

/** Can be proposed at all. */
export function hasWeight({ weight, capacity }: Candidate): boolean {
  return weight > 0 && capacity > 0;
}
