/**
 * A binary heap over the places 0 to n-1 of a list, the least key on top; of equal keys the lesser tie, then the earlier place.
 * A key changes in place, in steps that grow with the logarithm of n.
 */
export class IndexedHeap {
  readonly #keys: Float64Array;
  readonly #ties: Float64Array;
  /** Which place of the list is where in the heap, and the other way round. */
  readonly #heap: Int32Array;
  readonly #nodes: Int32Array;

  constructor(keys: Float64Array, ties: Float64Array) {
    this.#keys = keys;
    this.#ties = ties;
    this.#heap = Int32Array.from(keys, (_, place) => place);
    this.#nodes = this.#heap.slice();
    for (let node = (keys.length >> 1) - 1; node >= 0; node--) this.#sink(node, node);
  }

  /** undefined: empty. */
  get top(): number | undefined {
    return this.#heap[0];
  }

  key(place: number): number {
    return this.#keys[place] ?? Number.POSITIVE_INFINITY;
  }

  tie(place: number): number {
    return this.#ties[place] ?? 0;
  }

  set(place: number, key: number, tie: number): void {
    this.#keys[place] = key;
    this.#ties[place] = tie;
    const node = this.#nodes[place] ?? 0;
    if (!this.#rise(node, place)) this.#sink(node, place);
  }

  /** All places, from the top down; each one more costs the logarithm of how many came before. The heap stays as it is. */
  *ascending(): Generator<number> {
    const top = this.#heap[0];
    if (top === undefined) return;
    yield top;
    // The nodes whose parents have been given, the next one last.
    const open: number[] = [];
    this.#open(open, 1);
    this.#open(open, 2);
    for (let node = open.pop(); node !== undefined; node = open.pop()) {
      yield this.#heap[node] ?? 0;
      this.#open(open, 2 * node + 1);
      this.#open(open, 2 * node + 2);
    }
  }

  #open(open: number[], node: number): void {
    const place = this.#heap[node];
    if (place === undefined) return;
    let low = 0;
    let high = open.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (this.#less(place, this.#heap[open[middle] ?? 0] ?? 0)) low = middle + 1;
      else high = middle;
    }
    open.splice(low, 0, node);
  }

  #less(one: number, other: number): boolean {
    const a = this.#keys[one] ?? 0;
    const b = this.#keys[other] ?? 0;
    if (a !== b) return a < b;
    const tie = this.#ties[one] ?? 0;
    const otherTie = this.#ties[other] ?? 0;
    return tie !== otherTie ? tie < otherTie : one < other;
  }

  #rise(start: number, place: number): boolean {
    let node = start;
    while (node > 0) {
      const parent = (node - 1) >> 1;
      const above = this.#heap[parent] ?? 0;
      if (!this.#less(place, above)) break;
      this.#put(node, above);
      node = parent;
    }
    this.#put(node, place);
    return node !== start;
  }

  #sink(start: number, place: number): void {
    let node = start;
    for (;;) {
      let child = 2 * node + 1;
      const left = this.#heap[child];
      if (left === undefined) break;
      let least = left;
      const right = this.#heap[child + 1];
      if (right !== undefined && this.#less(right, left)) {
        child++;
        least = right;
      }
      if (!this.#less(least, place)) break;
      this.#put(node, least);
      node = child;
    }
    this.#put(node, place);
  }

  #put(node: number, place: number): void {
    this.#heap[node] = place;
    this.#nodes[place] = node;
  }
}
