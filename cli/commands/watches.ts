import type { Command } from 'commander';
import { AdminServiceService, WatchHealthResponse_Kind as Kind, type WatchHealthResponse } from '../../src/gen/lb/admin/v1/admin.ts';
import { optionalDuration } from '../durations.ts';
import { usageError } from '../errors.ts';
import type { Io } from '../io.ts';
import { wholeStats } from '../paging.ts';
import { type Cell, type Paint, tableLine } from '../render.ts';
import { timeOf } from '../times.ts';
import { address, name, positiveDuration, revision } from '../values.ts';
import { wordOf } from '../words.ts';
import { type CountedOptions, countedOptions, follow } from './following.ts';
import { example, withSession } from './session.ts';
import { statsLines } from './stats-lines.ts';
import { healthCell } from './upstream-servers.ts';

interface HealthOptions extends CountedOptions {
  readonly targetGroup?: string;
  readonly server?: string;
  readonly sinceRevision?: bigint;
}

interface StatsOptions extends CountedOptions {
  readonly interval?: number;
  readonly targetGroup?: string;
  readonly server?: string;
  readonly client?: string;
}

export function addWatchCommands(program: Command, io: Io): void {
  watchStatsCommand(program, io);
  watchHealthCommand(program, io);
}

function watchStatsCommand(program: Command, io: Io): void {
  const command = program
    .command('watch-stats')
    .description(
      'the counters of everything, or of what is given, now and then once every interval, until Ctrl-C; it goes on when lbd restarts',
    )
    .option('--interval <duration>', 'at least 100ms (default: 1s)', positiveDuration)
    .option('--target-group <name>', 'the servers of this target group, together', name)
    .option('--server <host:port>', 'this server', address)
    .option('--client <id>', 'this client', name);
  countedOptions(command, '').action(async (options: StatsOptions) => {
    const { interval, targetGroup = '', server = '', client: clientId = '' } = options;
    if (clientId !== '' && (targetGroup !== '' || server !== '')) {
      throw usageError('a client is not counted by server: give --client, or --target-group and --server');
    }
    const scope = { targetGroup, server, clientId };
    const request = { interval: optionalDuration(interval), ...scope };
    await withSession(io, command, async (session) => {
      const lines = statsLines(scope, session.printer.paint);
      let seen = 0;
      await follow(io, session, options, {
        open: (connection, signal) => wholeStats(connection.serverStream(AdminServiceService.watchStats, request, signal)),
        each: (message) => {
          session.printer.event(message, lines(message));
          return ++seen === options.count;
        },
      });
    });
  });
  example(command, 'watch-stats', 'watch-stats --interval 5s --count 12 --output json', 'watch-stats --client clientA.bardomain.com');
}

function watchHealthCommand(program: Command, io: Io): void {
  const command = program
    .command('watch-health')
    .description('the health of every server as it is, then every change, until Ctrl-C; it goes on when lbd restarts')
    .option('--target-group <name>', 'of this target group only', name)
    .option('--server <host:port>', 'of this server only', address)
    .option('--since-revision <n>', 'only the changes after this health revision', revision);
  countedOptions(command, ' servers and changes').action(async (options: HealthOptions) => {
    const { targetGroup = '', server = '' } = options;
    let { sinceRevision = 0n } = options;
    let resumed = false;
    await withSession(io, command, async (session) => {
      let seen = 0;
      await follow(io, session, options, {
        open: (connection, signal) =>
          connection.serverStream(AdminServiceService.watchHealth, { targetGroup, server, sinceRevision }, signal),
        // A revision that was asked for on the command line is refused; only one of our own is given up.
        startOver: () => {
          sinceRevision = 0n;
          return resumed;
        },
        each: (message) => {
          session.printer.event(message, healthLine(message, session.printer.paint));
          if (message.kind !== Kind.STATE) {
            sinceRevision = message.revision;
            resumed = true;
          }
          return message.kind !== Kind.SYNCED && ++seen === options.count;
        },
      });
    });
  });
  example(command, 'watch-health', 'watch-health --target-group FrontEndService --output json');
}

/** One line for a server or a change; none for the end of the state. */
function healthLine(event: WatchHealthResponse, paint: Paint): string | undefined {
  if (event.kind === Kind.SYNCED) return undefined;
  const { at, targetGroup, server, cause } = event;
  return tableLine([timeOf(at), targetGroup, server, changeCell(event), cause], [9, 16, 21, 20], paint);
}

function changeCell({ kind, from, to, ejectedUntil }: WatchHealthResponse): Cell {
  if (kind === Kind.REMOVED) return 'removed';
  if (kind === Kind.EJECTED) return { text: 'ejected', tone: 'bad' };
  if (kind === Kind.RETURNED) return { text: 'no longer ejected', tone: 'good' };
  const cell = healthCell(to);
  if (ejectedUntil !== undefined) return { text: `ejected, ${cell.text}`, tone: 'bad' };
  return kind === Kind.CHANGED ? { ...cell, text: `${wordOf(from) ?? '-'} -> ${cell.text}` } : cell;
}
