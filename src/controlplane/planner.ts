/**
 * The planner: a thread for what would hold the main thread's event loop too long over a large state. It reads configurations, says
 * what they would change, replays history and writes the state down. It keeps nothing that is needed again, so it may die; it is
 * started when there is something to do, and ends after a while without, which gives back its memory.
 */
import { Worker } from 'node:worker_threads';
import type { Revision, Snapshot } from '../domain/model.ts';
import type { Overlap } from '../domain/overlap.ts';
import type { Plan } from '../domain/plan.ts';
import { snapshotParts } from './store/codec.ts';
import type { Made, MadeChange } from './store/made-different.ts';
import type { Recorded } from './store/replay.ts';
import { inTurns, nextTurn } from './turns.ts';

/** What the state is to become: that of a YAML text, or one of the past. */
export type Goal =
  | {
      readonly kind: 'config';
      readonly text: string;
      /** Nothing is to be found out about files: whoever asks may not have them read. A path then stands for one that is in use, or beside the running file. */
      readonly withoutFiles?: boolean;
    }
  | { readonly kind: 'recorded'; readonly revision: Revision; readonly recorded: Recorded };

/** What keeps a configuration from being read, with its place. */
export interface ConfigProblem {
  /** From 1; undefined: the text as a whole. */
  readonly line?: number;
  readonly col?: number;
  /** Such as `clients[1].allowedTargetGroup`; may be empty. */
  readonly path: string;
  readonly expected: string;
}

export interface Planned extends Plan {
  /** What else differs from the running configuration, in words: it takes effect when lbd starts with it. */
  readonly needsRestart: readonly string[];
  /** Those of clients that are new or matched otherwise than before. */
  readonly overlaps: readonly Overlap[];
  /** Clients that no listener will lead anywhere, one warning each. */
  readonly unroutable: readonly string[];
  /** Of a plan without files: the listeners and groups, in words, whose TLS files are not in use as they name them. */
  readonly unread: readonly string[];
}

export type ToPlanner =
  /** The next part of the JSON of the state that the next question is about. */
  | { readonly kind: 'state'; readonly part: string }
  /** undefined: the goal of the question before. */
  | { readonly kind: 'plan'; readonly goal: Goal | undefined }
  | { readonly kind: 'export' }
  /** The state before, and what was done to it. */
  | { readonly kind: 'retell'; readonly before: Recorded; readonly changes: readonly MadeChange[] };

export type FromPlanner =
  | ({ readonly kind: 'planned' } & Planned)
  | { readonly kind: 'unreadable'; readonly problems: readonly ConfigProblem[] }
  | { readonly kind: 'exported'; readonly text: string }
  | { readonly kind: 'retold'; readonly made: Made };

/** The planner thread died, was too slow, or has too much to do. Nothing was changed. */
export class PlannerUnavailableError extends Error {
  constructor(message: string) {
    super(message);
    this.name = 'PlannerUnavailableError';
  }
}

export interface PlannerOptions {
  /** The thread's program. */
  readonly program: URL;
  /** What the thread is born with: the running configuration without its groups and clients. */
  readonly running: object;
  readonly log: { error(facts: object, message: string): void };
}

const LIMITS = {
  /** One works, the others wait; each holds its text in memory. */
  questions: 8,
  answerWithinMs: 60_000,
  /** Without a question for so long, the thread ends. */
  idleMs: 60_000,
  /** What a text of the largest size that is accepted needs. */
  heapMegabytes: 4096,
} as const;

/** What a question is about, besides what it says. */
interface About {
  readonly state?: Snapshot;
  readonly goal?: Goal;
}

type Question = Exclude<ToPlanner, { readonly kind: 'state' }>;

export class Planner {
  readonly #options: PlannerOptions;
  #thread: Worker | undefined;
  #owed: PromiseWithResolvers<FromPlanner> | undefined;
  #idle: NodeJS.Timeout | undefined;
  /** The goal that the thread has read. */
  #goal: Goal | undefined;
  #questions = 0;
  #queue: Promise<unknown> = Promise.resolve();

