/**
 * The plots of docs/limits.md, drawn from what the limiters themselves decide. `node scripts/limit-plots.ts` writes them; a test fails
 * when they are out of date.
 */
import { writeFileSync } from 'node:fs';
import path from 'node:path';
import { RATE_ALGORITHMS, type RateAlgorithm } from '../src/domain/model.ts';
import { limiterFor } from '../src/domain/ratelimit/algorithms.ts';

const FOLDER = path.join(import.meta.dirname, '..', 'docs', 'images');

/** 10 connections a second, and buckets of 10. */
const LIMIT = 10;
const WINDOW_MS = 1000;

/** The files, by name, and what is in them. */
export const PLOTS: ReadonlyMap<string, () => string> = new Map([
  ['window-boundary.svg', boundaryPlot],
  ['all-algorithms.svg', arrivalsPlot],
]);

interface Decision {
  readonly atMs: number;
  readonly admitted: boolean;
}

/** What becomes of connections that come at these times, in order. */
export function decisionsOf(algorithm: RateAlgorithm, times: readonly number[]): readonly Decision[] {
  const limiter = limiterFor({ algorithm, limit: LIMIT, windowMs: WINDOW_MS, burst: LIMIT });
  const cells = new Float64Array(limiter.words);
  return times.map((atMs) => ({ atMs, admitted: limiter.admit(cells, atMs).admitted }));
}

/** The most that were admitted in any `ms`, wherever they begin. */
export function mostInAny(ms: number, decisions: readonly Decision[]): number {
  const admitted = decisions.filter((decision) => decision.admitted).map(({ atMs }) => atMs);
  return Math.max(0, ...admitted.map((from) => admitted.filter((atMs) => atMs >= from && atMs < from + ms).length));
}

/** 20 connections right before the boundary of two windows, and 20 right after it; then one each 50 ms. */
export const AROUND_THE_BOUNDARY: readonly number[] = [
  ...Array.from({ length: 20 }, (_, index) => 900 + index * 5),
  ...Array.from({ length: 20 }, (_, index) => 1000 + index * 5),
  ...Array.from({ length: 38 }, (_, index) => 1100 + index * 50),
];

/** A burst, a silence, a steady flow at twice the limit, a silence, and a burst in the middle of a window. */
const MIXED: readonly number[] = [
  ...Array.from({ length: 25 }, (_, index) => 200 + index * 4),
  ...Array.from({ length: 50 }, (_, index) => 1500 + index * 50),
  ...Array.from({ length: 25 }, (_, index) => 5500 + index * 4),
  ...Array.from({ length: 25 }, (_, index) => 6050 + index * 4),
];

function boundaryPlot(): string {
  return plot('40 connections within 200 ms around the boundary of two windows; 10 a second are allowed', AROUND_THE_BOUNDARY, 3000, [
    'fixedWindow',
    'slidingWindowCounter',
    'slidingWindowLog',
  ]);
}

function arrivalsPlot(): string {
  return plot('The same arrivals under each algorithm; 10 a second are allowed, buckets hold 10', MIXED, 7000, RATE_ALGORITHMS);
}

const [WIDTH, LEFT, RIGHT, LANE, TOP] = [960, 190, 190, 64, 44];

/** A lane for each algorithm: a bar up for each admission, down for each refusal, over 50 ms each; windows are dashed. */
function plot(title: string, times: readonly number[], untilMs: number, algorithms: readonly RateAlgorithm[]): string {
  const height = TOP + algorithms.length * LANE + 40;
  const x = (ms: number) => rounded(LEFT + (ms / untilMs) * (WIDTH - LEFT - RIGHT));
  const bottom = TOP + algorithms.length * LANE;
  const seconds = Array.from({ length: untilMs / WINDOW_MS + 1 }, (_, second) => second);
  const parts = [
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${height}" role="img" font-family="sans-serif" font-size="13">`,
    `<title>${title}</title>`,
    `<rect width="${WIDTH}" height="${height}" fill="#ffffff"/>`,
    `<text x="${LEFT}" y="22" font-weight="bold">${title}</text>`,
    ...seconds.map(
      (second) =>
        `<line x1="${x(second * WINDOW_MS)}" y1="${TOP - 8}" x2="${x(second * WINDOW_MS)}" y2="${bottom}" stroke="#999999" stroke-dasharray="3 3"/>` +
        `<text x="${x(second * WINDOW_MS)}" y="${bottom + 18}" text-anchor="middle">${second} s</text>`,
    ),
    ...algorithms.map((algorithm, index) => lane(algorithm, decisionsOf(algorithm, times), TOP + index * LANE + LANE / 2, x)),
    `<text x="${LEFT}" y="${bottom + 36}" fill="#1a7f37">▲ admitted</text><text x="${LEFT + 90}" y="${bottom + 36}" fill="#b35900">▼ refused, in each 50 ms</text>`,
    '</svg>',
  ];
  return `${parts.join('\n')}\n`;
}

const STEP_MS = 50;
const PER_CONNECTION = 2.4;

function lane(algorithm: RateAlgorithm, decisions: readonly Decision[], middle: number, x: (ms: number) => number): string {
  const counts = new Map<number, { admitted: number; refused: number }>();
  for (const { atMs, admitted } of decisions) {
    const step = Math.floor(atMs / STEP_MS);
    const count = counts.get(step) ?? { admitted: 0, refused: 0 };
    counts.set(step, count);
    count[admitted ? 'admitted' : 'refused']++;
  }
  const bars = [...counts].map(([step, { admitted, refused }]) => {
    const [from, width] = [x(step * STEP_MS), rounded(x((step + 1) * STEP_MS) - x(step * STEP_MS) - 0.6)];
    const [up, down] = [rounded(admitted * PER_CONNECTION), rounded(refused * PER_CONNECTION)];
    return (
      (up === 0 ? '' : `<rect x="${from}" y="${rounded(middle - up)}" width="${width}" height="${up}" fill="#1a7f37"/>`) +
      (down === 0 ? '' : `<rect x="${from}" y="${middle}" width="${width}" height="${down}" fill="#e69138"/>`)
    );
  });
  const total = decisions.filter(({ admitted }) => admitted).length;
  return [
    `<text x="12" y="${middle + 4}">${algorithm}</text>`,
    `<line x1="${LEFT}" y1="${middle}" x2="${WIDTH - RIGHT}" y2="${middle}" stroke="#444444"/>`,
    ...bars,
    `<text x="${WIDTH - RIGHT + 12}" y="${middle - 4}">${total} of ${decisions.length} admitted,</text>`,
    `<text x="${WIDTH - RIGHT + 12}" y="${middle + 13}">at most ${mostInAny(200, decisions)} in 0.2 s, ${mostInAny(WINDOW_MS, decisions)} in 1 s</text>`,
  ].join('\n');
}

function rounded(value: number): number {
  return Math.round(value * 100) / 100;
}

if (import.meta.main) for (const [name, draw] of PLOTS) writeFileSync(path.join(FOLDER, name), draw());
