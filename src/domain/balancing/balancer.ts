/** What an algorithm may know of a server. It knows nothing of health, backups or connection limits: that is the caller's. */
export interface Candidate {
  /** A whole number; 0 takes no new connections. */
  readonly weight: number;
  /** Connections now. */
  active(): number;
}

/**
 * One algorithm, for one target group in one thread. The list of servers may be another at each call; a server is
 * recognised by its object.
 */
export interface Balancer<S extends Candidate> {
  /**
   * Proposes the servers of positive weight in order of preference, each at most once; the caller takes the first that is usable
   * and asks for no more. Asking for another says that the one before was refused: the rotation then does not count it.
   */
  candidates(servers: readonly S[]): Iterable<S>;

  /** A balancer that proposes what this one would propose now; asking it leaves this one's rotation as it is. */
  fork(): Balancer<S>;
}

/**
 * Where in the list the next turn begins. Balancers of several threads may share one: they then take turns together. A turn
 * that two of them take at the same moment is lost, which costs evenness once and nothing else.
 */
export interface Turn {
  position: number;
}

/** The first usable server in the balancer's order; undefined when there is none. */
export function pick<S extends Candidate>(balancer: Balancer<S>, servers: readonly S[], usable: (server: S) => boolean): S | undefined {
  for (const server of balancer.candidates(servers)) if (usable(server)) return server;
  return undefined;
}
