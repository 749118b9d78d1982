/** What the commands that watch have in common. */
import type { Command } from 'commander';
import type { Connection } from '../connection.ts';
import type { Io } from '../io.ts';
import { safeText } from '../render.ts';
import { resuming } from '../resuming.ts';
import { count } from '../values.ts';
import { type Session, untilInterrupted } from './session.ts';

export interface FollowOptions {
  readonly reconnect: boolean;
}

export interface CountedOptions extends FollowOptions {
  readonly count?: number;
}

export interface Followed<Response> {
  readonly open: (connection: Connection, signal: AbortSignal) => AsyncIterable<Response>;
  /** As {@link ResumableStream.startOver}. */
  readonly startOver?: () => boolean;
  /** As {@link ResumableStream.missed}. */
  readonly missed?: string;
  /** Ends the watch when it aborts. */
  readonly until?: AbortSignal;
  /** True: enough, the watch ends. */
  readonly each: (message: Response) => boolean;
}

/** `--no-reconnect`. */
export function followOptions(command: Command): Command {
  return command.option('--no-reconnect', 'end with exit code 3 when the connection is lost, instead of connecting again and going on');
}

/** `--count` and `--no-reconnect`. */
export function countedOptions(command: Command, what: string): Command {
  return followOptions(command.option('--count <n>', `end after so many${what}`, count(1)));
}

/** Shows a stream until it ends, `each` has enough, or Ctrl-C; what happens to the connection is told on standard error. */
export async function follow<Response>(
  io: Io,
  session: Session,
  { reconnect }: FollowOptions,
  followed: Followed<Response>,
): Promise<void> {
  const { connection, settings } = session;
  await untilInterrupted(io, async (interrupted) => {
    const signal = followed.until === undefined ? interrupted : AbortSignal.any([interrupted, followed.until]);
    const messages = resuming({
      connection,
      settings,
      signal,
      reconnect,
      open: followed.open,
      startOver: followed.startOver ?? (() => false),
      missed: followed.missed,
      notify: (text) => io.stderr.write(`lbctl: ${safeText(text)}\n`),
    });
    for await (const message of messages) {
      if (followed.each(message)) break;
    }
  });
}
