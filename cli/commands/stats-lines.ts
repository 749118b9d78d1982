/** The lines of `watch-stats`: the counters of everything, of one client, or of the servers that were asked for. */
import {
  type ClientStats,
  HealthState,
  type ServerCounters,
  type ServerStats,
  type TargetGroupStatus,
  type WatchStatsResponse,
} from '../../src/gen/lb/admin/v1/admin.ts';
import { scarcestHeadroom } from '../headroom.ts';
import { reasonsText } from '../reasons.ts';
import { type Cell, type Paint, safeText, tableLine } from '../render.ts';
import { formatBytes } from '../sizes.ts';
import { perSecond, secondsBetween, timeOf } from '../times.ts';
import { groupNow } from './group-table.ts';
import { healthCell } from './upstream-servers.ts';

/** Empty names mean all; a client goes without the others. */
export interface StatsScope {
  readonly targetGroup: string;
  readonly server: string;
  readonly clientId: string;
}

interface Sheet {
  readonly shows: string;
  readonly header: readonly string[];
  /** Without the time; undefined: what was asked for is gone. `before` is the message before, of the same run of lbd. */
  readonly cells: (now: WatchStatsResponse, before: WatchStatsResponse | undefined) => readonly Cell[] | undefined;
}

/** A function that makes the line for each message, with the rates since the one before; over the first, what is shown and the header. */
export function statsLines(scope: StatsScope, paint: Paint): (stats: WatchStatsResponse) => string {
  const { shows, header, cells } = sheetOf(scope);
  const widths = ['TIME', ...header].map((title) => Math.max(title.length, 9));
  let before: WatchStatsResponse | undefined;
  return (stats) => {
    const first = before === undefined;
    const row = cells(stats, before) ?? [{ text: 'it is not there any more', tone: 'unsure' }];
    before = stats;
    const line = tableLine([timeOf(stats.at), ...row], widths, paint);
    return first ? `${safeText(shows)}\n${tableLine(['TIME', ...header], widths, paint)}\n${line}` : line;
  };
}

function sheetOf({ targetGroup, server, clientId }: StatsScope): Sheet {
  if (clientId !== '') return clientSheet(clientId);
  if (server === '' && targetGroup === '') return WHOLE;
  const ofGroup = targetGroup === '' ? '' : `target group ${targetGroup}`;
  if (server === '') return serverSheet(`${ofGroup}, all its servers`, true);
  return serverSheet(`upstream server ${server}${ofGroup === '' ? '' : ` of ${ofGroup}`}`, false);
}

const WHOLE: Sheet = {
  shows: 'the whole load balancer, since lbd started',
  header: ['ACTIVE', 'ACCEPTED', 'PER SECOND', 'REFUSED', 'PER SECOND', 'HEALTHY', 'BY REASON'],
  cells: (now, before) => {
    const seconds = secondsBetween(before, now);
    return [
      String(now.activeConnections),
      String(now.accepted),
      rateOf(before?.accepted, now.accepted, seconds),
      String(now.refused),
      rateOf(before?.refused, now.refused, seconds),
      healthyCell(now.servers),
      reasonsText(now.byReason),
    ];
  },
};

function clientSheet(clientId: string): Sheet {
  const statsIn = (message: WatchStatsResponse | undefined): ClientStats | undefined =>
    message?.clients.find((client) => client.clientId === clientId);
  return {
    shows: `client ${clientId}, since lbd started`,
    header: ['ACTIVE', 'ACCEPTED', 'PER SECOND', 'REFUSED', 'PER SECOND', 'UP/S', 'DOWN/S', 'LIMIT LEFT', 'BY REASON'],
    cells: (message, before) => {
      const now = statsIn(message)?.counters;
      if (now === undefined) return undefined;
      const old = statsIn(before)?.counters;
      const seconds = secondsBetween(before, message);
      const headroom = scarcestHeadroom(now);
      const wouldHave = now.shadowRefused.map(({ reason, count }) => `${reason} ${count}`).join(', ');
      return [
        String(now.active),
        String(now.accepted),
        rateOf(old?.accepted, now.accepted, seconds),
        String(now.refused),
        rateOf(old?.refused, now.refused, seconds),
        bytesPerSecond(old?.bytesFromClient, now.bytesFromClient, seconds),
        bytesPerSecond(old?.bytesToClient, now.bytesToClient, seconds),
        headroom === undefined ? '' : headroom.isUsedUp ? { text: headroom.text, tone: 'bad' } : headroom.text,
        [
          now.delayed === 0n ? '' : `${now.delayed} wait for their turn`,
          now.queued === 0n ? '' : `${now.queued} wait for a server`,
          reasonsText(now.refusedByReason),
          wouldHave === '' ? '' : `in shadow: ${wouldHave}`,
        ]
          .filter((part) => part !== '')
          .join('; '),
      ];
    },
  };
}

