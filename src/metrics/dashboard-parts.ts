/** What the parts of the dashboard's document have in common. */
import { REFUSAL_REASONS, type Reason } from '../domain/reasons.ts';

/** At most so many groups, servers, clients and listeners each; of the others only their number and their sums. */
export const MAX_SHOWN = 500;
/** After so many, others have their turn. */
export const READ_AT_ONCE = 100;

export interface ReasonCount {
  readonly reason: Reason;
  readonly count: number;
}

export interface Shown<T, Rest> {
  readonly total: number;
  readonly shown: readonly T[];
  /** The sums over those that are not shown. */
  readonly rest: Rest;
}

/** Refusals only, the most frequent first. */
export function reasonCounts(counts: ReadonlyMap<Reason, number>): readonly ReasonCount[] {
  return REFUSAL_REASONS.map((reason) => ({ reason, count: counts.get(reason) ?? 0 }))
    .filter(({ count }) => count > 0)
    .sort((a, b) => b.count - a.count);
}

/** A gauge that two threads change can be seen a moment below zero. */
export function atLeast0(value: number): number {
  return Math.max(0, value);
}

export function sumOf<T>(items: readonly T[], value: (item: T) => number): number {
  return items.reduce((sum, item) => sum + value(item), 0);
}

export function inOrderOf<T>(items: Iterable<T>, key: (item: T) => string): readonly T[] {
  return [...items].sort((a, b) => (key(a) < key(b) ? -1 : key(a) > key(b) ? 1 : 0));
}
