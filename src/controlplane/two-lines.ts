/** In which of the two lines somebody waits. */
export type Line = 'first' | 'last';

/** Who waits, in their order: all of the first line before the last one. Somebody stands in it once. */
export class TwoLines<T> implements Iterable<readonly [T, Line]> {
  readonly #lines: Readonly<Record<Line, Set<T>>> = { first: new Set(), last: new Set() };

  add(item: T, line: Line): void {
    if (line === 'first') this.#lines.last.delete(item);
    else if (this.#lines.first.has(item)) return;
    this.#lines[line].add(item);
  }

  delete(item: T): void {
    this.#lines.first.delete(item);
    this.#lines.last.delete(item);
  }

  /** Items may be deleted on the way. */
  *[Symbol.iterator](): Generator<readonly [T, Line]> {
    for (const item of this.#lines.first) yield [item, 'first'];
    for (const item of this.#lines.last) yield [item, 'last'];
  }
}
