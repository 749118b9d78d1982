import type { Command } from 'commander';
import {
  AdminServiceService,
  HealthState,
  WatchHealthResponse_Kind as Kind,
  type WatchHealthResponse,
  type WatchStatsResponse,
} from '../../src/gen/lb/admin/v1/admin.ts';
import { optionalDuration } from '../durations.ts';
import type { Io } from '../io.ts';
import { type Cell, type Paint, tableLine } from '../render.ts';
import { count, name, positiveDuration, revision } from '../values.ts';
import { wordOf } from '../words.ts';
import { example, untilInterrupted, withSession } from './session.ts';
import { healthCell } from './upstream-servers.ts';

interface HealthOptions {
  readonly targetGroup?: string;
  readonly sinceRevision?: bigint;
  readonly count?: number;
}

interface StatsOptions {
  readonly interval?: number;
  readonly count?: number;
}

const STATS_HEADER = ['TIME', 'ACTIVE', 'ACCEPTED', 'PER SECOND', 'REFUSED', 'PER SECOND', 'HEALTHY', 'BY REASON'];

export function addWatchCommands(program: Command, io: Io): void {
  watchStatsCommand(program, io);
  watchHealthCommand(program, io);
}

function watchStatsCommand(program: Command, io: Io): void {
  const command = program
    .command('watch-stats')
    .description('the counters now, then once every interval, until Ctrl-C')
    .option('--interval <duration>', 'at least 100ms (default: 1s)', positiveDuration)
    .option('--count <n>', 'end after so many', count(1));
  command.action(async ({ interval, count: wanted }: StatsOptions) => {
    await withSession(io, command, async ({ connection, printer }) => {
      await untilInterrupted(io, async (signal) => {
        const stats = connection.serverStream(
          AdminServiceService.watchStats,
          { interval: optionalDuration(interval), targetGroup: '', server: '', clientId: '' },
          signal,
        );
        const lines = statsLines(printer.paint);
        let seen = 0;
        for await (const message of stats) {
          printer.event(message, lines(message));
          if (++seen === wanted) break;
        }
      });
    });
  });
  example(command, 'watch-stats', 'watch-stats --interval 5s --count 12 --output json');
}

function watchHealthCommand(program: Command, io: Io): void {
  const command = program
    .command('watch-health')
    .description('the health of every server as it is, then every change, until Ctrl-C')
    .option('--target-group <name>', 'of this target group only', name)
    .option('--since-revision <n>', 'only the changes after this health revision', revision)
    .option('--count <n>', 'end after so many servers and changes', count(1));
  command.action(async ({ targetGroup = '', sinceRevision = 0n, count: wanted }: HealthOptions) => {
    await withSession(io, command, async ({ connection, printer }) => {
      await untilInterrupted(io, async (signal) => {
        const events = connection.serverStream(AdminServiceService.watchHealth, { targetGroup, server: '', sinceRevision }, signal);
        let seen = 0;
        for await (const message of events) {
          printer.event(message, healthLine(message, printer.paint));
          if (message.kind !== Kind.SYNCED && ++seen === wanted) break;
        }
      });
    });
  });
  example(command, 'watch-health', 'watch-health --target-group FrontEndService --output json');
}

/** A function that makes the line for each message, with the rates since the message before, and the header over the first. */
export function statsLines(paint: Paint): (stats: WatchStatsResponse) => string {
  const widths = STATS_HEADER.map((title) => Math.max(title.length, 9));
  let before: WatchStatsResponse | undefined;
  return (stats) => {
    const first = before === undefined;
    const line = tableLine(
      [
        timeOf(stats.at),
        String(stats.activeConnections),
        String(stats.accepted),
        perSecond(before, stats, 'accepted'),
        String(stats.refused),
        perSecond(before, stats, 'refused'),
        healthyCell(stats),
        stats.byReason
          .filter((reason) => reason.count > 0n)
          .map((reason) => `${reason.reason} ${reason.count}`)
          .join(', '),
      ],
      widths,
      paint,
    );
    before = stats;
    return first ? `${tableLine(STATS_HEADER, widths, paint)}\n${line}` : line;
  };
}

function perSecond(before: WatchStatsResponse | undefined, now: WatchStatsResponse, counter: 'accepted' | 'refused'): string {
  if (before?.at === undefined || now.at === undefined) return '';
  const seconds = (now.at.getTime() - before.at.getTime()) / 1_000;
  return seconds > 0 ? (Number(now[counter] - before[counter]) / seconds).toFixed(1) : '';
}

function healthyCell({ servers }: WatchStatsResponse): Cell {
  const healthy = servers.filter(({ health }) => health === HealthState.HEALTHY).length;
  return { text: `${healthy}/${servers.length}`, tone: healthy === servers.length ? 'good' : healthy === 0 ? 'bad' : 'unsure' };
}

/** One line for a server or a change; none for the end of the state. */
export function healthLine(event: WatchHealthResponse, paint: Paint): string | undefined {
  if (event.kind === Kind.SYNCED) return undefined;
  const { at, targetGroup, server, cause } = event;
  return tableLine([timeOf(at), targetGroup, server, changeCell(event), cause], [9, 16, 21, 20], paint);
}

function changeCell({ kind, from, to }: WatchHealthResponse): Cell {
  if (kind === Kind.REMOVED) return 'removed';
  const cell = healthCell(to);
  return kind === Kind.CHANGED ? { ...cell, text: `${wordOf(from) ?? '-'} -> ${cell.text}` } : cell;
}

function timeOf(at: Date | undefined): string {
  return at === undefined ? '' : `${at.toISOString().slice(11, 19)}Z`;
}
