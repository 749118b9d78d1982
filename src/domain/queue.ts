/**
 * Where connections wait for a place on a server: clients take turns, and the connections of one client are served in the order in
 * which they came (round robin over first come, first served; the fair queueing of Nagle, RFC 970, with one queue a client). All groups
 * of all workers wait in one table of cells, which every worker sees, so turns, lengths and places in the queue are exact over workers.
 */

/** The table: two words, then a row for each connection that waits. Whoever reads or writes it must be alone with it meanwhile. */
export type QueueCells = Float64Array;

/** One of those who wait: who holds the connection (a worker's lane), what for and for whom (slots of the group and the client). */
export interface Waiting {
  readonly holder: number;
  readonly group: number;
  readonly client: number;
}

const HEAD = { tickets: 0, rows: 1, width: 2 } as const;
/** `holder` is written last, and is the number plus 1; 0: the row is free. */
const ROW = { holder: 0, group: 1, client: 2, turn: 3, arrival: 4, width: 5 } as const;

/** How many words a table for so many connections takes; all zero, nobody waits. */
export function queueWords(mostWaiting: number): number {
  return HEAD.width + mostWaiting * ROW.width;
}

/**
 * Waits from now on; the number of its row, or undefined when `maxLength` connections wait for the group already, or the table is full.
 * A client that waits already keeps its turn, another one comes after all that wait.
 */
export function join(cells: QueueCells, { holder, group, client }: Waiting, maxLength: number): number | undefined {
  let free: number | undefined;
  let length = 0;
  let turn: number | undefined;
  const rows = get(cells, HEAD.rows);
  for (let row = 0; row < rows; row++) {
    if (field(cells, row, 'holder') === 0) free ??= row;
    else if (field(cells, row, 'group') === group) {
      length++;
      if (field(cells, row, 'client') === client) turn = field(cells, row, 'turn');
    }
  }
  const row = free ?? rows;
  if (length >= maxLength || queueWords(row + 1) > cells.length) return undefined;
  const arrival = nextTicket(cells);
  setField(cells, row, 'group', group);
  setField(cells, row, 'client', client);
  setField(cells, row, 'turn', turn ?? arrival);
  setField(cells, row, 'arrival', arrival);
  setField(cells, row, 'holder', holder + 1);
  if (row === rows) cells[HEAD.rows] = rows + 1;
  return row;
}

/** Waits no longer, without having been served. */
export function leave(cells: QueueCells, row: number): void {
  setField(cells, row, 'holder', 0);
  let rows = get(cells, HEAD.rows);
  while (rows > 0 && field(cells, rows - 1, 'holder') === 0) rows--;
  cells[HEAD.rows] = rows;
}

/** Gets the place that it waited for: the client's other connections wait behind all other clients now. */
export function serve(cells: QueueCells, row: number): void {
  const [group, client] = [field(cells, row, 'group'), field(cells, row, 'client')];
  const turn = nextTicket(cells);
  for (const other of waitingFor(cells, group)) if (field(cells, other, 'client') === client) setField(cells, other, 'turn', turn);
  leave(cells, row);
}

/** Whose turn it is; undefined: nobody waits for the group. */
export function first(cells: QueueCells, group: number): { readonly row: number; readonly holder: number } | undefined {
  let best: number | undefined;
  for (const row of waitingFor(cells, group)) if (best === undefined || isBefore(cells, row, best)) best = row;
  return best === undefined ? undefined : { row: best, holder: field(cells, best, 'holder') - 1 };
}

/** How many would be served before a connection of the client that joined now, if nobody else came. */
export function aheadOf(cells: QueueCells, group: number, client: number): number {
  const lines = new Map<number, { length: number; turn: number }>();
  for (const row of waitingFor(cells, group)) {
    const line = lines.get(field(cells, row, 'client')) ?? { length: 0, turn: field(cells, row, 'turn') };
    lines.set(field(cells, row, 'client'), { ...line, length: line.length + 1 });
  }
  const own = lines.get(client) ?? { length: 0, turn: Number.POSITIVE_INFINITY };
  let ahead = own.length;
  for (const [other, { length, turn }] of lines) if (other !== client) ahead += Math.min(length, own.length + (turn < own.turn ? 1 : 0));
  return ahead;
}

/** Takes out everybody whom this holder held, because it is gone. */
export function leaveAll(cells: QueueCells, holder: number): void {
  for (let row = get(cells, HEAD.rows) - 1; row >= 0; row--) if (field(cells, row, 'holder') === holder + 1) leave(cells, row);
}

/** How many wait for each group; groups that nobody waits for are left out. */
export function lengths(cells: QueueCells): ReadonlyMap<number, number> {
  const counts = new Map<number, number>();
  for (let row = 0; row < get(cells, HEAD.rows); row++) {
    if (field(cells, row, 'holder') === 0) continue;
    const group = field(cells, row, 'group');
    counts.set(group, (counts.get(group) ?? 0) + 1);
  }
  return counts;
}

function* waitingFor(cells: QueueCells, group: number): Generator<number, void, undefined> {
  const rows = get(cells, HEAD.rows);
  for (let row = 0; row < rows; row++) if (field(cells, row, 'holder') !== 0 && field(cells, row, 'group') === group) yield row;
}

function isBefore(cells: QueueCells, row: number, other: number): boolean {
  const turns = field(cells, row, 'turn') - field(cells, other, 'turn');
  return turns === 0 ? field(cells, row, 'arrival') < field(cells, other, 'arrival') : turns < 0;
}

function nextTicket(cells: QueueCells): number {
  const ticket = get(cells, HEAD.tickets) + 1;
  cells[HEAD.tickets] = ticket;
  return ticket;
}

function field(cells: QueueCells, row: number, name: Exclude<keyof typeof ROW, 'width'>): number {
  return get(cells, HEAD.width + row * ROW.width + ROW[name]);
}

function setField(cells: QueueCells, row: number, name: Exclude<keyof typeof ROW, 'width'>, value: number): void {
  cells[HEAD.width + row * ROW.width + ROW[name]] = value;
}

function get(cells: QueueCells, word: number): number {
  return cells[word] ?? 0;
}
