import { type Line, TwoLines } from './two-lines.ts';

/** Does what has become due, in that order, so many at once: what is due beyond that waits its turn. */
export class DueQueue<T> {
  readonly #act: (item: T) => Promise<void>;
  readonly #mostAtOnce: number;
  /** In the order in which they became due. */
  readonly #due = new TwoLines<T>();
  #underWay = 0;

  /** `act` must not reject. */
  constructor(mostAtOnce: number, act: (item: T) => Promise<void>) {
    this.#mostAtOnce = mostAtOnce;
    this.#act = act;
  }

  /** It is done at the next {@link run}, or when its turn comes; what is in the first line waits behind nothing of the last. */
  add(item: T, line: Line = 'last'): void {
    this.#due.add(item, line);
  }

  /** It is not due any more; what is under way goes on. */
  delete(item: T): void {
    this.#due.delete(item);
  }

  /** Begins with as many as may be under way. */
  run(): void {
    for (const [item] of this.#due) {
      if (this.#underWay >= this.#mostAtOnce) return;
      this.#due.delete(item);
      void this.#do(item);
    }
  }

  async #do(item: T): Promise<void> {
    this.#underWay++;
    try {
      await this.#act(item);
    } finally {
      this.#underWay--;
      this.run();
    }
  }
}
