/** What the balancers cost beside HAProxy: a bar to the left of 1 is less, to the right more, in steps of twice as much. */
import { REFUSED, type Refused } from '../refusals.ts';
import { BUDGET, type Budgeted, type Report } from '../report.ts';
import type { Spread } from '../spread.ts';
import { line, round, svg, text, WIDTH } from './svg.ts';

const TITLES: Readonly<Record<Budgeted, string>> = {
  connections: 'CPU per mTLS connection',
  roundTrips: 'CPU per round trip of 100 bytes',
  bulk: 'CPU per GB, both directions',
  idleMemory: 'Memory per idle connection',
};
const [LEFT, RIGHT, ROW, TOP] = [120, 70, 20, 68];

interface Group {
  readonly title: string;
  readonly budget: number | undefined;
  readonly bars: readonly { readonly name: string; readonly ratio: Spread }[];
}

/** A group of bars for each figure of the budget and each kind of refusal; empty when nothing was measured beside HAProxy. */
export function ratiosPlot(report: Report): string | undefined {
  const groups = [...budgeted(report), ...refused(report)].filter(({ bars }) => bars.length > 0);
  const all = groups.flatMap(({ bars, budget }) => [...bars.flatMap(({ ratio }) => [ratio.min, ratio.max]), ...(budget ? [budget] : [])]);
  if (all.length === 0) return undefined;
  const least = Math.floor(Math.log2(Math.min(0.5, ...all)));
  const most = Math.ceil(Math.log2(Math.max(2, ...all)));
  const x = (value: number) => LEFT + ((Math.log2(value) - least) / (most - least)) * (WIDTH - LEFT - RIGHT);
  const ticks = Array.from({ length: most - least + 1 }, (_, step) => 2 ** (least + step));
  const parts: string[] = [];
  let top = TOP;
  for (const group of groups) {
    parts.push(...groupOf(group, top, ticks, x));
    top += group.bars.length * ROW + 48;
  }
  const { cpu } = report.machine;
  return svg(top, 'Costs of the balancers as ratios to HAProxy', [
    text(LEFT, 22, `HAProxy = 1, to the left is less. Bars: the median; lines: least to most over the rounds.`, 'quiet'),
    text(LEFT, 40, `Dashed: the budget of lbd. ${cpu}`, 'quiet'),
    ...parts,
  ]);
}

function groupOf({ title, budget, bars }: Group, top: number, ticks: readonly number[], x: (value: number) => number): readonly string[] {
  const bottom = top + 10 + bars.length * ROW;
  return [
    text(LEFT, top, title, 'title'),
    ...ticks.flatMap((tick) => [
      line(tick === 1 ? 'one' : 'grid', x(tick), top + 8, x(tick), bottom),
      text(x(tick), bottom + 13, String(tick), 'quiet', 'middle'),
    ]),
    ...(budget === undefined ? [] : [line('limit', x(budget), top + 8, x(budget), bottom)]),
    ...bars.flatMap(({ name, ratio }, index) => {
      const y = top + 12 + index * ROW;
      const [from, to] = [Math.min(x(1), x(ratio.median)), Math.max(x(1), x(ratio.median))];
      return [
        text(LEFT - 10, y + 12, name, '', 'end'),
        `<rect class="${name === 'lbd' ? 'own' : 'other'}" x="${round(from)}" y="${y}" width="${round(to - from)}" height="${ROW - 5}" rx="2"/>`,
        line('spread', x(ratio.min), y + 7.5, x(ratio.max), y + 7.5),
        text(Math.max(x(ratio.max), x(1)) + 8, y + 12, ratio.median.toFixed(2)),
      ];
    }),
  ];
}

function budgeted({ peers }: Report): readonly Group[] {
  const groupOf = (figure: Budgeted) => ({
    title: `${TITLES[figure]} (budget ${BUDGET[figure]})`,
    budget: BUDGET[figure],
    bars: Object.entries(peers).flatMap(([name, { ratiosToHaproxy }]) => barOf(name, ratiosToHaproxy[figure])),
  });
  const unresuming = {
    title: 'CPU per mTLS connection where nobody resumes sessions',
    budget: undefined,
    bars: Object.entries(peers).flatMap(([name, { connectionsWithoutResumption: each }]) => barOf(name, each?.ratioToHaproxy ?? null)),
  };
  return [groupOf('connections'), unresuming, ...(['roundTrips', 'bulk', 'idleMemory'] as const).map(groupOf)];
}

function refused({ refusals }: Report): readonly Group[] {
  return (Object.keys(REFUSED) as Refused[]).map((kind) => ({
    title: `CPU to refuse: ${REFUSED[kind]}`,
    budget: undefined,
    bars: refusals.filter((each) => each.refused === kind).flatMap(({ peer, ratioToHaproxy }) => barOf(peer, ratioToHaproxy)),
  }));
}

/** HAProxy itself is the line at 1. */
function barOf(name: string, ratio: Spread | null): Group['bars'] {
  return ratio === null || name === 'haproxy' ? [] : [{ name, ratio }];
}
