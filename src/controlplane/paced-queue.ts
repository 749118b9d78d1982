import { type Line, TwoLines } from './two-lines.ts';

/** How fast a {@link PacedQueue} lets go. */
export interface Pace {
  /** So many at once after a rest. */
  readonly atOnce: number;
  /** So many more each time. */
  readonly more: number;
  readonly everyMs: number;
}

/** Lets many that come together go at a bounded pace, in their order; few go at once. */
export class PacedQueue<T> {
  readonly #pace: Pace;
  readonly #release: (item: T, line: Line) => void;
  readonly #waiting = new TwoLines<T>();
  #left: number;
  #timer: NodeJS.Timeout | undefined;

  constructor(pace: Pace, release: (item: T, line: Line) => void) {
    this.#pace = pace;
    this.#release = release;
    this.#left = pace.atOnce;
  }

  /** It goes at the next {@link run}, or when its turn comes; what is in the first line waits behind nothing of the last. */
  add(item: T, line: Line): void {
    this.#waiting.add(item, line);
  }

  /** It is not to go any more. */
  delete(item: T): void {
    this.#waiting.delete(item);
  }

  /** Lets as many go as may now. */
  run(): void {
    for (const [item, line] of this.#waiting) {
      if (this.#left === 0) break;
      this.#left--;
      this.#waiting.delete(item);
      this.#release(item, line);
    }
    const { atOnce, everyMs } = this.#pace;
    if (this.#left < atOnce) this.#timer ??= setTimeout(() => this.#goOn(), everyMs).unref();
  }

  #goOn(): void {
    this.#timer = undefined;
    this.#left = Math.min(this.#pace.atOnce, this.#left + this.#pace.more);
    this.run();
  }
}
