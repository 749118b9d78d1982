import type { Algorithm } from '../model.ts';
import type { Balancer, Candidate, Turn } from './balancer.ts';
import { LeastConnections } from './least-connections.ts';
import { PowerOfTwoChoices } from './power-of-two-choices.ts';
import { WeightedRandom } from './random.ts';
import { RoundRobin } from './round-robin.ts';
import { WeightedLeastConnections } from './weighted-least-connections.ts';
import { WeightedRoundRobin } from './weighted-round-robin.ts';

/** A fresh balancer. `random` gives numbers from 0 up to, not including, 1. */
export function createBalancer<S extends Candidate>(algorithm: Algorithm, random: () => number, turn: Turn = { position: 0 }): Balancer<S> {
  switch (algorithm) {
    case 'leastConnections':
      return new LeastConnections(turn);
    case 'weightedLeastConnections':
      return new WeightedLeastConnections();
    case 'roundRobin':
      return new RoundRobin(turn);
    case 'weightedRoundRobin':
      return new WeightedRoundRobin();
    case 'random':
      return new WeightedRandom(random);
    case 'powerOfTwoChoices':
      return new PowerOfTwoChoices(random);
  }
}
