import type { Algorithm } from '../model.ts';
import { LeastConnections } from './least-connections.ts';
import { PowerOfTwoChoices } from './power-of-two-choices.ts';
import { WeightedRandom } from './random.ts';
import { RoundRobin } from './round-robin.ts';
import { WeightedLeastConnections } from './weighted-least-connections.ts';
import { WeightedRoundRobin } from './weighted-round-robin.ts';

/** What an algorithm may know of a server. It knows nothing of health, backups or connection limits: that is the caller's. */
export interface Candidate {
  /** A whole number; 0 takes no new connections. */
  readonly weight: number;
  /** Connections now. */
  active(): number;
}

/**
 * One algorithm's rotation, for one target group in one worker. The list of servers may be another at each call; a server is
 * recognised by its object.
 */
export interface Balancer<S extends Candidate> {
  /**
   * Proposes the servers of positive weight in order of preference, each at most once; the caller takes the first that is usable
   * and asks for no more. Asking for another says that the one before was refused: the rotation then does not count it.
   */
  candidates(servers: readonly S[]): Iterable<S>;
}

/** A fresh balancer. `random` gives numbers from 0 up to, not including, 1. */
export function createBalancer<S extends Candidate>(algorithm: Algorithm, random: () => number = Math.random): Balancer<S> {
  switch (algorithm) {
    case 'leastConnections':
      return new LeastConnections();
    case 'weightedLeastConnections':
      return new WeightedLeastConnections();
    case 'roundRobin':
      return new RoundRobin();
    case 'weightedRoundRobin':
      return new WeightedRoundRobin();
    case 'random':
      return new WeightedRandom(random);
    case 'powerOfTwoChoices':
      return new PowerOfTwoChoices(random);
  }
}

/** The first usable server in the balancer's order; undefined when there is none. */
export function pick<S extends Candidate>(balancer: Balancer<S>, servers: readonly S[], usable: (server: S) => boolean): S | undefined {
  for (const server of balancer.candidates(servers)) if (usable(server)) return server;
  return undefined;
}
