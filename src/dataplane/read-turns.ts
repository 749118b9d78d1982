/** Connections that move much take turns, so that those that move little do not wait for them. */

/**
 * So many bytes all connections of a worker together read in one turn of its event loop before those that would read more wait for a later
 * one. libuv by itself would read 32 times 64 KiB from one before it looks at the next.
 */
export const TURN_BYTES = 256 * 1024;

/** A connection says what it has read whenever it is so much: who reads less in a turn makes nobody wait. */
export const COUNTED_BYTES = 16 * 1024;

/** In each turn so many of those that wait go on: each may read 128 KiB before it can be stopped. */
const GO_ON = 2;
/** Or one of so many, where that is more: nobody waits for long because many wait. */
const ONE_OF = 16;

/** The turns of one worker. */
export class ReadTurns {
  #read = 0;
  #isWatching = false;
  #waiting: (() => void)[] = [];

  /** True: who has read so many bytes is to read no more until `goOn` is called, in a later turn of the event loop. */
  isOver(bytes: number, goOn: () => void): boolean {
    this.#read += bytes;
    if (!this.#isWatching) {
      this.#isWatching = true;
      setImmediate(this.#next);
    }
    if (this.#read < TURN_BYTES) return false;
    this.#waiting.push(goOn);
    return true;
  }

  readonly #next = (): void => {
    this.#read = 0;
    this.#isWatching = this.#waiting.length > 0;
    if (!this.#isWatching) return;
    setImmediate(this.#next);
    for (const goOn of this.#waiting.splice(0, Math.max(GO_ON, Math.ceil(this.#waiting.length / ONE_OF)))) goOn();
  };
}
