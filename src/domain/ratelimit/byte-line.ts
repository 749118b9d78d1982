import type { Bandwidth } from '../model.ts';
import type { Cells } from './limiter.ts';

/** Which way bytes go: from the client, or to it. */
export const DIRECTIONS = ['upload', 'download'] as const;
export type Direction = (typeof DIRECTIONS)[number];

/** How fast they may go that way; undefined: as fast as they come. */
export function bytesPerSecondOf(bandwidth: Bandwidth | undefined, direction: Direction): number | undefined {
  return direction === 'upload' ? bandwidth?.uploadBytesPerSecond : bandwidth?.downloadBytesPerSecond;
}

/**
 * How fast a client's bytes pass in one direction: a line that the chunks of all its connections stand in, whichever worker they came
 * to. Each chunk is given the place behind all that came before it, counted in bytes, and passes when the line has been served up to
 * its beginning: virtual scheduling, as in the Generic Cell Rate Algorithm (ITU-T I.371), over bytes. A connection brings its next
 * chunk when the one before has passed, so connections take turns.
 *
 * While nobody waits, the line is served ahead by at most {@link CREDIT_MS} worth. So in any time `t` there pass at most
 * `rate * (t + CREDIT_MS)` bytes and one chunk. Places are bytes and not times: when the rate is edited, who waits keeps the
 * place, and the line moves at the new rate from then on.
 */
export interface ByteRule {
  /** Of the state that says so: an older one does not undo a newer one. */
  readonly revision: number;
  readonly bytesPerSecond: number;
}

/** How much may pass at once after a silence, as time at the rate: what a timer that is late must not lose. */
export const CREDIT_MS = 100;

/** How many cells a line takes, all zero at first. */
export const LINE_WORDS = 5;

/** Up to which byte the line has been served, and when that was settled. */
const SERVED = 0;
const SETTLED_AT = 1;
/** Where the next chunk's place begins. */
const END = 2;
const RATE = 3;
const REVISION = 4;

/** Takes the place of a chunk of so many bytes, and returns where it begins. */
export function joinLine(cells: Cells, rule: ByteRule, bytes: number, nowMs: number): number {
  settle(cells, rule, nowMs);
  const place = cells[END] ?? 0;
  cells[END] = place + bytes;
  return place;
}

/** How long until the chunk at this place may pass; 0: now. */
export function waitAt(cells: Cells, rule: ByteRule, place: number, nowMs: number): number {
  settle(cells, rule, nowMs);
  const ahead = place - (cells[SERVED] ?? 0);
  return ahead <= 0 ? 0 : (ahead * 1000) / (cells[RATE] ?? rule.bytesPerSecond);
}

/** Gives back the place of a chunk that will not pass. Those behind it keep theirs; who comes next gains what it leaves. */
export function leaveLine(cells: Cells, bytes: number): void {
  cells[END] = (cells[END] ?? 0) - bytes;
}

/** How many bytes could pass now without waiting; negative: so many wait, or have passed and are not made up for. Changes nothing. */
export function lineHeadroom(cells: Cells, rule: ByteRule, nowMs: number): number {
  return servedBy(cells, rule, nowMs) - (cells[END] ?? 0);
}

function settle(cells: Cells, rule: ByteRule, nowMs: number): void {
  cells[SERVED] = servedBy(cells, rule, nowMs);
  // A clock that was read late must not make the time since then pass twice.
  cells[SETTLED_AT] = Math.max(nowMs, cells[SETTLED_AT] ?? 0);
  if (rule.revision < (cells[REVISION] ?? 0)) return;
  cells[REVISION] = rule.revision;
  cells[RATE] = rule.bytesPerSecond;
}

function servedBy(cells: Cells, rule: ByteRule, nowMs: number): number {
  const { [SERVED]: served = 0, [SETTLED_AT]: settledMs = 0, [END]: end = 0, [RATE]: rate = 0 } = cells;
  if (rate === 0) return end + creditOf(rule.bytesPerSecond);
  const passed = Math.max(0, nowMs - settledMs);
  return Math.min(served + (rate * passed) / 1000, end + creditOf(rate));
}

function creditOf(bytesPerSecond: number): number {
  return (bytesPerSecond * CREDIT_MS) / 1000;
}
