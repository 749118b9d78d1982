/** How an upstream server takes part: its weight, its bounds, and whether it drains. */
import type { Command } from 'commander';
import { AdminServiceService, ServerMode, type UpstreamServer, type WatchStatsResponse } from '../../src/gen/lb/admin/v1/admin.ts';
import { formatDuration } from '../durations.ts';
import { CliError, EXIT, usageError } from '../errors.ts';
import type { Io } from '../io.ts';
import { safeText } from '../render.ts';
import { address, count, duration, MOST_CONNECTIONS, name, wordOption } from '../values.ts';
import { SERVER_MODE_WORDS, wordOf } from '../words.ts';
import { connections } from './closing.ts';
import { type FollowOptions, follow, followOptions } from './following.ts';
import { type ChangeOptions, changeFields, changeOptions, example, type Session, withSession } from './session.ts';

interface ServerOptions extends ChangeOptions {
  readonly targetGroup: string;
  readonly server: string;
}

interface SetOptions extends ServerOptions {
  readonly weight?: number;
  readonly maxConnections?: number;
  readonly backup?: boolean;
  readonly mode?: ServerMode;
}

interface DrainOptions extends ServerOptions, FollowOptions {
  readonly deadline?: number;
  readonly wait: boolean;
}

export function addServerModeCommands(program: Command, io: Io): void {
  setCommand(program, io);
  drainCommand(program, io);
}

function setCommand(program: Command, io: Io): void {
  const command = serverOptions(
    program.command('set-upstream-server').description('change what is given of an upstream server; its connections go on'),
  )
    .option('--weight <n>', 'its share of the connections; 0 takes no new ones', count(0, 256))
    .option('--max-connections <n>', 'the most it holds at a time; 0: no bound', count(0, MOST_CONNECTIONS))
    .option('--backup', 'use it only when no other server of the group can take a connection')
    .option('--no-backup', 'use it as any other')
    .addOption(wordOption('--mode <mode>', 'drain: no new connections; maintenance: no probes either', SERVER_MODE_WORDS));
  changeOptions(command).action(async (options: SetOptions) => {
    const { targetGroup, server, weight, maxConnections, backup, mode } = options;
    if ([weight, maxConnections, backup, mode].every((value) => value === undefined)) {
      throw usageError('nothing to change; give --weight, --max-connections, --backup, --no-backup or --mode');
    }
    await withSession(io, command, async ({ connection, printer }) => {
      const reply = await connection.unary(AdminServiceService.setUpstreamServer, {
        targetGroup,
        server,
        weight,
        maxConnections,
        backup,
        mode: mode ?? ServerMode.UNSPECIFIED,
        ...changeFields(options),
      });
      const now = reply.server === undefined ? '' : `: ${serverText(reply.server)}`;
      const done = reply.nothingToChange ? '; nothing to change' : '';
      printer.sentence(reply, `${server} of ${targetGroup}${now}${done} (revision ${reply.revision})`);
    });
  });
  example(
    command,
    'set-upstream-server --target-group FrontEndService --server 127.0.0.1:8081 --weight 5',
    'set-upstream-server --target-group FrontEndService --server 127.0.0.1:8081 --mode maintenance',
    'set-upstream-server --target-group FrontEndService --server 127.0.0.1:8081 --mode ready',
  );
}

function drainCommand(program: Command, io: Io): void {
  const command = serverOptions(
    program
      .command('drain-upstream-server')
      .description('no new connections to a server, then wait until those it has are over; exit code 1 when some are left'),
  )
    .option('--deadline <duration>', 'how long to wait; what is left then goes on (default: as long as it takes)', duration)
    .option('--no-wait', 'do not wait');
  changeOptions(followOptions(command)).action(async (options: DrainOptions) => {
    const { targetGroup, server } = options;
    await withSession(io, command, async (session) => {
      const reply = await session.connection.unary(AdminServiceService.setUpstreamServer, {
        targetGroup,
        server,
        weight: undefined,
        maxConnections: undefined,
        backup: undefined,
        mode: ServerMode.DRAIN,
        ...changeFields(options),
      });
      session.printer.event(reply, safeText(`${server} of ${targetGroup} takes no new connections (revision ${reply.revision})`));
      if (options.wait) await waitUntilDrained(io, session, options);
    });
  });
  example(
    command,
    'drain-upstream-server --target-group FrontEndService --server 127.0.0.1:8081 --deadline 5m',
    'drain-upstream-server --target-group FrontEndService --server 127.0.0.1:8081 --no-wait',
  );
}

/** Shows once a second how many connections are left. Throws a CliError when some are left at the end. */
async function waitUntilDrained(io: Io, session: Session, options: DrainOptions): Promise<void> {
  const { targetGroup, server, deadline = Number.POSITIVE_INFINITY } = options;
  const endMs = io.nowMs() + deadline;
  // Not below the time in which the first count comes, and not above what a timer can.
  const patienceMs = Math.min(Math.max(deadline, session.settings.timeoutMs), 2 ** 31 - 1);
  let left: bigint | undefined;
  await follow(io, session, options, {
    open: (connection, signal) =>
      connection.serverStream(
        AdminServiceService.watchStats,
        { interval: { seconds: 1n, nanos: 0 }, targetGroup, server, clientId: '' },
        signal,
      ),
    ...(Number.isFinite(deadline) ? { until: AbortSignal.timeout(patienceMs) } : {}),
    each: (stats) => {
      left = connectionsOn(stats, targetGroup, server);
      session.printer.event({ connectionsLeft: left }, left === 0n ? 'done: no connections left' : `${connections(left)} left`);
      return left === 0n || io.nowMs() >= endMs;
    },
  });
  if (left === 0n) return;
  const when = io.nowMs() >= endMs ? `after ${formatDuration(deadline)}` : 'when the wait ended';
  const still = left === undefined ? 'it is not known how many connections are left' : `${connections(left)} left`;
  throw new CliError(
    EXIT.refused,
    `${still} ${when}; the server goes on draining: wait again, or lbctl close-connections --server ${server}`,
  );
}

function connectionsOn({ servers }: WatchStatsResponse, targetGroup: string, server: string): bigint {
  const found = servers.find((one) => one.targetGroup === targetGroup && one.server === server);
  return found?.counters?.active ?? 0n;
}

function serverOptions(command: Command): Command {
  return command
    .requiredOption('--target-group <name>', 'the target group', name)
    .requiredOption('--server <host:port>', 'the server', address);
}

function serverText({ mode, weight, maxConnections, backup }: UpstreamServer): string {
  const bound = maxConnections === 0 ? [] : [`at most ${maxConnections} connections`];
  return [wordOf(mode) ?? 'ready', `weight ${weight ?? 1}`, ...bound, ...(backup ? ['backup'] : [])].join(', ');
}
