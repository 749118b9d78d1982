import type { Algorithm } from '../model.ts';
import type { Balancer, Candidate } from './balancer.ts';
import { ConsistentHash } from './consistent-hash.ts';
import { LEAST_CONNECTIONS, LEAST_LATENCY, LowestLoad, RESOURCE, WEIGHTED_LEAST_CONNECTIONS } from './lowest-load.ts';
import { PowerOfTwoChoices } from './power-of-two-choices.ts';
import { WeightedRandom } from './random.ts';
import { RoundRobin } from './round-robin.ts';
import { WeightedRoundRobin } from './weighted-round-robin.ts';

/**
 * A fresh balancer, without servers yet. `random` gives numbers from 0 up to, not including, 1; `hashBalanceFactor` is that of the
 * target group.
 */
export function createBalancer<S extends Candidate>(algorithm: Algorithm, random: () => number, hashBalanceFactor = 0): Balancer<S> {
  switch (algorithm) {
    case 'leastConnections':
      return new LowestLoad(LEAST_CONNECTIONS);
    case 'weightedLeastConnections':
      return new LowestLoad(WEIGHTED_LEAST_CONNECTIONS);
    case 'leastLatency':
      return new LowestLoad(LEAST_LATENCY);
    case 'resource':
      return new LowestLoad(RESOURCE);
    case 'roundRobin':
      return new RoundRobin(random);
    case 'weightedRoundRobin':
      return new WeightedRoundRobin();
    case 'random':
      return new WeightedRandom(random);
    case 'powerOfTwoChoices':
      return new PowerOfTwoChoices(random);
    case 'sourceHash':
    case 'clientHash':
      return new ConsistentHash(hashBalanceFactor);
  }
}
