/** A quickstart as a process of its own, and the commands that it prints. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import type { TestContext } from 'node:test';

export interface PrintedQuickstart {
  /** Heading -> the command under it, as printed. */
  readonly commands: ReadonlyMap<string, string>;
  /** Sends SIGTERM and waits for the end; the exit code. */
  stop(): Promise<number | null>;
}

/** Starts `command` (with arguments) on ports of the system's choice and waits until everything is printed. */
export async function startQuickstart(t: Pick<TestContext, 'after'>, command: readonly string[], cwd: string): Promise<PrintedQuickstart> {
  const [program = '', ...args] = command;
  const child = spawn(program, [...args, 'quickstart', '--port', '0', '--admin-port', '0', '--sample-port', '0'], {
    cwd,
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const closed = once(child, 'close');
  t.after(() => {
    child.kill('SIGKILL');
    return closed;
  });
  const commands = new Map<string, string>();
  const lines: string[] = [];
  let heading: string | undefined;
  // The log shares standard output, and goes on after the last of what is read here.
  const reader = createInterface({ input: child.stdout });
  const printed = new Promise<void>((resolve, reject) => {
    reader.on('line', (line) => {
      lines.push(line);
      if (line.startsWith('# ')) heading = line.slice(2);
      else if (heading !== undefined && !line.startsWith('{')) {
        commands.set(heading, line);
        heading = undefined;
      }
      if (line.startsWith('Ctrl-C ')) resolve();
    });
    void closed.then(([code]) => reject(new Error(`the quickstart ended with ${code}:\n${lines.join('\n')}`)));
  });
  await printed;
  return {
    commands,
    stop: async () => {
      child.kill('SIGTERM');
      const [code] = await closed;
      return code;
    },
  };
}
