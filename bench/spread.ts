/** Figures over rounds. */

/** The least, the middle and the most of some figures. */
export interface Spread {
  readonly min: number;
  readonly median: number;
  readonly max: number;
}

/** undefined when there are none. */
export function spreadOf(values: readonly number[]): Spread | undefined {
  const sorted = values.toSorted((a, b) => a - b);
  const [min, max] = [sorted[0], sorted.at(-1)];
  if (min === undefined || max === undefined) return undefined;
  const [low = min, high = min] = [sorted[Math.floor((sorted.length - 1) / 2)], sorted[Math.ceil((sorted.length - 1) / 2)]];
  return { min: short(min), median: short((low + high) / 2), max: short(max) };
}

/** Each divided by what was measured beside it, in the same round. */
export function ratios(values: readonly number[], base: readonly number[]): readonly number[] {
  return values.flatMap((value, round) => {
    const beside = base[round];
    return beside === undefined || beside === 0 ? [] : [value / beside];
  });
}

/** To four digits. */
export function short(value: number): number {
  return Number(value.toPrecision(4));
}
