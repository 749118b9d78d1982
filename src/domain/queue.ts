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

/** Connections that can wait at once, over all groups and workers: the table is read from end to end at each turn. */
export const MOST_WAITING = 16_384;

/** How many words a table for so many connections takes; all zero, nobody waits. */
export function queueWords(mostWaiting: number): number {
  return HEAD.width + mostWaiting * ROW.width;
}

/**
 * Waits from now on, in the row that begins at the returned word; undefined when `maxLength` connections wait for the group already,
 * or the table is full. A client that waits already keeps its turn, another one comes after all that wait.
 */
export function join(cells: QueueCells, { holder, group, client }: Waiting, maxLength: number): number | undefined {
  const end = endOf(cells);
  let free: number | undefined;
  let length = 0;
  let turn: number | undefined;
  for (let row = HEAD.width; row < end; row += ROW.width) {
    if (cells[row + ROW.holder] === 0) free ??= row;
    else if (cells[row + ROW.group] === group) {
      length++;
      if (cells[row + ROW.client] === client) turn = get(cells, row + ROW.turn);
    }
  }
  const row = free ?? end;
  if (length >= maxLength || row + ROW.width > cells.length) return undefined;
  const arrival = nextTicket(cells);
  cells[row + ROW.group] = group;
  cells[row + ROW.client] = client;
  cells[row + ROW.turn] = turn ?? arrival;
  cells[row + ROW.arrival] = arrival;
  cells[row + ROW.holder] = holder + 1;
  if (row === end) cells[HEAD.rows] = get(cells, HEAD.rows) + 1;
  return row;
}

/** Waits no longer, without having been served. */
export function leave(cells: QueueCells, row: number): void {
  cells[row + ROW.holder] = 0;
  let end = endOf(cells);
  while (end > HEAD.width && cells[end - ROW.width + ROW.holder] === 0) end -= ROW.width;
  cells[HEAD.rows] = (end - HEAD.width) / ROW.width;
}

/** Gets the place that it waited for: the client's other connections wait behind all other clients now. */
export function serve(cells: QueueCells, row: number): void {
  const [group, client] = [get(cells, row + ROW.group), get(cells, row + ROW.client)];
  const turn = nextTicket(cells);
  eachFor(cells, group, (other) => {
    if (cells[other + ROW.client] === client) cells[other + ROW.turn] = turn;
  });
  leave(cells, row);
}

/** Whose turn it is; undefined: nobody waits for the group. */
export function first(cells: QueueCells, group: number): { readonly row: number; readonly holder: number } | undefined {
  let best: number | undefined;
  eachFor(cells, group, (row) => {
    if (best === undefined || isBefore(cells, row, best)) best = row;
  });
  return best === undefined ? undefined : { row: best, holder: get(cells, best + ROW.holder) - 1 };
}

/** How many would be served before a connection of the client that joined now, if nobody else came. */
export function aheadOf(cells: QueueCells, group: number, client: number): number {
  const lines = new Map<number, { readonly length: number; readonly turn: number }>();
  eachFor(cells, group, (row) => {
    const owner = get(cells, row + ROW.client);
    lines.set(owner, { length: (lines.get(owner)?.length ?? 0) + 1, turn: get(cells, row + ROW.turn) });
  });
  const own = lines.get(client) ?? { length: 0, turn: Number.POSITIVE_INFINITY };
  let ahead = own.length;
  for (const [other, { length, turn }] of lines) if (other !== client) ahead += Math.min(length, own.length + (turn < own.turn ? 1 : 0));
  return ahead;
}

/** Takes out everybody whom this holder held, because it is gone. */
export function leaveAll(cells: QueueCells, holder: number): void {
  for (let row = endOf(cells) - ROW.width; row >= HEAD.width; row -= ROW.width)
    if (cells[row + ROW.holder] === holder + 1) leave(cells, row);
}

/** How many wait for each group; groups that nobody waits for are left out. */
export function lengths(cells: QueueCells): ReadonlyMap<number, number> {
  const counts = new Map<number, number>();
  for (let row = HEAD.width; row < endOf(cells); row += ROW.width) {
    if (cells[row + ROW.holder] === 0) continue;
    const group = get(cells, row + ROW.group);
    counts.set(group, (counts.get(group) ?? 0) + 1);
  }
  return counts;
}

/** Every choice goes through here, under the lock: a loop over words, without a generator. */
function eachFor(cells: QueueCells, group: number, visit: (row: number) => void): void {
  const end = endOf(cells);
  for (let row = HEAD.width; row < end; row += ROW.width) if (cells[row + ROW.group] === group && cells[row + ROW.holder] !== 0) visit(row);
}

function isBefore(cells: QueueCells, row: number, other: number): boolean {
  const turns = get(cells, row + ROW.turn) - get(cells, other + ROW.turn);
  return turns === 0 ? get(cells, row + ROW.arrival) < get(cells, other + ROW.arrival) : turns < 0;
}

function nextTicket(cells: QueueCells): number {
  const ticket = get(cells, HEAD.tickets) + 1;
  cells[HEAD.tickets] = ticket;
  return ticket;
}

/** The word after the last row in use. */
function endOf(cells: QueueCells): number {
  return HEAD.width + get(cells, HEAD.rows) * ROW.width;
}

function get(cells: QueueCells, word: number): number {
  return cells[word] ?? 0;
}
