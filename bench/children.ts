/** The processes that a benchmark starts: pinned to processors, and every one of them ended, whatever happens. */
import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, readFileSync } from 'node:fs';

const STATUS = '/proc/self/status';
/** How long a process may take to end by itself. */
const END_WITHIN_MS = 1_500;
/** What a process said that is kept for the message when it fails. */
const KEPT_OUTPUT = 4_000;

export interface Child {
  readonly pid: number;
  readonly process: ChildProcess;
  /** The end of what it wrote to standard output and error. */
  readonly said: () => string;
  readonly end: () => Promise<void>;
}

export interface Launch {
  readonly command: string;
  readonly args: readonly string[];
  /** Processors it may use, as taskset takes them (`0`, `1-3`); undefined: all. */
  readonly processors: string | undefined;
  readonly cwd?: string;
  /** Messages can be sent to it and from it. */
  readonly ipc?: boolean;
}

/** Where the balancer runs and where the load does; undefined where there are not two processors, or no taskset. */
export interface Pinning {
  readonly balancer: string | undefined;
  readonly load: string | undefined;
}

/** One processor for the balancer, the others for the load and the servers: of those that the benchmark may use. */
export function pinning(): Pinning {
  const [first, ...others] = processorsAllowed();
  const pinned = first !== undefined && others.length > 0 && spawnSync('taskset', ['--version']).status === 0;
  return pinned ? { balancer: String(first), load: others.join(',') } : { balancer: undefined, load: undefined };
}

/** As of proc_pid_status(5), `Cpus_allowed_list: 0-3,6`; none where there is no such file. */
function processorsAllowed(): readonly number[] {
  if (!existsSync(STATUS)) return [];
  const list = /^Cpus_allowed_list:\s*(\S+)$/m.exec(readFileSync(STATUS, 'utf8'))?.[1] ?? '';
  return list.split(',').flatMap((range) => {
    const [first = Number.NaN, last = first] = range.split('-').map(Number);
    return Number.isNaN(first) ? [] : Array.from({ length: last - first + 1 }, (_, index) => first + index);
  });
}

/** All children of this benchmark. */
export class Children {
  readonly #running = new Set<Child>();
  #closed = false;

  /** @throws Error when it cannot be started, or the benchmark is ending. */
  start({ command, args, processors, cwd, ipc = false }: Launch): Child {
    if (this.#closed) throw new Error('the benchmark is ending');
    const [program, all] = processors === undefined ? [command, args] : ['taskset', ['-c', processors, command, ...args]];
    // A group of its own: its children are ended with it.
    const child = spawn(program, all, { cwd, detached: true, stdio: ['ignore', 'pipe', 'pipe', ...(ipc ? (['ipc'] as const) : [])] });
    child.on('error', () => undefined);
    if (child.pid === undefined) throw new Error(`${command} cannot be started`);
    let said = '';
    const keep = (text: string) => {
      said = (said + text).slice(-KEPT_OUTPUT);
    };
    child.stdout?.setEncoding('utf8').on('data', keep);
    child.stderr?.setEncoding('utf8').on('data', keep);
    const { pid } = child;
    const started: Child = {
      pid,
      process: child,
      said: () => said,
      end: async () => {
        await endGroup(child, pid);
        this.#running.delete(started);
      },
    };
    this.#running.add(started);
    return started;
  }

  /** Ends all of them; none can be started afterwards. */
  async close(): Promise<void> {
    this.#closed = true;
    await Promise.all([...this.#running].map((child) => child.end()));
  }
}

async function endGroup(child: ChildProcess, pid: number): Promise<void> {
  const signal = (name: NodeJS.Signals) => {
    try {
      process.kill(-pid, name);
    } catch {
      // It has ended.
    }
  };
  if (child.exitCode === null && child.signalCode === null) {
    const ended = once(child, 'exit');
    signal('SIGTERM');
    const hurry = setTimeout(() => signal('SIGKILL'), END_WITHIN_MS);
    await ended;
    clearTimeout(hurry);
  }
  // What it may have left behind.
  signal('SIGKILL');
}
