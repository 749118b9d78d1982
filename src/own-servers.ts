/** The balancing alone, over servers that are somebody else's objects. */
import { createBalancer as createBalancerWith } from './domain/balancing/algorithms.ts';
import type { Balancer as InnerBalancer, Candidate as InnerCandidate } from './domain/balancing/balancer.ts';
import { hashText } from './domain/balancing/hash.ts';
import type { Algorithm } from './domain/model.ts';

/** What a server of one's own tells of itself. */
export interface Candidate {
  /** A whole number; 0 takes no new connections. */
  readonly weight: number;
  /** What sourceHash and clientHash know it by; its place in the list unless given. */
  readonly address?: string;
  /** For `resource`: the part of its weight that it is good for now; 1 unless given. */
  readonly capacity?: number;
  /** Connections now. */
  active(): number;
  /** For `leastLatency`: a number that is greater the longer it takes to connect; unless given it is always tried first. */
  latencyRank?(): number | undefined;
}

/** One algorithm, for one group of servers; {@link pick} asks it. */
export class Balancer<S extends Candidate> {
  readonly #inner: InnerBalancer<Entry<S>>;
  /** A server is recognised by its object. */
  readonly #entries = new WeakMap<S, Entry<S>>();

  constructor(algorithm: Algorithm, random: () => number) {
    this.#inner = createBalancerWith(algorithm, random);
  }

  pick(servers: readonly S[], usable: (server: S) => boolean, key: string): S | undefined {
    const entries = servers.map((server, index) => this.#entryOf(server, index));
    // Whoever owns the servers need not tell what happens to them: all are looked at each time.
    this.#inner.update(entries);
    for (const entry of this.#inner.candidates(hashText(key))) {
      if (!usable(entry.server)) continue;
      this.#inner.taken(entries.indexOf(entry));
      return entry.server;
    }
    return undefined;
  }

  #entryOf(server: S, index: number): Entry<S> {
    const known = this.#entries.get(server);
    if (known !== undefined) return known;
    if (typeof server?.active !== 'function' || typeof server.weight !== 'number') {
      throw new TypeError(
        `pick takes servers with a number \`weight\` and a function \`active()\`; that in place ${index} is another thing`,
      );
    }
    const entry = new Entry(server, index);
    this.#entries.set(server, entry);
    return entry;
  }
}

/**
 * The first usable server in the balancer's order; undefined: there is none. `key` is what sourceHash and clientHash go by.
 * @throws TypeError for what are no such arguments
 */
export function pick<S extends Candidate>(
  balancer: Balancer<S>,
  servers: readonly S[],
  usable: (server: S) => boolean,
  key = '',
): S | undefined {
  // JavaScript has no types to stop a caller who gives something else.
  if (!(balancer instanceof Balancer))
    throw new TypeError('pick takes a balancer that createBalancer made, then servers and whether one is usable');
  if (!Array.isArray(servers)) throw new TypeError('pick takes a list of servers after the balancer');
  if (typeof usable !== 'function') throw new TypeError('pick takes a function after the servers, which says whether one is usable');
  return balancer.pick(servers, usable, key);
}

class Entry<S extends Candidate> implements InnerCandidate {
  readonly server: S;
  readonly address: string;
  readonly share = 1;
  readonly maxConnections = Number.POSITIVE_INFINITY;

  constructor(server: S, index: number) {
    this.server = server;
    this.address = server.address ?? String(index);
  }

  get weight(): number {
    return this.server.weight;
  }

  get capacity(): number {
    return this.server.capacity ?? 1;
  }

  active(): number {
    return this.server.active();
  }

  latencyRank(): number | undefined {
    return this.server.latencyRank?.();
  }
}
