/** The worker threads as such: started together, replaced when they die, ended. */
import type { Ports } from '../shared/messages.ts';
import type { WorkerThread } from './worker-thread.ts';

export interface WorkerCrewParts {
  readonly count: number;
  /** Starts the worker of a lane. @throws Error when the system has no room for another thread */
  readonly spawn: (lane: number) => WorkerThread;
  /** What the worker of the lane held must be taken back. */
  readonly onDeath: (lane: number) => void;
  readonly log: CrewLog;
}

/** The part of a pino logger that is used. */
export interface CrewLog {
  info(facts: object, message: string): void;
  error(facts: object, message: string): void;
}

const RESPAWN_DELAY_MS = { first: 50, most: 5_000 } as const;
/** A worker that lived this long was sound: the next death starts the delays anew. */
const SOUND_AFTER_MS = 10_000;

/** One worker for each lane; a lane is empty from a worker's death until its successor is born. */
export class WorkerCrew {
  readonly #parts: WorkerCrewParts;
  readonly #threads: (WorkerThread | undefined)[] = [];
  readonly #deaths: number[] = [];
  readonly #respawns = new Set<NodeJS.Timeout>();
  /** Only a worker that dies while all are at work is replaced. */
  #phase: 'starting' | 'working' | 'stopping' = 'starting';

  constructor(parts: WorkerCrewParts) {
    this.#parts = parts;
  }

  /**
   * Starts all workers; resolves when all listen. The others start once `settle` has been told of the ports that the first one has.
   * @throws ListenError when a listener cannot be opened; no worker is left then.
   */
  async start(settle: (ports: Ports) => void): Promise<void> {
    const { count } = this.#parts;
    try {
      settle(await this.#spawn(0).listening);
      await Promise.all(Array.from({ length: count - 1 }, (_, index) => this.#spawn(index + 1).listening));
      if (this.running().length < count) throw new Error('a worker died while the others started');
      this.#phase = 'working';
    } catch (error) {
      await this.stop();
      throw error;
    }
  }

  /** The worker of a lane; undefined while it is being replaced. */
  at(lane: number): WorkerThread | undefined {
    return this.#threads[lane];
  }

  /** Those alive, by lane. */
  running(): WorkerThread[] {
    return this.#threads.filter((thread) => thread !== undefined);
  }

  /** Who dies from now on stays dead. */
  replaceNoMore(): void {
    this.#phase = 'stopping';
    for (const respawn of this.#respawns) clearTimeout(respawn);
    this.#respawns.clear();
  }

  /** Ends every worker at once, its connections with it. */
  async stop(): Promise<void> {
    this.replaceNoMore();
    await Promise.all(this.running().map((thread) => thread.terminate()));
  }

  #spawn(lane: number): WorkerThread {
    const thread = this.#parts.spawn(lane);
    this.#threads[lane] = thread;
    const bornMs = performance.now();
    thread.onExit((error) => this.#bury(lane, error, performance.now() - bornMs));
    return thread;
  }

  #bury(lane: number, error: Error | undefined, livedMs: number): void {
    this.#threads[lane] = undefined;
    this.#parts.onDeath(lane);
    if (this.#phase !== 'working') return;
    const deaths = livedMs > SOUND_AFTER_MS ? 0 : (this.#deaths[lane] ?? 0);
    this.#deaths[lane] = deaths + 1;
    const delayMs = Math.min(RESPAWN_DELAY_MS.first * 2 ** deaths, RESPAWN_DELAY_MS.most);
    this.#parts.log.error(
      { err: error, worker: lane, respawnInMs: delayMs },
      'a worker died; its connections are lost, another takes its place',
    );
    const respawn = setTimeout(() => {
      this.#respawns.delete(respawn);
      this.#respawn(lane);
    }, delayMs);
    this.#respawns.add(respawn);
  }

  /** A worker that cannot be born (no descriptors left) or cannot listen has died too: that brings us back here, later each time. */
  #respawn(lane: number): void {
    try {
      this.#spawn(lane).listening.then(
        () => this.#parts.log.info({ worker: lane }, 'the worker was replaced'),
        () => undefined,
      );
    } catch (error) {
      this.#bury(lane, error instanceof Error ? error : new Error(String(error)), 0);
    }
  }
}
