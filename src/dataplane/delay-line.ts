/** Where one client's connections wait for their turn when its limit says `delay`: first come, first served, bounded. */

/** Asks the limiter once; undefined: admitted, a number: ask again after that many milliseconds. */
export type Ask = () => number | undefined;

export type Waited = 'admitted' | 'too_long' | 'line_full' | 'gone';

export interface DelayBounds {
  readonly maxDelayMs: number;
  /** Connections that may stand in this line. */
  readonly mostWaiting: number;
}

export class DelayLine {
  /** Resolves when the last in line has had its turn. */
  #tail: Promise<unknown> = Promise.resolve();
  #waiting = 0;

  /** How many wait now. */
  get waiting(): number {
    return this.#waiting;
  }

  /** Waits until `ask` admits, for at most `maxDelayMs`, or until the client goes. */
  async wait(ask: Ask, { maxDelayMs, mostWaiting }: DelayBounds, gone: AbortSignal, nowMs: () => number): Promise<Waited> {
    if (this.#waiting === 0) {
      const delayMs = ask();
      if (delayMs === undefined) return 'admitted';
      if (delayMs > maxDelayMs) return 'too_long';
    }
    if (this.#waiting >= mostWaiting) return 'line_full';
    const deadlineMs = nowMs() + maxDelayMs;
    const ahead = this.#tail;
    const turn = Promise.withResolvers<void>();
    this.#tail = turn.promise;
    this.#waiting++;
    try {
      await withDeadline(ahead, maxDelayMs, gone);
      return await this.#takeTurn(ask, deadlineMs, gone, nowMs);
    } finally {
      this.#waiting--;
      // Those behind go when this one and everyone ahead of it are through: a turn given up early opens no gap.
      void ahead.then(() => turn.resolve());
    }
  }

  async #takeTurn(ask: Ask, deadlineMs: number, gone: AbortSignal, nowMs: () => number): Promise<Waited> {
    for (;;) {
      if (gone.aborted) return 'gone';
      if (nowMs() > deadlineMs) return 'too_long';
      const delayMs = ask();
      if (delayMs === undefined) return 'admitted';
      if (nowMs() + delayMs > deadlineMs) return 'too_long';
      await withDeadline(NEVER, delayMs, gone);
    }
  }
}

/** The lines of all clients. A client has one only while somebody stands in it. */
export class DelayLines {
  readonly #lines = new Map<string, DelayLine>();

  /** How many clients have a line now. */
  get size(): number {
    return this.#lines.size;
  }

  /** How many of the client's connections wait now. */
  waiting(clientId: string): number {
    return this.#lines.get(clientId)?.waiting ?? 0;
  }

  /** As {@link DelayLine.wait}, in the line of this client. */
  async wait(clientId: string, ask: Ask, bounds: DelayBounds, gone: AbortSignal, nowMs: () => number): Promise<Waited> {
    const line = this.#lines.get(clientId) ?? new DelayLine();
    this.#lines.set(clientId, line);
    try {
      return await line.wait(ask, bounds, gone, nowMs);
    } finally {
      if (line.waiting === 0 && this.#lines.get(clientId) === line) this.#lines.delete(clientId);
    }
  }
}

const NEVER = new Promise<never>(() => undefined);

/** Resolves when `event` does, after `ms`, or when the client goes, whichever is first. */
function withDeadline(event: Promise<unknown>, ms: number, gone: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const done = () => {
      clearTimeout(timer);
      gone.removeEventListener('abort', done);
      resolve();
    };
    // Rounded up: a timer that fires a fraction early would only ask in vain.
    const timer = setTimeout(done, Math.ceil(ms));
    gone.addEventListener('abort', done);
    if (event !== NEVER) void event.then(done);
  });
}
