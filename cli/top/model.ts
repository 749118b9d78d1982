/** What `top` knows: the newest counters with the rates since the ones before, and what the keys have chosen. */
import { HealthState, type WatchStatsResponse } from '../../src/gen/lb/admin/v1/admin.ts';
import { type Headroom, scarcestHeadroom } from '../headroom.ts';
import { perSecond, secondsBetween } from '../times.ts';

export const VIEWS = ['overview', 'groups', 'servers', 'clients'] as const;
export type View = (typeof VIEWS)[number];

const SORTS = ['name', 'active', 'rate', 'trouble', 'bytes'] as const;
/** `rate`: new connections. `trouble`: refused ones of a client, failed attempts to connect of a server. */
export type Sort = (typeof SORTS)[number];

export interface TopModel {
  readonly view: View;
  readonly sort: Sort;
  readonly reversed: boolean;
  /** Rows above the first that is shown, in a view of one table. */
  readonly scroll: number;
  readonly now: WatchStatsResponse | undefined;
  readonly before: WatchStatsResponse | undefined;
  /** What has happened to the connection; empty when all is well. */
  readonly notice: string;
}

export const FIRST_MODEL: TopModel = {
  view: 'overview',
  sort: 'active',
  reversed: false,
  scroll: 0,
  now: undefined,
  before: undefined,
  notice: '',
};

/** One line of a table; rates are per second, undefined while there is nothing to compare with. */
export interface Row {
  readonly name: string;
  readonly active: number;
  readonly rate: number | undefined;
  readonly trouble: number;
  readonly up: number | undefined;
  readonly down: number | undefined;
  /** Of a group: healthy and all servers, who waits. Of a server: its health. Of a client: what is left of its limits. */
  readonly healthy?: number;
  readonly servers?: number;
  readonly health?: HealthState;
  readonly ejected?: boolean;
  /** Connections in the queue of a group that has one; of a client, those that wait for their turn, if any do. */
  readonly waiting?: number | undefined;
  readonly headroom?: Headroom | undefined;
}

/** The model with newer counters. */
export function counted(model: TopModel, now: WatchStatsResponse): TopModel {
  return { ...model, before: model.now, now, notice: '' };
}

/** The model after a key press; `quit` ends top. */
export function pressed(model: TopModel, key: string, page: number): TopModel | 'quit' {
  switch (key) {
    case 'q':
    case '\u0003':
    case '\u0004':
      return 'quit';
    case '\t':
      return show(model, VIEWS[(VIEWS.indexOf(model.view) + 1) % VIEWS.length] ?? 'overview');
    case 'o':
      return show(model, 'overview');
    case 'g':
      return show(model, 'groups');
    case 's':
      return show(model, 'servers');
    case 'c':
      return show(model, 'clients');
    case 'n':
      return sortBy(model, 'name');
    case 'a':
      return sortBy(model, 'active');
    case 'r':
      return sortBy(model, 'rate');
    case 't':
      return sortBy(model, 'trouble');
    case 'b':
      return sortBy(model, 'bytes');
    case '\u001b[A':
    case '\u001bOA':
    case 'k':
      return scrolled(model, -1);
    case '\u001b[B':
    case '\u001bOB':
    case 'j':
      return scrolled(model, 1);
    case '\u001b[5~':
      return scrolled(model, -page);
    case '\u001b[6~':
    case ' ':
      return scrolled(model, page);
    default:
      return model;
  }
}

const show = (model: TopModel, view: View): TopModel => ({ ...model, view, scroll: 0 });

/** The same sort again turns it round. */
const sortBy = (model: TopModel, sort: Sort): TopModel => ({
  ...model,
  sort,
  reversed: model.sort === sort && !model.reversed,
  scroll: 0,
});

function scrolled(model: TopModel, by: number): TopModel {
  const last = Math.max(0, (model.view === 'overview' ? 0 : rowsOf(model, model.view).length) - 1);
  return { ...model, scroll: Math.min(Math.max(0, model.scroll + by), last) };
}

