/** How connections move back after a server has recovered: which servers hold more than their share, and how many are closed when. */
import type { Algorithm } from './model.ts';

/** A server that takes connections, or a backup that need not any more. */
export interface ServerLoad {
  readonly server: string;
  readonly active: number;
  /** What its share is in proportion to; 0: it is to hold none. */
  readonly weight: number;
  readonly maxConnections: number;
}

/** One recovery: how far it has come. */
export interface Episode {
  /** Connections that the group held when it began: no more are ever closed. */
  readonly held: number;
  /** Connections that may be closed until it is seen whether their clients came back, and what is too much now got less by it. */
  readonly budget: number;
  /** How many were too much when this budget was given. */
  readonly excess: number;
  readonly closed: number;
}

export type RebalanceStep =
  | { readonly kind: 'close'; readonly closings: ReadonlyMap<string, number>; readonly episode: Episode }
  /** `even`: no server holds more than its share. `spent`: as many were closed as it took, and more would not make it more even. */
  | { readonly kind: 'end'; readonly why: 'even' | 'spent' };

/** Whether a client whose connection is closed comes to another server: with hashing it comes back to its own. */
export function movesConnections(algorithm: Algorithm): boolean {
  return algorithm !== 'sourceHash' && algorithm !== 'clientHash';
}

export function beginEpisode(loads: readonly ServerLoad[]): Episode {
  const excess = sum(excesses(loads).values());
  return { held: sum(loads.map(({ active }) => active)), budget: excess, excess, closed: 0 };
}

/**
 * What to close now, at most `most`. `loads` have the weights that are aimed at, `present` those of now, which slow start makes
 * smaller: a server in slow start gets no more than it would by itself.
 */
export function nextStep(episode: Episode, loads: readonly ServerLoad[], present: readonly ServerLoad[], most: number): RebalanceStep {
  const excess = sum(excesses(loads).values());
  if (excess === 0) return { kind: 'end', why: 'even' };
  const { held, closed } = episode;
  const cameBack = sum(loads.map(({ active }) => active)) >= held;
  // An algorithm that does not look at load sends some of them back to where they were; one that rounds otherwise, the last one always.
  const goesOn = closed >= episode.budget && cameBack && excess < episode.excess;
  const budget = goesOn ? Math.min(held, closed + excess) : episode.budget;
  if (closed >= budget) return { kind: 'end', why: 'spent' };
  const closings = apportion(Math.min(most, budget - closed), excesses(present));
  return {
    kind: 'close',
    closings,
    episode: { held, budget, excess: goesOn ? excess : episode.excess, closed: closed + sum(closings.values()) },
  };
}

/** By server, how many connections it holds over its share in whole numbers; those that hold none over it are left out. */
export function excesses(loads: readonly ServerLoad[]): ReadonlyMap<string, number> {
  const shares = sharesOf(loads);
  const wholes = loads.flatMap(({ server, active }) => {
    const share = shares.get(server);
    return share === undefined ? [] : [{ server, active, share, whole: Math.floor(share + ROUNDING) }];
  });
  // What is left over by rounding down stays where most is.
  let left = Math.round(sum(wholes.map(({ share, whole }) => share - whole)));
  const over = new Map<string, number>();
  for (const { server, active, share, whole } of wholes.toSorted((a, b) => b.active - b.whole - (a.active - a.whole))) {
    const extra = left > 0 && share - whole > ROUNDING ? 1 : 0;
    left -= extra;
    if (active > whole + extra) over.set(server, active - whole - extra);
  }
  return over;
}

/** More than what dividing and adding up again may be off by. */
const ROUNDING = 1e-6;

/** In proportion to weights; what is over a server's maxConnections is the others'. Where none has room for it, everybody keeps what it has. */
function sharesOf(loads: readonly ServerLoad[]): ReadonlyMap<string, number> {
  const shares = new Map<string, number>();
  let open = loads.filter(({ weight }) => weight > 0);
  if (open.length === 0) return shares;
  for (const { server, weight } of loads) if (weight <= 0) shares.set(server, 0);
  let rest = sum(loads.map(({ active }) => active));
  for (;;) {
    const level = rest / sum(open.map(({ weight }) => weight));
    const full = open.filter(({ weight, maxConnections }) => maxConnections < level * weight);
    if (full.length === 0) {
      for (const { server, weight } of open) shares.set(server, level * weight);
      return shares;
    }
    for (const { server, maxConnections } of full) {
      shares.set(server, maxConnections);
      rest -= maxConnections;
    }
    open = open.filter((load) => !full.includes(load));
    if (open.length === 0) return new Map();
  }
}

/** Divides `total` in proportion to sizes, the largest remainders first; nobody gets more than its size, and all is given that can be. */
export function apportion<K>(total: number, sizes: ReadonlyMap<K, number>): ReadonlyMap<K, number> {
  const whole = sum(sizes.values());
  if (total >= whole) return new Map([...sizes].filter(([, size]) => size > 0));
  const parts = [...sizes].map(([key, size]) => {
    const exact = (total * size) / whole;
    return { key, part: Math.floor(exact), remainder: exact - Math.floor(exact) };
  });
  let left = total - sum(parts.map(({ part }) => part));
  const given = new Map<K, number>();
  for (const { key, part, remainder } of parts.toSorted((a, b) => b.remainder - a.remainder)) {
    const extra = left > 0 && remainder > 0 ? 1 : 0;
    left -= extra;
    if (part + extra > 0) given.set(key, part + extra);
  }
  return given;
}

function sum(numbers: Iterable<number>): number {
  let total = 0;
  for (const number of numbers) total += number;
  return total;
}
