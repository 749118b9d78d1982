/** Where bytes wait for their client's bandwidth: one timer for all that wait in a worker. */
import { type ByteRule, type Direction, joinLine, leaveLine, lineHeadroom, waitAt } from '../domain/ratelimit/byte-line.ts';
import type { ByteLine, ByteLines } from '../shared/memory/byte-lines.ts';
import type { LaneWriter } from '../shared/memory/lane-writer.ts';

/** What a client's bandwidth is now; undefined: none. It is asked at each chunk, so that a change holds at once. */
export type Bound = () => { readonly rule: ByteRule; readonly shadow: boolean } | undefined;

/** What of a chunk waits. */
export interface Held {
  /** Lets it pass now, however long it would have to wait. */
  passNow(): void;
  /** It will not pass any more. */
  drop(): void;
}

/** So many bytes of a chunk pass at once, or wait for their turn: a slow client gets a little often, and its connections take turns. */
export const PIECE_BYTES = 16 * 1024;

interface Waiting {
  readonly place: number;
  readonly bytes: number;
  readonly pass: () => void;
}

/** One client's bytes in one direction, as far as this worker has them. */
interface Queue {
  readonly slot: number;
  readonly direction: Direction;
  readonly line: ByteLine;
  readonly bound: Bound;
  /** In the order of their places. */
  readonly waiting: Waiting[];
  dueMs: number;
}

export class Pacer {
  readonly #lines: ByteLines;
  readonly #lane: LaneWriter;
  readonly #nowMs: () => number;
  readonly #queues = new Map<string, Queue>();
  #timer: NodeJS.Timeout | undefined;
  #timerMs = Number.POSITIVE_INFINITY;

  /** `nowMs` must be the same clock in every worker: the lines hold its readings. */
  constructor(lines: ByteLines, lane: LaneWriter, nowMs: () => number) {
    this.#lines = lines;
    this.#lane = lane;
    this.#nowMs = nowMs;
  }

  /** Calls `pass` with how many of the chunk's bytes may pass that way, until all have. undefined: it has, for all of them. */
  pace(slot: number, direction: Direction, bound: Bound, bytes: number, pass: (bytes: number) => void): Held | undefined {
    if (bound() === undefined) {
      pass(bytes);
      return undefined;
    }
    let left = bytes;
    let held: Held | undefined;
    const passPieces = () => {
      while (left > 0) {
        const piece = Math.min(left, PIECE_BYTES);
        left -= piece;
        let isLate = false;
        held = this.#pacePiece(slot, direction, bound, piece, () => {
          pass(piece);
          if (isLate) passPieces();
        });
        isLate = true;
        if (held !== undefined) return;
      }
    };
    passPieces();
    if (held === undefined) return undefined;
    const leaveLeft = () => {
      const all = left;
      left = 0;
      return all;
    };
    return {
      passNow: () => {
        const others = leaveLeft();
        held?.passNow();
        if (others > 0) pass(others);
      },
      drop: () => {
        leaveLeft();
        held?.drop();
      },
    };
  }

  /** undefined: `pass` has been called. */
  #pacePiece(slot: number, direction: Direction, bound: Bound, bytes: number, pass: () => void): Held | undefined {
    const limit = bound();
    if (limit === undefined) {
      pass();
      return undefined;
    }
    const queue = this.#queueOf(slot, direction, bound);
    const nowMs = this.#nowMs();
    const { place, waitMs } = queue.line.withLock((cells) => {
      // What only looks on lets everything pass, and counts against the bandwidth what that would have let pass.
      if (limit.shadow && lineHeadroom(cells, limit.rule, nowMs) < 0) return { place: undefined, waitMs: 0 };
      const place = joinLine(cells, limit.rule, bytes, nowMs);
      return { place, waitMs: waitAt(cells, limit.rule, place, nowMs) };
    });
    if (place === undefined) this.#lane.countShadow(slot, 'paced');
    if (place === undefined || waitMs === 0) {
      // Those before it are due too, and their timer is late.
      if (queue.waiting.length > 0) this.#serve(queue);
      pass();
      return undefined;
    }
    return this.#hold(queue, { place, bytes, pass }, nowMs + waitMs);
  }

  /** How many bytes of the client would pass now without waiting. Uses up nothing. */
  headroom(slot: number, direction: Direction, rule: ByteRule): number {
    const line = this.#lines.line(this.#lane.lane, slot, direction);
    return Math.max(0, Math.floor(line.withLock((cells) => lineHeadroom(cells, rule, this.#nowMs()))));
  }

  /** Call it when the state has changed: who waits goes on at the new rate. */
  replan(): void {
    for (const queue of this.#queues.values()) this.#serve(queue);
    this.#setTimer();
  }

  #queueOf(slot: number, direction: Direction, bound: Bound): Queue {
    const key = `${slot} ${direction}`;
    const known = this.#queues.get(key);
    if (known !== undefined) return known;
    return { slot, direction, line: this.#lines.line(this.#lane.lane, slot, direction), bound, waiting: [], dueMs: 0 };
  }

  #hold(queue: Queue, waiting: Waiting, dueMs: number): Held {
    if (queue.waiting.push(waiting) === 1) {
      queue.dueMs = dueMs;
      this.#queues.set(`${queue.slot} ${queue.direction}`, queue);
      this.#setTimer();
    }
    this.#lane.countHeld(queue.slot, queue.direction, waiting.bytes);
    const leave = () => this.#leave(queue, waiting);
    return {
      passNow: () => {
        if (leave()) waiting.pass();
      },
      drop: () => {
        if (leave()) queue.line.withLock((cells) => leaveLine(cells, waiting.bytes));
      },
    };
  }

  /** Lets everything pass that may, and notes when the next may. */
  #serve(queue: Queue): void {
    for (;;) {
      const next = queue.waiting[0];
      if (next === undefined) return;
      const limit = queue.bound();
      const nowMs = this.#nowMs();
      const waitMs = limit === undefined || limit.shadow ? 0 : queue.line.withLock((cells) => waitAt(cells, limit.rule, next.place, nowMs));
      if (waitMs > 0) {
        queue.dueMs = nowMs + waitMs;
        return;
      }
      this.#leave(queue, next);
      next.pass();
    }
  }

  /** False: it no longer waited. */
  #leave(queue: Queue, waiting: Waiting): boolean {
    const index = queue.waiting.indexOf(waiting);
    if (index === -1) return false;
    queue.waiting.splice(index, 1);
    this.#lane.countHeld(queue.slot, queue.direction, -waiting.bytes);
    if (queue.waiting.length === 0) this.#queues.delete(`${queue.slot} ${queue.direction}`);
    return true;
  }

  #setTimer(): void {
    let nextMs = Number.POSITIVE_INFINITY;
    for (const { dueMs } of this.#queues.values()) nextMs = Math.min(nextMs, dueMs);
    if (nextMs === this.#timerMs) return;
    clearTimeout(this.#timer);
    this.#timerMs = nextMs;
    if (nextMs === Number.POSITIVE_INFINITY) return;
    // Rounded up: a timer that fires a fraction early would only ask in vain.
    this.#timer = setTimeout(() => this.#onTimer(), Math.min(Math.max(0, Math.ceil(nextMs - this.#nowMs())), 2 ** 31 - 1));
  }

  #onTimer(): void {
    this.#timerMs = Number.POSITIVE_INFINITY;
    const nowMs = this.#nowMs();
    for (const queue of [...this.#queues.values()]) if (queue.dueMs <= nowMs) this.#serve(queue);
    this.#setTimer();
  }
}
