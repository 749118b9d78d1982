/** A terminal as a reader of the README has one: a shell that keeps its variables and aliases from one block to the next. */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { writeFile } from 'node:fs/promises';
import path from 'node:path';

/** An upper bound, not a pace. */
const PATIENCE_MS = 120_000;

export interface Finished {
  /** Standard output and standard error as they come. */
  readonly output: string;
  readonly code: number;
}

export class Terminal {
  readonly #shell: ChildProcess;
  readonly #folder: string;
  readonly #ended: Promise<unknown>;
  #text = '';
  #blocks = 0;
  #onText: () => void = () => undefined;

  constructor(folder: string, env: NodeJS.ProcessEnv) {
    this.#folder = folder;
    // A process group of its own, so that what is left in the background can be ended with it.
    this.#shell = spawn('sh', ['-c', 'exec 2>&1; exec sh'], { cwd: folder, env, detached: true, stdio: ['pipe', 'pipe', 'inherit'] });
    this.#ended = once(this.#shell, 'close');
    this.#shell.stdout?.setEncoding('utf8').on('data', (chunk: string) => {
      this.#text += chunk;
      this.#onText();
    });
  }

  /** Runs the block to its end. */
  async run(block: string): Promise<Finished> {
    const done = `end of block ${this.#blocks}:`;
    await this.#send(block, `; echo "${done} $?"`);
    const end = new RegExp(`^${done} (?<code>\\d+)\\n`, 'm');
    await this.#waitFor((text) => end.test(text), block);
    const match = end.exec(this.#text);
    const output = this.#text.slice(0, match?.index);
    this.#text = '';
    return { output, code: Number(match?.groups?.['code']) };
  }

  /** Starts the block and waits until it has printed `says`; what was printed until the end of that line. */
  async runUntil(block: string, says: string): Promise<string> {
    await this.#send(block, '');
    const lineEnd = (text: string) => (text.includes(says) ? text.indexOf('\n', text.indexOf(says)) : -1);
    await this.#waitFor((text) => lineEnd(text) !== -1, block);
    return this.#text.slice(0, lineEnd(this.#text) + 1);
  }

  /** Ends the shell and everything that it started. */
  async close(): Promise<void> {
    if (this.#shell.pid !== undefined) endGroup(this.#shell.pid);
    await this.#ended;
  }

  /** From a file, so that what the block runs cannot read the rest of the blocks from standard input. */
  async #send(block: string, after: string): Promise<void> {
    const file = path.join(this.#folder, `.block-${this.#shell.pid}-${this.#blocks++}.sh`);
    await writeFile(file, `${block}\n`);
    this.#shell.stdin?.write(`. '${file}' < /dev/null${after}\n`);
  }

  async #waitFor(fits: (text: string) => boolean, block: string): Promise<void> {
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    const giveUp = (why: string) => reject(new Error(`${why}:\n${block}\n--- it printed:\n${this.#text}`));
    const patience = setTimeout(() => giveUp(`this block has not ended in ${PATIENCE_MS} ms`), PATIENCE_MS);
    const onExit = () => giveUp('the shell ended in this block');
    this.#shell.once('exit', onExit);
    this.#onText = () => {
      if (fits(this.#text)) resolve();
    };
    this.#onText();
    try {
      await promise;
    } finally {
      clearTimeout(patience);
      this.#shell.off('exit', onExit);
    }
  }
}

function endGroup(pid: number): void {
  try {
    process.kill(-pid, 'SIGKILL');
  } catch (error) {
    if (!(error instanceof Error && 'code' in error && error.code === 'ESRCH')) throw error;
  }
}
