/**
 * How one lbd takes over from another, over a Unix socket whose path both are told. The successor says which state file it has (one of an
 * earlier version does not), and `take over`; the predecessor gives up its admin API, its metrics and its stored state, answers `handed over`, and goes on serving connections. The successor starts,
 * shares the listeners' ports, and says `serving`; the predecessor answers `retiring` and drains.
 */
import { accessSync, chmodSync, constants, lstatSync, rmSync, statSync } from 'node:fs';
import { connect, createServer, type Server, type Socket } from 'node:net';
import { dirname } from 'node:path';
import { createInterface, type Interface } from 'node:readline';

/** What a running lbd does for one that takes over. */
export interface Predecessor {
  /** Why it does not hand over to one that has its state in this file; undefined: it does. */
  objectionTo(stateFile: string): string | undefined;
  /** Gives up what only one of them can have. */
  handOver(): Promise<void>;
  /** Has it again: the successor has failed. */
  takeBack(): Promise<void>;
  /** Drains and ends. */
  retire(): void;
}

/** The takeover failed in a way that is to be told in one line; the other lbd goes on. */
export class TakeoverError extends Error {
  constructor(message: string) {
    super(message);
    this.name = 'TakeoverError';
  }
}

type Log = { info(facts: object, message: string): void; error(facts: object, message: string): void };

/** Longer than an lbd takes to end the calls that are under way. */
const ANSWER_WITHIN_MS = 30_000;

const STATE_FILE = 'state file ';
const REFUSED = 'refused: ';

/** A running lbd that is about to be replaced. */
export class RunningLbd {
  readonly #socket: Socket;
  readonly #lines: Interface;
  readonly #answers: AsyncIterator<string>;

  private constructor(socket: Socket) {
    this.#socket = socket;
    this.#lines = createInterface({ input: socket });
    this.#answers = this.#lines[Symbol.asyncIterator]();
  }

  /** Has it hand over to one with this state file; undefined: no lbd listens at the path. @throws TakeoverError, also when none could wait there */
  static async find(path: string, stateFile: string): Promise<RunningLbd | undefined> {
    refuseUselessPath(path);
    const socket = await connected(path);
    if (socket === undefined) return undefined;
    const running = new RunningLbd(socket);
    socket.write(`${STATE_FILE}${stateFile}\n`);
    await running.#ask('take over', 'handed over');
    return running;
  }

  /** We serve: it drains and ends. The path is ours from then on. @throws TakeoverError */
  async retire(): Promise<void> {
    await this.#ask('serving', 'retiring');
    this.#socket.destroy();
  }

  async #ask(question: string, expected: string): Promise<void> {
    this.#socket.write(`${question}\n`);
    // The lines do not end by themselves when the socket is destroyed.
    const timer = setTimeout(() => this.#lines.close(), ANSWER_WITHIN_MS);
    const { value, done } = await this.#answers.next();
    clearTimeout(timer);
    if (done === true || value !== expected) {
      this.#socket.destroy();
      if (value?.startsWith(REFUSED)) throw new TakeoverError(`the running lbd does not hand over: ${value.slice(REFUSED.length)}`);
      throw new TakeoverError(`the lbd to take over from did not answer "${question}": ${value ?? 'it closed, or took too long'}`);
    }
  }
}

/** One that has not begun to serve by then is taken for hung: nobody answers on the admin API meanwhile. */
const SERVING_WITHIN_MS = 60_000;

/**
 * Waits at the path for an lbd that takes over; close it at the end. One at a time, and none for longer than `withinMs`.
 * @throws TakeoverError when the path cannot be had
 */
export async function awaitSuccessor(
  path: string,
  predecessor: Predecessor,
  log: Log,
  withinMs = SERVING_WITHIN_MS,
): Promise<{ close(): void }> {
  // What is left of an lbd that was killed: nobody answered there.
  if (lstatSync(path, { throwIfNoEntry: false })?.isSocket() === true) rmSync(path);
  let isUnderWay = false;
  const server = createServer((socket) => {
    if (isUnderWay) {
      socket.on('error', () => undefined);
      socket.end('another lbd is taking over\n');
      return;
    }
    isUnderWay = true;
    void converse(socket, server, predecessor, { log, withinMs }).finally(() => {
      isUnderWay = false;
    });
  });
  await new Promise<void>((resolve, reject) => {
    server.once('error', ({ message }) => reject(new TakeoverError(`cannot wait for a successor at ${path}: ${message}`)));
    server.listen(path, resolve);
  });
  // Who may write to it may end this lbd.
  chmodSync(path, 0o600);
  log.info({ path }, 'another lbd can take over');
  return { close: () => server.close() };
}

