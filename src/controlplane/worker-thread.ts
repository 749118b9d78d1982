import { Worker } from 'node:worker_threads';
import type { ExplainQuestion, Explanation } from '../shared/explain.ts';
import type { FromWorker, ToWorker, WorkerBirth } from '../shared/messages.ts';

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

/** One worker thread and what it still owes an answer for. */
export class WorkerThread {
  readonly listening: Promise<ReadonlyMap<string, number>>;
  readonly #worker: Worker;
  readonly #listening = Promise.withResolvers<ReadonlyMap<string, number>>();
  readonly #drained = Promise.withResolvers<number>();
  readonly #owed = new Map<string, (count: number) => void>();
  readonly #explaining = new Map<number, (explanation: Explanation | undefined) => void>();
  #requests = 0;
  #error: Error | undefined;

  constructor(program: URL, birth: WorkerBirth, writeLines: (lines: readonly string[]) => void) {
    this.listening = this.#listening.promise;
    this.#worker = new Worker(program, { workerData: birth, name: `portcullis-${birth.lane}` });
    this.#worker.on('message', (message: FromWorker) => this.#receive(message, writeLines));
    this.#worker.on('error', (error: Error) => {
      this.#error = error;
    });
    this.onExit((error) => {
      this.#listening.reject(error ?? new Error('the worker ended before it listened'));
      this.#drained.resolve(0);
      for (const settle of this.#owed.values()) settle(0);
      for (const settle of this.#explaining.values()) settle(undefined);
    });
    // Whoever cares awaits it; a death before anyone does must not count as unhandled.
    this.listening.catch(() => undefined);
  }

  send(message: ToWorker): void {
    this.#worker.postMessage(message);
  }

  async publish(message: Extract<ToWorker, { kind: 'publish' }>, revision: number): Promise<void> {
    this.send(message);
    // One that is still starting is waited for as well: it may serve before we know that it listens.
    await this.#answer(`published ${revision}`);
  }

  async request(make: (requestId: number) => ToWorker): Promise<number> {
    const requestId = ++this.#requests;
    this.send(make(requestId));
    return this.#answer(`done ${requestId}`);
  }

  /** undefined: the worker died, or did not answer in time. */
  explain(question: ExplainQuestion): Promise<Explanation | undefined> {
    const requestId = ++this.#requests;
    this.send({ kind: 'explain', requestId, question });
    return new Promise((resolve) => {
      const settle = (explanation: Explanation | undefined) => {
        clearTimeout(timer);
        this.#explaining.delete(requestId);
        resolve(explanation);
      };
      const timer = setTimeout(() => settle(undefined), ACKNOWLEDGE_WITHIN_MS);
      this.#explaining.set(requestId, settle);
    });
  }

  async drain(deadlineMs: number): Promise<number> {
    this.send({ kind: 'drain', deadlineMs });
    // One that is stuck does not notice its deadline.
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

  #answer(key: string): Promise<number> {
    return new Promise((resolve) => {
      const settle = (count: number) => {
        clearTimeout(timer);
        this.#owed.delete(key);
        resolve(count);
      };
      const timer = setTimeout(() => settle(0), ACKNOWLEDGE_WITHIN_MS);
      this.#owed.set(key, settle);
    });
  }

  #receive(message: FromWorker, writeLines: (lines: readonly string[]) => void): void {
    switch (message.kind) {
      case 'listening':
        this.#listening.resolve(message.ports);
        break;
      case 'listenFailed':
        this.#error = new ListenError(message.listener, message.code, message.message);
        this.#listening.reject(this.#error);
        void this.#worker.terminate();
        break;
      case 'published':
        this.#owed.get(`published ${message.revision}`)?.(0);
        break;
      case 'done':
        this.#owed.get(`done ${message.requestId}`)?.(message.count);
        break;
      case 'explained':
        this.#explaining.get(message.requestId)?.(message.explanation);
        break;
      case 'log':
        writeLines(message.lines);
        break;
      case 'drained':
        this.#drained.resolve(message.reset);
        break;
    }
  }
}
