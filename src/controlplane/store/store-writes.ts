export interface StoreWriteTotals {
  /** Changes kept since the start. */
  readonly kept: number;
  /** Changes that could not be kept. */
  readonly failed: number;
  /** How long the last attempt took, in seconds; 0 before the first. */
  readonly lastSeconds: number;
}

/** Watches how keeping changes goes. */
export class StoreWrites {
  #kept = 0;
  #failed = 0;
  #lastSeconds = 0;

  get totals(): StoreWriteTotals {
    return { kept: this.#kept, failed: this.#failed, lastSeconds: this.#lastSeconds };
  }

  /** Runs one write, and counts how it ended. @throws what `write` throws */
  async timed(write: () => Promise<void>): Promise<void> {
    const startedMs = performance.now();
    try {
      await write();
      this.#kept++;
    } catch (error) {
      this.#failed++;
      throw error;
    } finally {
      this.#lastSeconds = (performance.now() - startedMs) / 1000;
    }
  }
}
