import type { Snapshot, TargetGroup } from './model.ts';

/** A target group that two states have differently; undefined: one of them does not have it. */
export type ChangedGroup = {
  readonly name: string;
  readonly before: TargetGroup | undefined;
  readonly after: TargetGroup | undefined;
};

/** What became of target groups between two states: those that are gone first, then those that are new or changed, in the order of `next`. */
export function changedGroups({ targetGroups: previous }: Snapshot, { targetGroups: next }: Snapshot): readonly ChangedGroup[] {
  if (previous === next) return [];
  const changed: ChangedGroup[] = [];
  for (const [name, before] of previous) if (!next.has(name)) changed.push({ name, before, after: undefined });
  for (const [name, after] of next) {
    const before = previous.get(name);
    if (before !== after) changed.push({ name, before, after });
  }
  return changed;
}
