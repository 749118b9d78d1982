/** The benchmark's handles on its load generator and its servers. */
import { once } from 'node:events';
import path from 'node:path';
import type { Child, Children } from './children.ts';
import type { Answer, Done, Order, ServersReady } from './messages.ts';
import type { StepTable } from './steps/curves.ts';

/** Ten thousand connections on a busy machine take minutes. */
const ANSWER_WITHIN_MS = 300_000;
const LISTEN_WITHIN_MS = 20_000;
const STEPS_WITHIN_MS = 120_000;

/** An order that was not carried out, in the words of the load generator. */
export class LoadFailure extends Error {
  /** What became of a connection: `ssl/tls alert handshake failure`. */
  readonly reason: string;

  readonly #order: Order;

  constructor(order: Order, reason: string, balancer?: string) {
    super(`the load failed${balancer === undefined ? '' : ` at ${balancer}`}: ${order.kind}: ${reason}`);
    this.reason = reason;
    this.#order = order;
  }

  /** The same, with the balancer named that it was for. */
  at(balancer: string): LoadFailure {
    return new LoadFailure(this.#order, this.reason, balancer);
  }
}

/** A load generator in a process of its own. */
export class Load {
  readonly #child: Child;

  constructor(children: Children, processors: string | undefined) {
    const args = [path.join(import.meta.dirname, 'load-generator.ts')];
    this.#child = children.start({ command: process.execPath, args, processors, ipc: true });
  }

  /** @throws LoadFailure when a connection fails; Error when the load ends, or is not done in five minutes. */
  async order(order: Order): Promise<Done> {
    const answered = message(this.#child, ANSWER_WITHIN_MS);
    this.#child.process.send(order);
    // The other end is load-generator.ts, which sends nothing else.
    const answer = (await answered) as Answer;
    if (answer.kind === 'failed') throw new LoadFailure(order, answer.message);
    return answer.done;
  }
}

/** Measures the steps of a connection by themselves, on the processors of the balancers. */
export async function measureSteps(children: Children, processors: string | undefined): Promise<readonly StepTable[]> {
  const child = children.start({ command: process.execPath, args: [path.join(import.meta.dirname, 'steps.ts')], processors, ipc: true });
  // The other end is steps.ts, which sends this once.
  const tables = (await message(child, STEPS_WITHIN_MS)) as readonly StepTable[];
  await child.end();
  return tables;
}

/** Plain TCP servers in a process of their own. */
export interface Servers {
  readonly pid: number;
  /** host:port; one port, so the first serves all of them. */
  readonly addresses: readonly string[];
  readonly end: () => Promise<void>;
}

/** Starts servers on as many addresses. */
export async function startServers(children: Children, count: number, processors: string | undefined): Promise<Servers> {
  const args = [path.join(import.meta.dirname, 'servers.ts'), String(count)];
  const child = children.start({ command: process.execPath, args, processors, ipc: true });
  // The other end is servers.ts, which sends this once.
  const { addresses } = (await message(child, LISTEN_WITHIN_MS)) as ServersReady;
  return { pid: child.pid, addresses, end: child.end };
}

/** The next message. @throws Error when the child ends instead, or takes too long */
async function message(child: Child, withinMs: number): Promise<unknown> {
  const done = new AbortController();
  const signal = AbortSignal.any([done.signal, AbortSignal.timeout(withinMs)]);
  const gone = once(child.process, 'exit', { signal }).then(() => {
    throw new Error(`a child ended early: ${child.said().trim()}`);
  });
  try {
    const [value]: unknown[] = await Promise.race([once(child.process, 'message', { signal }), gone]);
    return value;
  } finally {
    gone.catch(() => undefined);
    done.abort();
  }
}
