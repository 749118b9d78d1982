/** What every command that takes an admission away has in common: how the live connections that are no longer allowed end. */
import type { Command } from 'commander';
import type { Duration } from '../../src/gen/google/protobuf/duration.ts';
import { CloseMode } from '../../src/gen/lb/admin/v1/admin.ts';
import { optionalDuration } from '../durations.ts';
import { usageError } from '../errors.ts';
import { duration, wordOption } from '../values.ts';
import { CLOSE_MODE_WORDS } from '../words.ts';

export interface CloseOptions {
  readonly mode?: CloseMode;
  readonly deadline?: number;
}

/** What answers say of the connections that a change has ended. */
interface EndedConnections {
  readonly connectionsClosed: bigint;
  /** Of them. */
  readonly waitingRefused: bigint;
}

/** `--mode` and `--deadline`. */
export function closeOptions(command: Command): Command {
  return command
    .addOption(
      wordOption(
        '--mode <mode>',
        'end live connections that are no longer allowed at the deadline, or at once (default: reset)',
        CLOSE_MODE_WORDS,
      ),
    )
    .option('--deadline <duration>', 'with --mode drain: how long they may go on (default: the drainTimeout of lbd)', duration);
}

/** The fields of a mutation that {@link closeOptions} fills. Throws a CliError for a deadline without drain. */
export function closeFields({ mode = CloseMode.UNSPECIFIED, deadline }: CloseOptions): { mode: CloseMode; deadline: Duration | undefined } {
  if (deadline !== undefined && mode !== CloseMode.DRAIN) throw usageError('--deadline is for --mode drain; give that too');
  return { mode, deadline: optionalDuration(deadline) };
}

/** Of an answer: `3 connections closed (1 waited)`, or with --mode drain `2 connections draining, 1 that waited refused`. */
export function closedText({ connectionsClosed, waitingRefused }: EndedConnections, { mode }: CloseOptions): string {
  if (mode !== CloseMode.DRAIN)
    return `${connections(connectionsClosed)} closed${waitingRefused === 0n ? '' : ` (${waitingRefused} waited)`}`;
  const waited = waitingRefused === 0n ? '' : `, ${waitingRefused} that waited refused`;
  return `${connections(connectionsClosed - waitingRefused)} draining${waited}`;
}

/** `1 connection`, `3 connections`. */
export function connections(amount: bigint): string {
  return `${amount} ${amount === 1n ? 'connection' : 'connections'}`;
}
