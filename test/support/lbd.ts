/** The real lbd as a process that runs to its end. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import path from 'node:path';

const MAIN = path.join(import.meta.dirname, '../../src/main.ts');

export interface LbdRun {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

export async function lbd(args: readonly string[], options: { readonly cwd?: string } = {}): Promise<LbdRun> {
  const child = spawn(process.execPath, [MAIN, ...args], {
    ...options,
    stdio: ['ignore', 'pipe', 'pipe'],
    // One that goes on, against all expectation, does not outlive the test.
    timeout: 120_000,
    killSignal: 'SIGKILL',
  });
  const text = { stdout: '', stderr: '' };
  child.stdout.setEncoding('utf8').on('data', (chunk: string) => {
    text.stdout += chunk;
  });
  child.stderr.setEncoding('utf8').on('data', (chunk: string) => {
    text.stderr += chunk;
  });
  const [code] = await once(child, 'close');
  return { code, ...text };
}