/** What waits and moves is of a whole group. */
function serverSheet(shows: string, isGroup: boolean): Sheet {
  return {
    shows: `${shows}, since lbd started`,
    header: ['ACTIVE', 'CONNECTED', 'PER SECOND', 'FAILED', 'PER SECOND', 'UP/S', 'DOWN/S', 'HEALTHY', 'NOW'],
    cells: (message, before) => {
      const { servers, groups } = message;
      if (servers.length === 0 && !isGroup) return undefined;
      const now = (counter: keyof ServerCounters) => sumOf(servers, counter);
      const old = (counter: keyof ServerCounters) => (before === undefined ? undefined : sumOf(before.servers, counter));
      const seconds = secondsBetween(before, message);
      return [
        String(now('active')),
        String(now('connected')),
        rateOf(old('connected'), now('connected'), seconds),
        String(now('failed')),
        rateOf(old('failed'), now('failed'), seconds),
        bytesPerSecond(old('bytesToUpstream'), now('bytesToUpstream'), seconds),
        bytesPerSecond(old('bytesFromUpstream'), now('bytesFromUpstream'), seconds),
        servers.length === 1 && servers[0] !== undefined ? healthCell(servers[0].health) : healthyCell(servers),
        factsNow(servers, isGroup ? groups : []),
      ];
    },
  };
}

/** What is not as usual: of one server as it is, of several how many. */
function factsNow(servers: readonly ServerStats[], groups: readonly TargetGroupStatus[]): string {
  const only = servers.length === 1;
  const howMany = (amount: number, what: string) => (amount === 0 ? [] : [only ? what : `${amount} ${what}`]);
  const isOut = ({ agent }: ServerStats) => agent !== undefined && agent.standing !== 'up';
  return [
    ...howMany(servers.filter(({ ejected }) => ejected).length, 'ejected'),
    ...howMany(servers.filter(({ inPanic }) => inPanic).length, 'in panic'),
    ...howMany(servers.filter(isOut).length, 'kept out by the agent'),
    ...servers.flatMap(({ agent }) => (only && agent !== undefined ? [`agent says ${agent.said}`] : [])),
    ...howMany(
      servers.filter(({ slowStartPercent }) => slowStartPercent !== undefined).length,
      only ? `slow start ${servers[0]?.slowStartPercent}%` : 'in slow start',
    ),
    ...groups.map(groupNow).filter((text) => text !== ''),
  ].join(', ');
}

function sumOf(servers: readonly ServerStats[], counter: keyof ServerCounters): bigint {
  return servers.reduce((sum, { counters }) => sum + (counters?.[counter] ?? 0n), 0n);
}

function rateOf(before: bigint | undefined, now: bigint, seconds: number | undefined): string {
  return perSecond(before, now, seconds)?.toFixed(1) ?? '';
}

function bytesPerSecond(before: bigint | undefined, now: bigint, seconds: number | undefined): string {
  const rate = perSecond(before, now, seconds);
  return rate === undefined ? '' : formatBytes(rate);
}

function healthyCell(servers: readonly ServerStats[]): Cell {
  const healthy = servers.filter(({ health }) => health === HealthState.HEALTHY).length;
  return { text: `${healthy}/${servers.length}`, tone: healthy === servers.length ? 'good' : healthy === 0 ? 'bad' : 'unsure' };
}
