/** One direction of a splice: backpressure, bandwidth, turns, and the end passed on. */
import type { Socket } from 'node:net';
import type { Direction } from '../domain/ratelimit/byte-line.ts';
import { kept, writeLent } from '../shared/lent-buffer.ts';
import type { Held } from './pacer.ts';
import { COUNTED_BYTES, type ReadTurns } from './read-turns.ts';

/** Calls `pass` with how many of the bytes may go that way, until all have: at once (undefined), or some of them later. */
export type Pace = (direction: Direction, bytes: number, pass: (bytes: number) => void) => Held | undefined;

export interface FlowOptions {
  /** Called with the size of each chunk as it goes on. */
  readonly onBytes: (direction: Direction, bytes: number) => void;
  readonly pace: Pace;
  /** Shared by all connections of the worker. */
  readonly turns: ReadTurns;
}

/** What a flow tells of itself. */
export interface FlowWatcher {
  /** Bytes came or went on, or the way is free again. */
  moved(): void;
  /** Its source has ended, and the end has been passed on. */
  ended(direction: Direction): void;
}

/** A class, because there are two for each connection that is served: closures would take twice the memory. */
export class Flow {
  readonly #direction: Direction;
  readonly #from: Socket;
  readonly #to: Socket;
  readonly #options: FlowOptions;
  readonly #watcher: FlowWatcher;
  /** What was read and waits for the client's bandwidth: at most a chunk, while its source is paused. */
  #held: Held | undefined;
  #hasEnded = false;
  #taken = 0;
  #isResting = false;

  constructor(direction: Direction, from: Socket, to: Socket, options: FlowOptions, watcher: FlowWatcher) {
    this.#direction = direction;
    this.#from = from;
    this.#to = to;
    this.#options = options;
    this.#watcher = watcher;
  }

  /** `first` has been read already. */
  start(first?: Buffer): void {
    if (first !== undefined && first.length > 0) this.#take(first);
    this.#from.on('data', (chunk: Buffer) => this.#take(chunk));
    this.#to.on('drain', () => {
      this.#watcher.moved();
      this.#steer();
    });
    // A client may have ended before its server was found.
    if (this.#from.readableEnded) this.#onEnd();
    else this.#from.on('end', () => this.#onEnd());
    // A socket that lends what it reads waits for this.
    this.#steer();
  }

  /** Some of what was read waits for its turn. */
  get isHeld(): boolean {
    return this.#held !== undefined;
  }

  /** What waits for its turn goes on without it. */
  passNow(): void {
    this.#held?.passNow();
  }

  /** What waits for its turn is not passed on any more. */
  drop(): void {
    this.#held?.drop();
  }

  #take(arrived: Buffer): void {
    let chunk = arrived;
    let passed = 0;
    const held = this.#options.pace(this.#direction, chunk.length, (bytes) => {
      const piece = bytes === chunk.length ? chunk : chunk.subarray(passed, passed + bytes);
      passed += bytes;
      this.#pass(piece, passed === chunk.length);
    });
    if (held === undefined) return;
    chunk = kept(arrived);
    this.#held = held;
    this.#watcher.moved();
    this.#steer();
  }

  #pass(chunk: Buffer, isLast: boolean): void {
    this.#watcher.moved();
    this.#options.onBytes(this.#direction, chunk.length);
    if (isLast) this.#held = undefined;
    writeLent(this.#to, chunk);
    if (this.#hasEnded && isLast) {
      this.#passOnEnd();
      return;
    }
    this.#taken += chunk.length;
    // What a pause does not stop any more comes while it rests already.
    if (this.#taken >= COUNTED_BYTES && !this.#isResting) {
      this.#isResting = this.#options.turns.isOver(this.#taken, () => this.#goOn());
      this.#taken = 0;
    }
    this.#steer();
  }

  #goOn(): void {
    this.#isResting = false;
    this.#steer();
  }

  /** Reads on, or stops, as the bandwidth, the other side and the worker's other connections have it. */
  #steer(): void {
    if (this.isHeld || this.#to.writableNeedDrain || this.#isResting) this.#from.pause();
    else if (this.#from.isPaused()) this.#from.resume();
  }

  /** The end comes right after the last chunk, which may be held while its source is paused. */
  #onEnd(): void {
    this.#hasEnded = true;
    if (!this.isHeld) this.#passOnEnd();
  }

  #passOnEnd(): void {
    this.#to.end();
    this.#watcher.ended(this.#direction);
  }
}