async function converse(
  socket: Socket,
  server: Server,
  predecessor: Predecessor,
  { log, withinMs }: { readonly log: Log; readonly withinMs: number },
): Promise<void> {
  let hasHandedOver = false;
  let objection: string | undefined;
  const lines = createInterface({ input: socket });
  const deadline = setTimeout(() => {
    log.error({ withinMs }, 'the lbd that was to take over has not begun to serve in time: it is not waited for');
    // Its lines do not end by themselves when the socket is destroyed.
    lines.close();
    socket.destroy();
  }, withinMs);
  lines.once('close', () => clearTimeout(deadline));
  // It ends by closing; that is what counts.
  socket.on('error', () => undefined);
  try {
    for await (const line of lines) {
      if (line.startsWith(STATE_FILE)) objection = predecessor.objectionTo(line.slice(STATE_FILE.length));
      else if (line === 'take over' && objection !== undefined) {
        log.error({ why: objection }, 'not handed over to another lbd');
        socket.end(`${REFUSED}${objection}\n`);
        return;
      } else if (line === 'take over' && !hasHandedOver) {
        log.info({}, 'handing over to another lbd: the admin API and the metrics are its from now on');
        hasHandedOver = true;
        await predecessor.handOver();
        socket.write('handed over\n');
      } else if (line === 'serving' && hasHandedOver) {
        // The path is free before the successor hears of it.
        server.close();
        socket.end('retiring\n');
        predecessor.retire();
        return;
      }
    }
    if (!hasHandedOver) return;
    log.error({}, 'the lbd that was to take over has ended: this one goes on');
    await predecessor.takeBack();
    log.info({}, 'the admin API and the metrics are back');
  } catch (err) {
    log.error({ err }, 'the takeover failed: connections are served as before');
    socket.destroy();
  } finally {
    lines.close();
  }
}

/** `sun_path` of Linux without the byte that ends it, unix(7). */
const LONGEST_PATH_BYTES = 107;

/** What would keep lbd from waiting at the path once it serves. @throws TakeoverError */
function refuseUselessPath(path: string): void {
  const refuse = (why: string) => {
    throw new TakeoverError(`--takeover ${path}: ${why}`);
  };
  const length = Buffer.byteLength(path);
  if (length > LONGEST_PATH_BYTES)
    refuse(`the path has ${length} bytes, and that of a socket at most ${LONGEST_PATH_BYTES}: name a shorter one`);
  const folder = dirname(path);
  try {
    const found = statSync(folder, { throwIfNoEntry: false });
    if (found === undefined) refuse(`the folder ${folder} does not exist: make it, for nobody but lbd to write, or name another`);
    if (found?.isDirectory() === false) refuse(`${folder} is no folder: name a path in one`);
    accessSync(folder, constants.W_OK | constants.X_OK);
    if (lstatSync(path, { throwIfNoEntry: false })?.isSocket() === false)
      refuse('there is something that is no socket: move it away, or name a path that is free');
  } catch (error) {
    if (error instanceof TakeoverError) throw error;
    const { code, message } = error as NodeJS.ErrnoException;
    if (code === 'EACCES' || code === 'EROFS') refuse(`lbd may not write the folder ${folder}: let it, or name another`);
    refuse(message);
  }
}

/** undefined: nobody listens there. */
function connected(path: string): Promise<Socket | undefined> {
  return new Promise((resolve, reject) => {
    const socket = connect(path);
    socket.once('connect', () => resolve(socket));
    socket.on('error', (error: NodeJS.ErrnoException) => {
      if (error.code === 'ENOENT' || error.code === 'ECONNREFUSED') resolve(undefined);
      else reject(new TakeoverError(`cannot reach the lbd at ${path}: ${error.message}`));
    });
  });
}
