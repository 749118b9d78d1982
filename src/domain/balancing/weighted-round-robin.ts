import { type Balancer, type Candidate, effectiveWeight, hasWeight } from './balancer.ts';
import { IndexedHeap } from './indexed-heap.ts';

/** Servers of one weight: all of them gain alike, so it is enough to look at the one that has most. */
interface WeightClass {
  readonly weight: number;
  /** Places in the whole list, in its order. */
  readonly positions: readonly number[];
  /** Over `positions`, by what each has, negated, without what the class has gained since it was made. */
  readonly heap: IndexedHeap;
}

interface Standing {
  readonly within: WeightClass;
  readonly index: number;
}

/** Looked back on for servers that were passed over because they were refused; more than these are not told from a race. */
const MOST_REFUSED = 16;

/**
 * Smooth weighted round robin, as nginx does it: in each round every server gains its weight, and the one that then has most is
 * chosen and pays the weight of all. Weights 5, 1, 1 give a a b a c a a, not a burst of five. A server that is refused is left out of
 * the round, as nginx leaves out one that is down: it neither gains nor pays. Costs grow with how many different weights there are.
 */
export class WeightedRoundRobin<S extends Candidate> implements Balancer<S> {
  /** What each server had when it was last regrouped. Kept by server, so that others may come and go. */
  readonly #kept = new WeakMap<S, number>();
  #servers: readonly S[] = [];
  #standings: readonly (Standing | undefined)[] = [];
  #classes: readonly WeightClass[] = [];
  #weightOfAll = 0;
  /** Since the classes were made. */
  #rounds = 0;

  update(servers: readonly S[]): void {
    for (const [position, server] of this.#servers.entries()) {
      const standing = this.#standings[position];
      if (standing !== undefined) this.#kept.set(server, this.#balance(standing));
    }
    const positionsByWeight = new Map<number, number[]>();
    for (const [position, server] of servers.entries()) {
      if (!hasWeight(server)) continue;
      const weight = effectiveWeight(server);
      const positions = positionsByWeight.get(weight);
      if (positions === undefined) positionsByWeight.set(weight, [position]);
      else positions.push(position);
    }
    const standings: (Standing | undefined)[] = [];
    const classes: WeightClass[] = [];
    let weightOfAll = 0;
    for (const [weight, positions] of positionsByWeight) {
      const keys = Float64Array.from(positions, (position) => -this.#keptOf(servers[position]));
      const within = { weight, positions, heap: new IndexedHeap(keys, new Float64Array(keys.length)) };
      classes.push(within);
      for (const [index, position] of positions.entries()) standings[position] = { within, index };
      weightOfAll += weight * positions.length;
    }
    this.#servers = servers;
    this.#standings = standings;
    this.#classes = classes;
    this.#weightOfAll = weightOfAll;
    this.#rounds = 0;
  }

  *candidates(): Generator<S> {
    for (const position of this.#inOrder()) {
      const server = this.#servers[position];
      if (server !== undefined) yield server;
    }
  }

  taken(position: number): void {
    const refused: Standing[] = [];
    const chosen = this.#standings[position];
    if (chosen === undefined) return;
    for (const before of this.#inOrder()) {
      if (before === position) break;
      const standing = this.#standings[before];
      if (standing !== undefined) refused.push(standing);
      if (refused.length <= MOST_REFUSED) continue;
      refused.length = 0;
      break;
    }
    let price = this.#weightOfAll;
    for (const standing of refused) {
      this.#pay(standing, standing.within.weight);
      price -= standing.within.weight;
    }
    this.#pay(chosen, price);
    this.#rounds++;
  }

  changed(): void {
    // Turns do not go by load.
  }

  /** Those who have most first, as they will stand once everybody has gained. */
  *#inOrder(): Generator<number> {
    const heads = this.#classes.flatMap((within) => (within.heap.top === undefined ? [] : [{ within, index: within.heap.top }]));
    const first = this.#most(heads);
    if (first === undefined) return;
    yield positionOf(first);
    // Only who asks for a second needs more than the tops of the heaps.
    const queues = this.#classes.map((within) => ({ within, indexes: within.heap.ascending(), index: 0 }));
    let waiting = queues.filter((queue) => advance(queue));
    for (let next = this.#most(waiting); next !== undefined; next = this.#most(waiting)) {
      if (positionOf(next) !== positionOf(first)) yield positionOf(next);
      if (!advance(next)) waiting = waiting.filter((queue) => queue !== next);
    }
  }

  #most<T extends Standing>(standings: readonly T[]): T | undefined {
    let most: T | undefined;
    let balance = 0;
    for (const standing of standings) {
      const own = this.#balance(standing) + standing.within.weight;
      if (most !== undefined && (own < balance || (own === balance && positionOf(standing) > positionOf(most)))) continue;
      most = standing;
      balance = own;
    }
    return most;
  }

  #balance({ within, index }: Standing): number {
    return within.weight * this.#rounds - within.heap.key(index);
  }

  #pay({ within, index }: Standing, price: number): void {
    within.heap.set(index, within.heap.key(index) + price, 0);
  }

  #keptOf(server: S | undefined): number {
    return server === undefined ? 0 : (this.#kept.get(server) ?? 0);
  }
}

function positionOf({ within, index }: Standing): number {
  return within.positions[index] ?? 0;
}

function advance(queue: { readonly indexes: Iterator<number>; index: number }): boolean {
  const next = queue.indexes.next();
  if (next.done === true) return false;
  queue.index = next.value;
  return true;
}
