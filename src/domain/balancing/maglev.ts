/** The lookup table of Maglev (Eisenbud et al., "Maglev: a fast and reliable software network load balancer", NSDI 2016, section 3.4). */
import { hashText } from './hash.ts';

/** What the table is made of: a name that is hashed, and a whole number. */
export interface TableEntry {
  readonly address: string;
  readonly weight: number;
}

/** Primes. The paper asks for a hundred entries a server, so that shares are even within 1 %. */
const SIZES = [1009, 4099, 16_411, 65_537] as const;
/** The paper's small table. Filling a larger one would hold a worker for tens of milliseconds: beyond 655 servers, shares are less even. */
const LARGEST = 65_537;
const ENTRIES_A_SERVER = 100;

/** How many entries the table of so many servers has. */
export function tableSize(servers: number): number {
  return SIZES.find((size) => size >= servers * ENTRIES_A_SERVER) ?? LARGEST;
}

const EMPTY = 0xffff;

/**
 * Which entry belongs to which place in `servers` (at most 65,535, at least one of positive weight). Each server has an order of its own
 * in which it wants the entries; they take turns in claiming the next one that is still free, those of half the greatest weight every
 * other time, and so on, as Envoy's Maglev does it. The order of `servers` does not matter.
 */
export function maglevTable(servers: readonly TableEntry[], size = tableSize(servers.length)): Uint16Array {
  const table = new Uint16Array(size).fill(EMPTY);
  const offsets = Float64Array.from(servers, ({ address }) => hashText(address));
  const next = Int32Array.from(offsets, (hash) => hash % size);
  const skips = Int32Array.from(servers, ({ address }) => (hashText(address, 0x5bd1e995) % (size - 1)) + 1);
  const classes = byWeight(servers, offsets);
  const greatest = Math.max(...classes.map(({ weight }) => weight));
  let filled = 0;
  for (let round = 1; filled < size; round++) {
    for (const { weight, positions } of classes) {
      // Turns so far in proportion to the weight, rounded down: another one is due when that grows.
      if (Math.floor((round * weight) / greatest) === Math.floor(((round - 1) * weight) / greatest)) continue;
      for (const position of positions) {
        if (filled === size) break;
        let entry = next[position] ?? 0;
        const skip = skips[position] ?? 1;
        while (table[entry] !== EMPTY) {
          entry += skip;
          if (entry >= size) entry -= size;
        }
        table[entry] = position;
        entry += skip;
        next[position] = entry >= size ? entry - size : entry;
        filled++;
      }
    }
  }
  return table;
}

const tables = new WeakMap<readonly TableEntry[], Uint16Array>();

/** {@link maglevTable} of the same list only once, however many ask. */
export function sharedMaglevTable(servers: readonly TableEntry[]): Uint16Array {
  const known = tables.get(servers);
  if (known !== undefined) return known;
  const table = maglevTable(servers);
  tables.set(servers, table);
  return table;
}

interface WeightClass {
  readonly weight: number;
  readonly positions: Int32Array;
}

/** Heaviest first, and within a weight in the order of their hashes, which no configuration changes. */
function byWeight(servers: readonly TableEntry[], hashes: Float64Array): readonly WeightClass[] {
  const positions = new Map<number, number[]>();
  for (const [position, { weight }] of servers.entries()) {
    if (weight === 0) continue;
    const alike = positions.get(weight);
    if (alike === undefined) positions.set(weight, [position]);
    else alike.push(position);
  }
  const hash = (position: number) => hashes[position] ?? 0;
  return [...positions]
    .sort(([one], [other]) => other - one)
    .map(([weight, alike]) => ({ weight, positions: Int32Array.from(alike).sort((a, b) => hash(a) - hash(b)) }));
}
