import { Worker } from 'node:worker_threads';
import type { Listener } from '../domain/model.ts';
import type { ExplainQuestion, Explanation } from '../shared/explain.ts';
import type {
  ConnectionEvents,
  ConnectionPage,
  ConnectionQuery,
  Ended,
  FailingServer,
  FromWorker,
  OpenFailure,
  Ports,
  ToWorker,
  WorkerBirth,
} from '../shared/messages.ts';

/** A listener that could not be opened. `code` is the system's: EADDRINUSE, EACCES, EADDRNOTAVAIL. */
export class ListenError extends Error {
  readonly code: string;
  readonly listener: string;

  constructor(listener: string, code: string, message: string) {
    super(message);
    this.name = 'ListenError';
    this.listener = listener;
    this.code = code;
  }
}

/** How long a worker may take to answer: one that is stuck must not hold up the administrator, or the end, for ever. */
const ACKNOWLEDGE_WITHIN_MS = 5_000;

const NOBODY: Ended = { served: 0, waiting: 0 };

/** Where a worker's unasked messages go. */
export interface WorkerNews {
  /** Log lines as they are to be written. */
  lines(lines: readonly string[]): void;
  connections(events: ConnectionEvents): void;
  failing(server: FailingServer): void;
}

/** V8 would take 96, which connections that are held do not give back. At 3, opening and closing connections begins to cost more CPU time. */
const YOUNG_MB = 6;

/** One worker thread and what it still owes an answer for. */
export class WorkerThread {
  readonly listening: Promise<Ports>;
  readonly #worker: Worker;
  readonly #listening = Promise.withResolvers<Ports>();
  readonly #drained = Promise.withResolvers<number>();
  readonly #counts = new Owed<string, number | undefined>();
  readonly #endings = new Owed<number, Ended>();
  readonly #pages = new Owed<number, ConnectionPage | undefined>();
  readonly #explanations = new Owed<number, Explanation | undefined>();
  readonly #openings = new Owed<number, Ports | OpenFailure | undefined>();
  #requests = 0;
  #error: Error | undefined;

