/** Clients as people read them. */
import type { Bandwidth, ClientStatus, ConnectionRate, IdentityMatch } from '../../src/gen/lb/admin/v1/admin.ts';
import { formatDuration, fromDuration } from '../durations.ts';
import { type Paint, table } from '../render.ts';
import { formatBytes } from '../sizes.ts';
import { wordOf } from '../words.ts';

interface Column {
  readonly title: string;
  readonly cellOf: (client: ClientStatus) => string;
  /** Left out when no client has it. */
  readonly isOptional?: true;
}

const COLUMNS: readonly Column[] = [
  { title: 'CLIENT', cellOf: ({ client }) => client?.clientId ?? '' },
  { title: 'TARGET GROUPS', cellOf: ({ client }) => client?.allowedTargetGroups.join(', ') ?? '' },
  { title: 'RATE', cellOf: ({ client }) => rateText(client?.limits?.connectionRate) },
  { title: 'CONCURRENT', cellOf: ({ client }) => unlessZero(client?.limits?.concurrentConnections) },
  { title: 'BANDWIDTH', cellOf: bandwidthCell, isOptional: true },
  { title: 'SHADOW', cellOf: shadowCell, isOptional: true },
  {
    title: 'WAITING',
    cellOf: ({ counters }) => unlessZero(Number((counters?.delayed ?? 0n) + (counters?.queued ?? 0n))),
    isOptional: true,
  },
  { title: 'ACTIVE', cellOf: ({ counters }) => String(counters?.active ?? 0) },
  { title: 'ACCEPTED', cellOf: ({ counters }) => String(counters?.accepted ?? 0) },
  { title: 'REFUSED', cellOf: ({ counters }) => String(counters?.refused ?? 0) },
  { title: 'MATCH', cellOf: ({ client }) => matchText(client?.match) },
];

/** A table, or a sentence that says there are none. */
export function clientTable(clients: readonly ClientStatus[], paint: Paint): string {
  if (clients.length === 0) return 'no clients';
  const columns = COLUMNS.filter(({ isOptional, cellOf }) => isOptional !== true || clients.some((client) => cellOf(client) !== ''));
  return table(
    columns.map(({ title }) => title),
    clients.map((client) => columns.map(({ cellOf }) => cellOf(client))),
    paint,
  );
}

function rateText(rate: ConnectionRate | undefined): string {
  if (rate === undefined) return '';
  const window = rate.window === undefined ? '1s' : formatDuration(fromDuration(rate.window));
  const how = [wordOf(rate.algorithm), wordOf(rate.action)].filter((part) => part !== undefined);
  const burst = rate.burst === 0 ? [] : [`burst ${rate.burst}`];
  return [`${rate.limit} per ${window}`, ...burst, ...how].join(' ');
}

function bandwidthCell({ client, counters }: ClientStatus): string {
  const inUse = [counters?.uploadHeadroom, counters?.downloadHeadroom].includes(0n);
  return `${bandwidthText(client?.limits?.bandwidth)}${inUse ? ' (all in use)' : ''}`;
}

/** Whether its limits only look on, and what they would have done so far. */
function shadowCell({ client, counters }: ClientStatus): string {
  const would = (counters?.shadowRefused ?? []).map(({ reason, count }) => `${reason} ${count}`).join(', ');
  const isOn = client?.limits?.shadow === true;
  if (would === '') return isOn ? 'yes' : '';
  return `${isOn ? 'yes' : 'no longer'}: ${would}`;
}

function bandwidthText(bandwidth: Bandwidth | undefined): string {
  const { upload, download } = bandwidth ?? { upload: 0n, download: 0n };
  const ways = [upload === 0n ? '' : `${formatBytes(upload)}/s up`, download === 0n ? '' : `${formatBytes(download)}/s down`];
  return ways.filter((way) => way !== '').join(', ');
}

function matchText(match: IdentityMatch | undefined): string {
  return Object.entries(match ?? {})
    .filter(([, value]) => value !== '')
    .map(([field, value]) => `${field}=${value}`)
    .join(' ');
}

function unlessZero(count: number | undefined): string {
  return count === undefined || count === 0 ? '' : String(count);
}
