/** One picture of `top`: exactly as many lines as fit, none wider than the terminal. */
import { HealthState } from '../../src/gen/lb/admin/v1/admin.ts';
import type { TerminalSize } from '../io.ts';
import { reasonsText } from '../reasons.ts';
import { type Paint, safeText, type Tone } from '../render.ts';
import { formatBytes } from '../sizes.ts';
import { perSecond, secondsBetween } from '../times.ts';
import { type Row, rowsOf, type Sort, type TopModel, type View } from './model.ts';

type TableName = Exclude<View, 'overview'>;

interface Piece {
  readonly text: string;
  readonly tone?: Tone | undefined;
}
type Line = readonly Piece[];

interface Column {
  readonly title: string;
  readonly width: number;
  readonly sort?: Sort;
  readonly cell: (row: Row) => Piece;
}

const TITLES: Readonly<Record<TableName, string>> = { groups: 'TARGET GROUP', servers: 'UPSTREAM SERVER', clients: 'CLIENT' };

const ACTIVE: Column = { title: 'ACTIVE', width: 7, sort: 'active', cell: ({ active }) => ({ text: String(active) }) };
const RATE: Column = { title: 'NEW/S', width: 7, sort: 'rate', cell: ({ rate }) => ({ text: rateText(rate) }) };
const UP: Column = { title: 'UP/S', width: 8, sort: 'bytes', cell: ({ up }) => ({ text: bytesText(up) }) };
const DOWN: Column = { title: 'DOWN/S', width: 8, sort: 'bytes', cell: ({ down }) => ({ text: bytesText(down) }) };
const trouble = (title: string): Column => ({
  title,
  width: 8,
  sort: 'trouble',
  cell: (row) => ({ text: String(row.trouble), tone: row.trouble > 0 ? 'unsure' : undefined }),
});

/** Only where a group has a queue, or a client's connections wait for their turn: it takes its room from the names. */
const WAITING: Column = {
  title: 'WAITING',
  width: 7,
  cell: ({ waiting }) => (waiting === undefined ? { text: '-' } : { text: String(waiting), tone: waiting > 0 ? 'unsure' : undefined }),
};

const COLUMNS: Readonly<Record<TableName, readonly Column[]>> = {
  groups: [{ title: 'HEALTHY', width: 9, cell: groupHealth }, ACTIVE, RATE, trouble('FAILED'), UP, DOWN],
  servers: [{ title: 'HEALTH', width: 9, cell: serverHealth }, ACTIVE, RATE, trouble('FAILED'), UP, DOWN],
  clients: [{ title: 'LIMIT LEFT', width: 12, cell: headroomCell }, ACTIVE, RATE, trouble('REFUSED'), UP, DOWN],
};

/** Each fits into 80 columns. */
const KEYS = [
  'q quit  o overview  g groups  s servers  c clients  tab next  up/down scroll',
  'sort: n name  a active  r new/s  t failed, refused  b bytes  again: reverse',
] as const;
/** Screens lower than this need their lines for the tables. */
const ROWS_FOR_ALL_KEYS = 12;

/** The lines of the screen, top to bottom; `rows` may be infinite for one that is as long as its tables. */
export function topFrame(model: TopModel, addr: string, { columns, rows }: TerminalSize, paint: Paint): readonly string[] {
  const head = headLines(model, addr);
  const foot = footLines(rows);
  const room = rows - head.length - foot.length;
  const body = model.now === undefined ? [] : bodyLines(model, columns, room);
  const filler = Number.isFinite(rows) ? Array.from({ length: Math.max(0, room - body.length) }, (): Line => []) : [];
  const all = [...head, ...body, ...filler, ...foot];
  return all.slice(0, rows).map((line) => painted(line, columns, paint));
}

/** How many rows of a table a screen of this height shows: what a page key scrolls by. */
export function rowsShown({ rows }: TerminalSize): number {
  return Math.max(1, rows - 5 - footLines(rows).length);
}

/** None for one picture, which nobody presses a key for. */
function footLines(rows: number): readonly Line[] {
  if (!Number.isFinite(rows)) return [];
  return KEYS.slice(0, rows < ROWS_FOR_ALL_KEYS ? 1 : KEYS.length).map((text) => [{ text }]);
}

function headLines({ now, before, notice }: TopModel, addr: string): readonly Line[] {
  const title: Piece = { text: `lbctl top  ${addr}` };
  const status: Line = [{ text: notice, tone: 'bad' }];
  if (now === undefined) return [[title], [{ text: 'waiting for the first counters' }], [], status];
  const seconds = secondsBetween(before, now);
  const healthy = now.servers.filter(({ health }) => health === HealthState.HEALTHY).length;
  const reasons = reasonsText(now.byReason);
  const total = (of: 'bytesToUpstream' | 'bytesFromUpstream') => {
    const bytes = (stats: typeof now) => stats.servers.reduce((sum, { counters }) => sum + (counters?.[of] ?? 0n), 0n);
    return bytesText(before === undefined ? undefined : perSecond(bytes(before), bytes(now), seconds));
  };
  return [
    [title, { text: `  revision ${now.revision}  ${now.at === undefined ? '' : now.at.toISOString().slice(11, 19)}Z` }],
    [
      { text: `${now.activeConnections} active  ${rateText(perSecond(before?.accepted, now.accepted, seconds))} new/s  ` },
      { text: `${rateText(perSecond(before?.refused, now.refused, seconds))} refused/s  ` },
      { text: `up ${total('bytesToUpstream')}/s  down ${total('bytesFromUpstream')}/s  ` },
      {
        text: `${healthy}/${now.servers.length} healthy`,
        tone: healthy === now.servers.length ? 'good' : healthy === 0 ? 'bad' : 'unsure',
      },
    ],
    [{ text: reasons === '' ? '' : `since the start, ${reasons}` }],
    status,
  ];
}

