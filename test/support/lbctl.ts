/** The real lbctl as a process of its own, with nothing of this machine's environment but what the test gives. */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import path from 'node:path';
import { createInterface } from 'node:readline';
import type { TestContext } from 'node:test';
import type { CertificateFiles } from './certificates.ts';

/** An upper bound, not a pace: a command that takes longer hangs. */
const PATIENCE_MS = 120_000;
const MAIN = path.join(import.meta.dirname, '../../cli/main.ts');

export interface LbctlRun {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

export interface LbctlOptions {
  readonly env?: Readonly<Record<string, string>>;
  readonly stdin?: string;
  readonly cwd?: string;
}

/** The environment with which lbctl reaches a server without a flag. */
export function lbctlEnv(addr: string, caCert: string, { certificate, privateKey }: CertificateFiles): Readonly<Record<string, string>> {
  return { LBCTL_ADDR: addr, LBCTL_CA: caCert, LBCTL_CERT: certificate, LBCTL_KEY: privateKey };
}

/** Runs a command line to its end. */
export async function lbctl(args: readonly string[], options: LbctlOptions = {}): Promise<LbctlRun> {
  const child = spawnLbctl(args, options);
  const text = { stdout: '', stderr: '' };
  child.stdout?.setEncoding('utf8').on('data', (chunk: string) => {
    text.stdout += chunk;
  });
  child.stderr?.setEncoding('utf8').on('data', (chunk: string) => {
    text.stderr += chunk;
  });
  child.stdin?.end(options.stdin ?? '');
  const [code] = await once(child, 'close');
  return { code, ...text };
}

export interface RunningLbctl {
  readonly child: ChildProcess;
  /** The next line of standard output. @throws when it ends first */
  nextLine(): Promise<string>;
  /** The exit code, once it has ended. */
  readonly exited: Promise<number | null>;
}

/** Starts a command line that goes on until something ends it. */
export function startLbctl(t: Pick<TestContext, 'after'>, args: readonly string[], options: LbctlOptions = {}): RunningLbctl {
  const child = spawnLbctl(args, options);
  const exited = once(child, 'close').then(([code]): number | null => code);
  t.after(() => {
    child.kill('SIGKILL');
    return exited;
  });
  if (child.stdout === null) throw new Error('lbctl has no standard output');
  const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
  return {
    child,
    exited,
    nextLine: async () => {
      const line = await lines.next();
      if (line.done === true) throw new Error('lbctl wrote no further line');
      return line.value;
    },
  };
}

function spawnLbctl(args: readonly string[], { env = {}, cwd = import.meta.dirname }: LbctlOptions): ChildProcess {
  return spawn(process.execPath, [MAIN, ...args], {
    cwd,
    env: { HOME: '/nonexistent', ...env },
    stdio: ['pipe', 'pipe', 'pipe'],
    timeout: PATIENCE_MS,
    killSignal: 'SIGKILL',
  });
}
