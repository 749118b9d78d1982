/** The report as pictures: SVG by hand, with colours that can be told on white and on black. */
import { mkdir, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { BUDGET, type Budgeted, type Report } from './report.ts';
import type { ScalePoint } from './scale.ts';

const WIDTH = 760;
const STYLE = `<style>
  text { font: 13px system-ui, sans-serif; fill: #24292f } .title { font-weight: 600; font-size: 15px } .quiet { fill: #59636e; font-size: 12px }
  .bar { fill: #8c959f } .own { fill: #0969da } .line { stroke: #8c959f; fill: none } .curve { stroke: #0969da; stroke-width: 2; fill: none }
  .spread { stroke: #24292f } .limit { stroke: #bc4c00; stroke-dasharray: 4 3 }
  @media (prefers-color-scheme: dark) {
    text { fill: #e6edf3 } .quiet { fill: #9198a1 } .bar { fill: #6e7681 } .own { fill: #4493f8 } .curve { stroke: #4493f8 } .spread { stroke: #e6edf3 } .limit { stroke: #f0883e }
  }
</style>`;

const TITLES: Readonly<Record<Budgeted, string>> = {
  connections: 'CPU per mTLS connection',
  roundTrips: 'CPU per round trip of 100 bytes',
  bulk: 'CPU per GB, both directions',
  idleMemory: 'memory per idle connection',
};

/** Writes `ratios.svg`, and `scale.svg` where that was measured; gives their paths. */
export async function writePlots(report: Report, folder: string): Promise<readonly string[]> {
  const plots = [
    { name: 'ratios.svg', text: ratiosPlot(report) },
    ...(report.scale.length === 0 ? [] : [{ name: 'scale.svg', text: scalePlot(report.scale) }]),
  ];
  await mkdir(folder, { recursive: true });
  const files = plots.map(({ name }) => path.join(folder, name));
  await Promise.all(plots.map(({ text }, index) => writeFile(files[index] ?? '', text)));
  return files;
}

/** One group of bars for each figure of the budget; HAProxy is 1. */
function ratiosPlot({ peers, machine, rounds }: Report): string {
  const [left, right, row] = [110, 110, 20];
  const figures: readonly Budgeted[] = ['connections', 'roundTrips', 'bulk', 'idleMemory'];
  const names = Object.keys(peers);
  const most = Math.max(2, ...figures.flatMap((figure) => names.map((name) => peers[name]?.ratiosToHaproxy[figure]?.max ?? 0)));
  const x = (value: number) => left + (value / most) * (WIDTH - left - right);
  const groupHeight = names.length * row + 44;
  const groups = figures.map((figure, index) => {
    const top = 56 + index * groupHeight;
    const bars = names.map((name, line) => {
      const ratio = peers[name]?.ratiosToHaproxy[figure];
      const y = top + 14 + line * row;
      if (!ratio) return text(left - 8, y + 12, name, 'quiet', 'end');
      return [
        text(left - 8, y + 12, name, '', 'end'),
        `<rect class="${name === 'lbd' ? 'own' : 'bar'}" x="${left}" y="${y}" width="${round(x(ratio.median) - left)}" height="${row - 5}" rx="2"/>`,
        `<path class="spread" d="M${round(x(ratio.min))} ${y + 7.5}H${round(x(ratio.max))}"/>`,
        text(x(ratio.max) + 8, y + 12, ratio.median.toFixed(2), '', 'start'),
      ].join('');
    });
    const bottom = top + 14 + names.length * row;
    const limit = x(BUDGET[figure]);
    return [
      text(left, top + 4, `${TITLES[figure]} (budget ${BUDGET[figure]})`, 'title', 'start'),
      ...bars,
      `<path class="line" d="M${round(x(1))} ${top + 12}V${bottom}"/><path class="limit" d="M${round(limit)} ${top + 12}V${bottom}"/>`,
    ].join('\n');
  });
  const about = `HAProxy = 1, less is better; median and spread of ${rounds.completed} rounds; ${machine.cpu}`;
  return svg(64 + figures.length * groupHeight, 'Costs of the balancers as ratios to HAProxy', [
    text(left, 24, about, 'quiet', 'start'),
    ...groups,
  ]);
}

/** A small curve for each figure, over a logarithmic axis. */
function scalePlot(points: readonly ScalePoint[]): string {
  const curves = [...Map.groupBy(points, ({ of, figure }) => `${figure}, by ${of}`)];
  const height = 130;
  const parts = curves.map(([title, curve], index) => {
    const top = 20 + index * height;
    const sizes = curve.map(({ size }) => Math.log10(size));
    const [least, most] = [Math.min(...sizes), Math.max(...sizes)];
    const highest = Math.max(...curve.map(({ value }) => value)) || 1;
    const x = (size: number) => 60 + (most === least ? 0 : (Math.log10(size) - least) / (most - least)) * (WIDTH - 140);
    const y = (value: number) => top + 84 - (value / highest) * 50;
    const path = curve.map(({ size, value }, step) => `${step === 0 ? 'M' : 'L'}${round(x(size))} ${round(y(value))}`).join('');
    return [
      text(60, top + 8, title, 'title', 'start'),
      `<path class="line" d="M60 ${top + 84}H${WIDTH - 60}"/><path class="curve" d="${path}"/>`,
      ...curve.flatMap(({ size, value }) => [
        `<circle class="own" cx="${round(x(size))}" cy="${round(y(value))}" r="3.5"/>`,
        text(x(size), y(value) - 8, String(value), '', 'middle'),
        text(x(size), top + 100, size.toLocaleString('en'), 'quiet', 'middle'),
      ]),
    ].join('\n');
  });
  return svg(30 + curves.length * height, 'How the costs of lbd grow', parts);
}

function svg(height: number, title: string, parts: readonly string[]): string {
  const open = `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${height}" role="img" aria-label="${title}">`;
  return `${[open, `<title>${title}</title>`, STYLE, ...parts, '</svg>'].join('\n')}\n`;
}

function text(x: number, y: number, words: string, style: string, anchor: 'start' | 'middle' | 'end'): string {
  const escaped = words.replaceAll('&', '&amp;').replaceAll('<', '&lt;');
  return `<text x="${round(x)}" y="${round(y)}" class="${style}" text-anchor="${anchor}">${escaped}</text>`;
}

function round(value: number): number {
  return Math.round(value * 10) / 10;
}