/** The rows of a table in the order that was chosen. */
export function rowsOf(model: TopModel, table: Exclude<View, 'overview'>): readonly Row[] {
  if (model.now === undefined) return [];
  const rows = table === 'clients' ? clientRows(model) : table === 'servers' ? serverRows(model) : groupRows(model);
  // Names from A to Z, numbers from the largest, unless turned round.
  const direction = (model.sort === 'name') === model.reversed ? -1 : 1;
  const byName = (a: Row, b: Row) => (a.name < b.name ? -1 : a.name > b.name ? 1 : 0);
  if (model.sort === 'name') return [...rows].sort((a, b) => byName(a, b) * direction);
  return [...rows].sort((a, b) => (sortValue(a, model.sort) - sortValue(b, model.sort)) * direction || byName(a, b));
}

function sortValue(row: Row, sort: Sort): number {
  switch (sort) {
    case 'name':
    case 'active':
      return row.active;
    case 'rate':
      return row.rate ?? 0;
    case 'trouble':
      return row.trouble;
    case 'bytes':
      return (row.up ?? 0) + (row.down ?? 0);
  }
}

interface NamedRow extends Row {
  readonly group: string;
}

function serverRows({ now, before }: TopModel): readonly NamedRow[] {
  const earlier = new Map(before?.servers.map((one) => [`${one.targetGroup} ${one.server}`, one.counters]));
  const seconds = secondsBetween(before, now);
  return (now?.servers ?? []).map(({ targetGroup, server, counters, health, ejected }) => {
    const old = earlier.get(`${targetGroup} ${server}`);
    return {
      group: targetGroup,
      name: `${targetGroup} ${server}`,
      active: Number(counters?.active ?? 0n),
      rate: perSecond(old?.connected, counters?.connected, seconds),
      trouble: Number(counters?.failed ?? 0n),
      up: perSecond(old?.bytesToUpstream, counters?.bytesToUpstream, seconds),
      down: perSecond(old?.bytesFromUpstream, counters?.bytesFromUpstream, seconds),
      health,
      ejected,
    };
  });
}

function groupRows(model: TopModel): readonly Row[] {
  const waiting = new Map(model.now?.groups.map((group) => [group.targetGroup, group.waiting]));
  return [...Map.groupBy(serverRows(model), ({ group }) => group)].map(([name, members]) => ({
    name,
    active: sum(members.map(({ active }) => active)),
    rate: sumKnown(members.map(({ rate }) => rate)),
    trouble: sum(members.map(({ trouble }) => trouble)),
    up: sumKnown(members.map(({ up }) => up)),
    down: sumKnown(members.map(({ down }) => down)),
    healthy: members.filter(({ health }) => health === HealthState.HEALTHY).length,
    servers: members.length,
    waiting: waiting.get(name),
  }));
}

function clientRows({ now, before }: TopModel): readonly Row[] {
  const earlier = new Map(before?.clients.map((one) => [one.clientId, one.counters]));
  const seconds = secondsBetween(before, now);
  return (now?.clients ?? []).map(({ clientId, counters }) => {
    const old = earlier.get(clientId);
    return {
      name: clientId,
      active: Number(counters?.active ?? 0n),
      rate: perSecond(old?.accepted, counters?.accepted, seconds),
      trouble: Number(counters?.refused ?? 0n),
      up: perSecond(old?.bytesFromClient, counters?.bytesFromClient, seconds),
      down: perSecond(old?.bytesToClient, counters?.bytesToClient, seconds),
      waiting: Number((counters?.delayed ?? 0n) + (counters?.queued ?? 0n)) || undefined,
      headroom: scarcestHeadroom(counters),
    };
  });
}

const sum = (values: readonly number[]) => values.reduce((total, value) => total + value, 0);

/** Undefined only when every value is. */
function sumKnown(values: readonly (number | undefined)[]): number | undefined {
  const known = values.filter((value) => value !== undefined);
  return known.length === 0 ? undefined : sum(known);
}
