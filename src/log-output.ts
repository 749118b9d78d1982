/** Where the log goes: whole lines to a stream that may be slow, stalled or gone, none of which holds up or ends the balancer. */
import type { Writable } from 'node:stream';

/** What waits for a reader at most, in bytes; lines beyond it are dropped and counted. */
const MOST_WAITING = 16 * 1024 * 1024;

export class LogOutput {
  readonly #stream: Writable;
  readonly #mostWaiting: number;
  #dropped = 0;

  constructor(stream: Writable, mostWaiting = MOST_WAITING) {
    this.#stream = stream;
    this.#mostWaiting = mostWaiting;
    // A reader that went away costs the lines, not the balancer.
    stream.on('error', () => undefined);
  }

  /** Takes whole lines, each with its newline. Never blocks. */
  write(lines: string): void {
    if (this.#stream.writableLength > this.#mostWaiting) this.#dropped += lines.split('\n').length - 1;
    else if (this.#dropped > 0) this.#stream.write(this.#reportDropped() + lines);
    else this.#stream.write(lines);
  }

  /** Resolves when everything has left, or the reader is gone, or after `withinMs`. */
  async flush(withinMs: number): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>();
    const timer = setTimeout(resolve, withinMs);
    // An empty write has its turn after all the others.
    this.#stream.write('', () => resolve());
    await promise;
    clearTimeout(timer);
  }

  #reportDropped(): string {
    const line = {
      level: 'warn',
      time: new Date().toISOString(),
      lines: this.#dropped,
      msg: 'log lines were dropped: their reader is slow',
    };
    this.#dropped = 0;
    return `${JSON.stringify(line)}\n`;
  }
}