  constructor(program: URL, birth: WorkerBirth, news: WorkerNews) {
    this.listening = this.#listening.promise;
    this.#worker = new Worker(program, {
      workerData: birth,
      name: `portcullis-${birth.lane}`,
      resourceLimits: { maxYoungGenerationSizeMb: YOUNG_MB },
    });
    this.#worker.on('message', (message: FromWorker) => this.#receive(message, news));
    this.#worker.on('error', (error: Error) => {
      this.#error = error;
    });
    this.onExit((error) => {
      this.#listening.reject(error ?? new Error('the worker ended before it listened'));
      this.#drained.resolve(0);
      this.#counts.settleAll(undefined);
      this.#endings.settleAll(NOBODY);
      this.#pages.settleAll(undefined);
      this.#explanations.settleAll(undefined);
      this.#openings.settleAll(undefined);
    });
    // Whoever cares awaits it; a death before anyone does must not count as unhandled.
    this.listening.catch(() => undefined);
  }

  send(message: ToWorker): void {
    this.#worker.postMessage(message);
  }

  /** False: the worker died, or did not take the change in time. */
  async publish(message: Extract<ToWorker, { kind: 'publish' }>, revision: number): Promise<boolean> {
    this.send(message);
    // One that is still starting is waited for as well: it may serve before we know that it listens.
    return (await this.#answer(`published ${revision}`)) !== undefined;
  }

  /** Where each is open; undefined: the worker died, or did not answer in time. @throws ListenError when one cannot be opened: none is then */
  async open(listeners: readonly Listener[], ports: Ports): Promise<Ports | undefined> {
    const requestId = ++this.#requests;
    this.send({ kind: 'open', requestId, listeners, ports });
    const result = await new Promise<Ports | OpenFailure | undefined>((resolve) => this.#openings.add(requestId, undefined, resolve));
    if (result === undefined || !('code' in result)) return result;
    throw new ListenError(result.listener, result.code, result.message);
  }

  async request(make: (requestId: number) => ToWorker): Promise<number> {
    const requestId = ++this.#requests;
    this.send(make(requestId));
    return (await this.#answer(`done ${requestId}`)) ?? 0;
  }

  /** Asks for an end of connections; whose they are goes with a worker that dies. */
  end(make: (requestId: number) => ToWorker): Promise<Ended> {
    const requestId = ++this.#requests;
    this.send(make(requestId));
    return new Promise((resolve) => this.#endings.add(requestId, NOBODY, resolve));
  }

  /** undefined: the worker died, or did not answer in time. */
  explain(question: ExplainQuestion): Promise<Explanation | undefined> {
    const requestId = ++this.#requests;
    this.send({ kind: 'explain', requestId, question });
    return new Promise((resolve) => this.#explanations.add(requestId, undefined, resolve));
  }

  /** Gives `take` a part of the live connections, or undefined when the worker does not answer. In order with the events. */
  list(query: ConnectionQuery, take: (page: ConnectionPage | undefined) => void): void {
    const requestId = ++this.#requests;
    this.#pages.add(requestId, undefined, take);
    this.send({ kind: 'list', requestId, query });
  }

  /** Has it accept no more; resolves when its last connection has ended, with how many were left when it was told that `deadlineMs` had passed. */
  async drain(deadlineMs: number): Promise<number> {
    this.send({ kind: 'drain' });
    // One that is stuck does not hear of its deadline.
    const stuck = setTimeout(() => this.#drained.resolve(0), deadlineMs + ACKNOWLEDGE_WITHIN_MS);
    const reset = await this.#drained.promise;
    clearTimeout(stuck);
    return reset;
  }

  onExit(listener: (error: Error | undefined) => void): void {
    this.#worker.once('exit', () => listener(this.#error));
  }

  async terminate(): Promise<void> {
    await this.#worker.terminate();
  }

  #answer(key: string): Promise<number | undefined> {
    return new Promise((resolve) => this.#counts.add(key, undefined, resolve));
  }

  #receive(message: FromWorker, news: WorkerNews): void {
    switch (message.kind) {
      case 'listening':
        this.#listening.resolve(message.ports);
        break;
      case 'listenFailed':
        this.#error = new ListenError(message.listener, message.code, message.message);
        this.#listening.reject(this.#error);
        void this.#worker.terminate();
        break;
      case 'opened':
        this.#openings.settle(message.requestId, message.result);
        break;
      case 'published':
        this.#counts.settle(`published ${message.revision}`, 0);
        break;
      case 'done':
        this.#counts.settle(`done ${message.requestId}`, message.count);
        break;
      case 'ended':
        this.#endings.settle(message.requestId, message);
        break;
      case 'explained':
        this.#explanations.settle(message.requestId, message.explanation);
        break;
      case 'log':
        news.lines(message.lines);
        break;
      case 'failing':
        news.failing(message);
        break;
      case 'events':
        news.connections(message);
        this.send({ kind: 'taken' });
        break;
      case 'listed':
        news.connections(message.before);
        this.#pages.settle(message.requestId, message.page);
        break;
      case 'drained':
        this.#drained.resolve(message.reset);
        break;
    }
  }
}

/** Answers that have been asked for; one that does not come in time is settled with what its asker then gets. */
class Owed<K, T> {
  readonly #takers = new Map<K, (answer: T) => void>();

  add(key: K, otherwise: T, take: (answer: T) => void): void {
    const timer = setTimeout(() => this.settle(key, otherwise), ACKNOWLEDGE_WITHIN_MS);
    this.#takers.set(key, (answer) => {
      clearTimeout(timer);
      take(answer);
    });
  }

  settle(key: K, answer: T): void {
    const take = this.#takers.get(key);
    this.#takers.delete(key);
    take?.(answer);
  }

  settleAll(answer: T): void {
    for (const key of [...this.#takers.keys()]) this.settle(key, answer);
  }
}