function bodyLines(model: TopModel, columns: number, room: number): readonly Line[] {
  if (model.view !== 'overview') return tableLines(model, model.view, columns, room, model.scroll);
  const groups = rowsOf(model, 'groups').length + 1;
  const clients = rowsOf(model, 'clients').length + 1;
  // Each half gets what the other leaves.
  const half = Math.floor((room - 1) / 2);
  const forGroups = Number.isFinite(room) ? Math.max(half, room - 1 - clients) : groups;
  const top = tableLines(model, 'groups', columns, forGroups, 0);
  return [...top, [], ...tableLines(model, 'clients', columns, room - top.length - 1, 0)];
}

/** The header, then as many rows as there is room for; the last line says how many more there are. */
function tableLines(model: TopModel, table: TableName, columns: number, room: number, scroll: number): readonly Line[] {
  if (room < 1) return [];
  const rows = rowsOf(model, table);
  const isWaitedIn = rows.some(({ waiting }) => waiting !== undefined);
  const lines = isWaitedIn ? [...COLUMNS[table], WAITING] : COLUMNS[table];
  const nameWidth = Math.max(4, columns - lines.reduce((width, column) => width + column.width + 1, 0));
  const header: Line = [
    { text: fit(sortedTitle(TITLES[table], 'name', model), nameWidth) },
    ...lines.map((column) => ({ text: ` ${sortedTitle(column.title, column.sort, model).padStart(column.width)}` })),
  ];
  if (rows.length === 0) return [header, [{ text: '(none)' }]].slice(0, room);
  const first = Math.min(scroll, Math.max(0, rows.length - 1));
  const visible = rows.slice(first, first + room - 1);
  const hidden = rows.length - first - visible.length;
  const shown = hidden > 0 ? visible.slice(0, -1) : visible;
  const body = shown.map((row): Line => [{ text: fit(plainName(row.name), nameWidth) }, ...lines.map((column) => cellOf(column, row))]);
  const more: readonly Line[] = hidden > 0 && room > 1 ? [[{ text: `... ${hidden + 1} more` }]] : [];
  return [header, ...body, ...more];
}

function cellOf({ cell, width }: Column, row: Row): Piece {
  const { text, tone } = cell(row);
  return { text: ` ${(text.length > width ? `${text.slice(0, width - 1)}+` : text).padStart(width)}`, tone };
}

/** The column that sorts has a mark. */
function sortedTitle(title: string, sort: Sort | undefined, { sort: chosen, reversed }: TopModel): string {
  if (sort !== chosen) return title;
  return `${title}${reversed === (chosen === 'name') ? 'v' : '^'}`;
}

function groupHealth({ healthy = 0, servers = 0 }: Row): Piece {
  return { text: `${healthy}/${servers}`, tone: healthy === servers ? 'good' : healthy === 0 ? 'bad' : 'unsure' };
}

function serverHealth({ health, ejected }: Row): Piece {
  if (ejected === true) return { text: 'ejected', tone: 'bad' };
  if (health === HealthState.HEALTHY) return { text: 'healthy', tone: 'good' };
  return health === HealthState.UNHEALTHY ? { text: 'unhealthy', tone: 'bad' } : { text: 'unknown', tone: 'unsure' };
}

function headroomCell({ headroom }: Row): Piece {
  return headroom === undefined ? { text: '-' } : { text: headroom.text, tone: headroom.isUsedUp ? 'bad' : undefined };
}

function rateText(rate: number | undefined): string {
  return rate === undefined ? '-' : rate >= 9_999.5 ? `${Math.round(rate / 1_000)}k` : rate.toFixed(rate >= 99.95 ? 0 : 1);
}

function bytesText(rate: number | undefined): string {
  return rate === undefined ? '-' : formatBytes(rate);
}

/** How wide a terminal draws a character of another script is anybody's guess, so names are shown in ASCII. */
function plainName(name: string): string {
  return safeText(name).replace(/[^\x20-\x7e]/gu, '?');
}

function fit(text: string, width: number): string {
  return text.length > width ? `${text.slice(0, width - 1)}+` : text.padEnd(width);
}

function painted(line: Line, columns: number, paint: Paint): string {
  let left = columns;
  let text = '';
  for (const piece of line) {
    const shown = plainName(piece.text).slice(0, left);
    left -= shown.length;
    text += piece.tone === undefined || shown === '' ? shown : paint(shown, piece.tone);
  }
  return text.trimEnd();
}
