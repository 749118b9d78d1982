/** What the commands have in common: a connection and a printer for the time of one command, and the options of every change. */
import type { Command } from 'commander';
import { type Connection, connect } from '../connection.ts';
import type { Io } from '../io.ts';
import { createPrinter, type Printer, safeText } from '../render.ts';
import { type GlobalOptions, resolveSettings, type Settings } from '../settings.ts';
import { name, revision } from '../values.ts';

export interface Session {
  readonly connection: Connection;
  readonly printer: Printer;
  readonly settings: Settings;
}

/** Connects as the global options say, tells the story, and closes. */
export async function withSession(io: Io, command: Command, story: (session: Session) => Promise<void>): Promise<void> {
  const settings = resolveSettings(io, command.optsWithGlobals<GlobalOptions>());
  const connection = await connect(settings);
  try {
    await story({ connection, printer: createPrinter(io, settings.output), settings });
  } finally {
    connection.close();
  }
}

/** What was done, or can be, and may not be what was meant. */
export function warn(io: Pick<Io, 'stderr'>, warnings: readonly string[]): void {
  for (const warning of warnings) io.stderr.write(`lbctl: warning: ${safeText(warning)}\n`);
}

/** A watch: until it ends, Ctrl-C aborts the signal, and lbctl exits 0. */
export async function untilInterrupted(io: Io, watch: (signal: AbortSignal) => Promise<void>): Promise<void> {
  const interruption = new AbortController();
  const stopListening = io.onInterrupt(() => interruption.abort());
  try {
    await watch(interruption.signal);
  } finally {
    stopListening();
  }
}

export interface ChangeOptions {
  readonly expectedRevision?: bigint;
  readonly requestId?: string;
}

/** `--expected-revision` and `--request-id`. */
export function changeOptions(command: Command): Command {
  return command
    .option('--expected-revision <n>', 'change nothing unless the state is still at this revision', revision)
    .option('--request-id <id>', 'repeating a call with the same id makes the change once', name);
}

/** The fields of a mutation that {@link changeOptions} fills. */
export function changeFields(options: ChangeOptions): { readonly expectedRevision: bigint; readonly requestId: string } {
  return { expectedRevision: options.expectedRevision ?? 0n, requestId: options.requestId ?? '' };
}

/** Shown under a command's help. */
export function example(command: Command, ...lines: readonly string[]): Command {
  return command.addHelpText('after', `\nExample${lines.length > 1 ? 's' : ''}:\n${lines.map((line) => `  lbctl ${line}`).join('\n')}`);
}