  constructor(options: PlannerOptions) {
    this.#options = options;
  }

  /** What makes `state` what the goal says, or why its text cannot be read. The same goal again is not read again. @throws PlannerUnavailableError */
  async plan(goal: Goal, state: Snapshot): Promise<Planned | { readonly problems: readonly ConfigProblem[] }> {
    const answer = await this.#ask(() => ({ kind: 'plan', goal: goal === this.#goal ? undefined : goal }), { state, goal });
    if (answer.kind !== 'planned' && answer.kind !== 'unreadable') throw notTheAnswer(answer);
    return answer;
  }

  /** The state as the YAML text of a configuration, with the settings that are running. @throws PlannerUnavailableError */
  async export(state: Snapshot): Promise<string> {
    const answer = await this.#ask(() => ({ kind: 'export' }), { state });
    if (answer.kind !== 'exported') throw notTheAnswer(answer);
    return answer.text;
  }

  /** What these changes made different, as `madeDifferent` tells it. @throws PlannerUnavailableError */
  async retell(before: Recorded, changes: readonly MadeChange[]): Promise<Made> {
    const answer = await this.#ask(() => ({ kind: 'retell', before, changes }), {});
    if (answer.kind !== 'retold') throw notTheAnswer(answer);
    return answer.made;
  }

  /** Ends the thread; a question under way fails. */
  async stop(): Promise<void> {
    clearTimeout(this.#idle);
    await this.#giveUp('was ended');
  }

  async #ask(question: () => Question, about: About): Promise<FromPlanner> {
    if (this.#questions >= LIMITS.questions)
      throw new PlannerUnavailableError(`${this.#questions} configurations are being worked on already: try again later`);
    this.#questions++;
    const answer = this.#queue.then(() => this.#answer(question(), about)).finally(() => this.#questions--);
    this.#queue = answer.catch(() => undefined);
    return answer;
  }

  async #answer(question: Question, { state, goal }: About): Promise<FromPlanner> {
    clearTimeout(this.#idle);
    const owed = Promise.withResolvers<FromPlanner>();
    this.#owed = owed;
    // It may fail before anyone waits for it.
    owed.promise.catch(() => undefined);
    this.#thread ??= this.#spawn();
    const thread = this.#thread;
    const timer = setTimeout(() => void this.#giveUp(`took longer than ${LIMITS.answerWithinMs / 1000} s`), LIMITS.answerWithinMs);
    try {
      if (state !== undefined) for await (const part of inTurns(snapshotParts(state))) send(thread, { kind: 'state', part });
      send(thread, question);
      const answer = await owed.promise;
      this.#goal = goal;
      // A large answer has taken a while to be read.
      await nextTurn();
      return answer;
    } finally {
      clearTimeout(timer);
      this.#owed = undefined;
      this.#idle = setTimeout(() => void this.#giveUp('had nothing to do'), LIMITS.idleMs).unref();
    }
  }

  #spawn(): Worker {
    const { program, running, log } = this.#options;
    const thread = new Worker(program, {
      workerData: running,
      name: 'portcullis-planner',
      resourceLimits: { maxOldGenerationSizeMb: LIMITS.heapMegabytes },
    });
    thread.on('message', (answer: FromPlanner) => this.#owed?.resolve(answer));
    thread.on('error', (err: Error) => log.error({ err }, 'the planner thread died; the next configuration starts another'));
    thread.once('exit', () => {
      if (this.#thread === thread) void this.#giveUp('died');
    });
    return thread;
  }

  /** Ends the thread: whatever it still does is of no use. */
  async #giveUp(why: string): Promise<void> {
    const thread = this.#thread;
    this.#thread = undefined;
    this.#goal = undefined;
    this.#owed?.reject(new PlannerUnavailableError(`the thread that reads configurations ${why}, and nothing was changed: try again`));
    await thread?.terminate();
  }
}

function notTheAnswer({ kind }: FromPlanner): Error {
  return new Error(`the planner answered ${kind}, which was not asked`);
}

function send(thread: Worker, message: ToPlanner): void {
  thread.postMessage(message);
}
