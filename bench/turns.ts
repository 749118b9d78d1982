/** In whose turn it is: what else the machine does meets everybody. */

/** The same in another order: another one begins each round. */
export function turned<T>(all: readonly T[], round: number): readonly T[] {
  const first = all.length === 0 ? 0 : round % all.length;
  return [...all.slice(first), ...all.slice(0, first)];
}
