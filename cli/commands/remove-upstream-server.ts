/** Taking an upstream server out of its group for good, and waiting for the connections that it has. */
import { status as Status } from '@grpc/grpc-js';
import type { Command } from 'commander';
import {
  AdminServiceService,
  WatchConnectionsResponse_Kind as Kind,
  type RemoveUpstreamServerResponse,
} from '../../src/gen/lb/admin/v1/admin.ts';
import { formatDuration, optionalDuration } from '../durations.ts';
import { CliError, EXIT } from '../errors.ts';
import type { Io } from '../io.ts';
import { safeLines, safeText } from '../render.ts';
import { address, duration, name } from '../values.ts';
import { connections } from './closing.ts';
import { type FollowOptions, follow, followOptions } from './following.ts';
import { type ChangeOptions, changeFields, changeOptions, example, type Session, withSession } from './session.ts';

interface RemoveOptions extends ChangeOptions, FollowOptions {
  readonly targetGroup: string;
  readonly server: string;
  readonly deadline?: number;
  readonly reset?: true;
}

export function addRemoveServerCommand(program: Command, io: Io): void {
  const command = program
    .command('remove-upstream-server')
    .description(
      'take a server out of a target group: no new connections at once; then wait for those it has; exit code 1 when some are left',
    )
    .requiredOption('--target-group <name>', 'the target group', name)
    .requiredOption('--server <host:port>', 'the server', address)
    .option('--deadline <duration>', 'how long its connections may go on; 0s: not at all (default: the drainTimeout of lbd)', duration)
    .option('--reset', 'reset the connections that are left at the deadline; without it they go on');
  changeOptions(followOptions(command)).action(async (options: RemoveOptions) => {
    await withSession(io, command, (session) => removeAndWait(io, session, options));
  });
  example(command, 'remove-upstream-server --target-group FrontEndService --server 127.0.0.1:8083 --deadline 30s --reset');
}

/** Throws a CliError when connections are left at the end, or nobody knows. */
async function removeAndWait(io: Io, session: Session, options: RemoveOptions): Promise<void> {
  const { targetGroup, server, deadline = Number.POSITIVE_INFINITY } = options;
  const { printer } = session;
  const progress = session.connection.serverStream(AdminServiceService.removeUpstreamServer, {
    targetGroup,
    server,
    deadline: optionalDuration(options.deadline),
    resetAtDeadline: options.reset === true,
    ...changeFields(options),
  });
  const endMs = io.nowMs() + deadline;
  let last: RemoveUpstreamServerResponse | undefined;
  let problem = 'lbd ended before its report was over';
  try {
    for await (const message of progress) {
      const removed = last === undefined ? `removed ${server} from ${targetGroup} (revision ${message.revision})\n` : '';
      printer.event(message, safeLines(`${removed}${progressText(message)}`));
      last = message;
    }
  } catch (error) {
    const isLost = error instanceof CliError && (error.exitCode === EXIT.unreachable || error.status === Status.UNAVAILABLE);
    // Before the first message nobody knows whether the server is removed.
    if (last === undefined || !isLost) throw error;
    problem = error.message;
  }
  if (last === undefined)
    throw new CliError(EXIT.refused, 'lbd said nothing of the removal; lbctl list-upstream-servers shows whether it is made');
  if (last.done) {
    if (last.connectionsLeft > 0n) throw stillOpen(last.connectionsLeft, options);
    return;
  }
  const isMade = `${server} is removed from ${targetGroup} already (revision ${last.revision})`;
  if (!options.reconnect) throw new CliError(EXIT.unreachable, `${problem}; ${isMade}: ${howToSee(options)}`);
  io.stderr.write(`lbctl: ${safeText(`${isMade}; its connections are looked for as soon as lbd answers`)}\n`);
  await waitForTheRest(io, session, options, endMs);
}

/** What an interrupted removal would have told: it is made, so all there is to do is to look at the connections. */
async function waitForTheRest(io: Io, session: Session, options: RemoveOptions, endMs: number): Promise<void> {
  const { targetGroup, server } = options;
  const filter = { clientId: '', targetGroup, server, reason: '', connectionId: '' };
  const patienceMs = Math.min(Math.max(endMs - io.nowMs(), session.settings.timeoutMs), 2 ** 31 - 1);
  const open = new Set<string>();
  let left: bigint | undefined;
  const tell = () => {
    left = BigInt(open.size);
    session.printer.event({ connectionsLeft: left }, leftText(left));
    return left === 0n;
  };
  await follow(io, session, options, {
    open: (connection, signal) => {
      open.clear();
      return connection.serverStream(AdminServiceService.watchConnections, { filter }, signal);
    },
    // With --reset, lbd ends at the deadline what is left, which takes it a moment.
    ...(Number.isFinite(endMs)
      ? { until: AbortSignal.timeout(patienceMs + (options.reset === true ? session.settings.timeoutMs : 0)) }
      : {}),
    each: ({ kind, connection }) => {
      const id = connection?.id ?? '';
      if (kind === Kind.STATE || kind === Kind.OPENED) open.add(id);
      if (kind === Kind.CLOSED) open.delete(id);
      return (kind === Kind.SYNCED || (kind === Kind.CLOSED && left !== undefined)) && tell();
    },
  });
  if (left === 0n) return;
  if (left === undefined) throw new CliError(EXIT.unreachable, `it is not known how many connections are left; ${howToSee(options)}`);
  throw stillOpen(left, options);
}

function stillOpen(left: bigint, options: RemoveOptions): CliError {
  const { targetGroup, server, deadline } = options;
  const when = deadline === undefined ? 'when the wait ended' : `after ${formatDuration(deadline)}`;
  const close = `lbctl close-connections --target-group ${targetGroup} --server ${server}`;
  return new CliError(EXIT.refused, `${connections(left)} left ${when}; the server is removed and they go on until they end, or ${close}`);
}

const howToSee = ({ targetGroup, server }: RemoveOptions) =>
  `lbctl list-connections --target-group ${targetGroup} --server ${server} shows what is left`;

function progressText({ connectionsLeft, connectionsReset, done }: RemoveUpstreamServerResponse): string {
  if (!done) return `${connections(connectionsLeft)} left`;
  return `${leftText(connectionsLeft)}${connectionsReset === 0n ? '' : `, ${connections(connectionsReset)} reset`}`;
}

const leftText = (left: bigint) => (left === 0n ? 'done: no connections left' : `${connections(left)} left`);
