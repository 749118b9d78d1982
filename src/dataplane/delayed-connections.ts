/** A worker's connections that wait for their departures: who may not go any more is ended at once, and whom nothing holds goes at once. */
import type { LaneWriter } from '../shared/memory/lane-writer.ts';
import { DelayLines, type Reserve, type Waited } from './delay-line.ts';
import { Refusal } from './refusal.ts';
import type { Ground } from './standing.ts';
import { judgeAnew, type Waiting } from './waiting.ts';

/** What keeps the lines of delayed connections bounded in each worker; a leaky bucket brings its own bound, over all of them. */
const MOST_WAITING = 1_000;

interface Waiter {
  readonly ground: Ground;
  readonly stillTrusted: Waiting['stillTrusted'];
  /** Why it does not wait any longer, if it has not come to its turn. */
  refusal: Refusal | undefined;
  leave(refusal: Refusal): void;
}

export interface DelayedConnectionsParts {
  readonly lane: Pick<LaneWriter, 'countDelay'>;
  readonly nowMs: () => number;
  /** Whether the state of now still has a limit that can make the client wait. */
  readonly isLimited: (clientId: string) => boolean;
  /** Why the state of now does not let a connection go on. */
  readonly objectionTo: (ground: Ground) => Refusal | undefined;
}

export class DelayedConnections {
  readonly #parts: DelayedConnectionsParts;
  readonly #lines: DelayLines;
  readonly #waiters = new Set<Waiter>();

  constructor(parts: DelayedConnectionsParts) {
    this.#parts = parts;
    this.#lines = new DelayLines(parts.nowMs, MOST_WAITING);
  }

  /** Whether no more of the client's connections can wait in this worker. */
  isFull(clientId: string): boolean {
    return this.#lines.waiting(clientId) >= MOST_WAITING;
  }

  /**
   * Waits until the connection may go; says why it is not let wait.
   * @throws Refusal `client_gone`, `rate_limited` at the end of the balancer, or why it is not allowed any longer
   */
  async wait(ground: Ground, reserve: Reserve, waiting: Waiting): Promise<Exclude<Waited, 'gone'>> {
    const { lane, nowMs } = this.#parts;
    const { gone, stillTrusted, onWaits, onWaited } = waiting;
    const sinceMs = nowMs();
    const leaving = new AbortController();
    const waiter: Waiter = {
      ground,
      stillTrusted,
      refusal: undefined,
      leave: (refusal) => {
        waiter.refusal ??= refusal;
        leaving.abort();
      },
    };
    const onGone = () => waiter.leave(clientGone());
    gone.addEventListener('abort', onGone);
    if (gone.aborted) onGone();
    const before = this.#lines.waiting(ground.clientId);
    const answer = this.#lines.wait(ground.clientId, reserve, leaving.signal);
    const isDelayed = this.#lines.waiting(ground.clientId) > before;
    if (isDelayed) {
      this.#waiters.add(waiter);
      onWaits(waiter.leave);
    }
    const waited = await answer;
    gone.removeEventListener('abort', onGone);
    if (isDelayed) {
      this.#waiters.delete(waiter);
      onWaited(nowMs() - sinceMs);
      if (waited === 'admitted') lane.countDelay((nowMs() - sinceMs) / 1000);
    }
    if (waited === 'gone') throw waiter.refusal ?? clientGone();
    return waited;
  }

  /**
   * Call it when the state has changed: says how many it ends, because what let them in is withdrawn. A changed limit leaves departures as
   * they were given; one that is gone holds nobody.
   */
  reconsider(): number {
    const { objectionTo, isLimited } = this.#parts;
    let ended = 0;
    for (const waiter of [...this.#waiters]) {
      const refusal = waiter.refusal === undefined ? objectionTo(waiter.ground) : undefined;
      if (refusal === undefined) continue;
      waiter.leave(refusal);
      ended++;
    }
    for (const clientId of this.#lines.clientIds) if (!isLimited(clientId)) this.#lines.open(clientId);
    return ended;
  }

  /**
   * Call it when a CA or a revocation list has changed: whose certificate is withdrawn by it does not wait for its turn to hear so, and
   * `onEnded` hears of each.
   */
  rejudge(onEnded: () => void): Promise<void> {
    return judgeAnew(this.#waiters, (waiter, refusal) => {
      // Its turn may have come meanwhile, or it has left; then it is told by others.
      if (!this.#waiters.has(waiter) || waiter.refusal !== undefined) return;
      waiter.leave(refusal);
      onEnded();
    });
  }

  /** Call it when the balancer stops and lets nobody wait any longer. */
  dismissAll(): void {
    for (const waiter of [...this.#waiters])
      waiter.leave(new Refusal('rate_limited', 'the load balancer stopped before its turn had come'));
  }
}

function clientGone(): Refusal {
  return new Refusal('client_gone', 'the client left while it waited for its turn');
}
