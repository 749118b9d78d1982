/** What the steps of a connection cost from 10 to 10,000: a dot for each size, so that a step that is flat is one dot. */
import { type Curve, isFlat, SIZES, type StepTable } from '../steps/curves.ts';
import { dot, line, svg, text, WIDTH } from './svg.ts';

const [LEFT, RIGHT, ROW, TOP] = [290, 60, 18, 64];
const TICKS = [100, 200, 500, 1_000, 2_000, 5_000, 10_000, 20_000, 50_000] as const;

/** One row a step, over a logarithmic axis of nanoseconds. */
export function stepsPlot(tables: readonly StepTable[]): string {
  const all = tables.flatMap(({ curves }) => curves.flatMap(({ costs }) => costs.map(({ nanoseconds }) => nanoseconds)));
  const ticks = TICKS.filter((tick) => tick * 2 > Math.min(...all) && tick < Math.max(...all) * 2.5);
  const [least, most] = [Math.log10(Math.min(ticks[0] ?? 1, ...all)), Math.log10(Math.max(ticks.at(-1) ?? 1, ...all))];
  const x = (value: number) => LEFT + ((Math.log10(value) - least) / (most - least)) * (WIDTH - LEFT - RIGHT);
  const parts: string[] = [];
  let top = TOP;
  for (const { title, of, curves } of tables) {
    const bottom = top + 16 + curves.length * ROW;
    parts.push(
      text(16, top, shorten(title), 'title'),
      text(WIDTH - 16, top, `ns, by ${of}`, 'quiet', 'end'),
      ...ticks.flatMap((tick) => [
        line('grid', x(tick), top + 10, x(tick), bottom),
        text(x(tick), bottom + 12, tick.toLocaleString('en'), 'quiet', 'middle'),
      ]),
      ...curves.map((curve, index) => rowOf(curve, top + 22 + index * ROW, x)),
    );
    top = bottom + 46;
  }
  return svg(top - 16, 'Nanoseconds of the steps of a connection, by the size of the state', [
    text(
      16,
      22,
      `Nanoseconds of CPU time a step, at ${SIZES.map((size) => size.toLocaleString('en')).join(', ')}: small dot to large.`,
      'quiet',
    ),
    text(16, 40, 'Orange: more than twice as much at the last size as at the first.', 'quiet'),
    ...parts,
  ]);
}

function rowOf(curve: Curve, y: number, x: (value: number) => number): string {
  const values = curve.costs.map(({ nanoseconds }) => nanoseconds);
  const style = isFlat(curve) ? '' : ' grows';
  return [
    text(LEFT - 12, y + 4, curve.step, '', 'end'),
    line(`reach${style}`, x(Math.min(...values)), y, x(Math.max(...values)), y),
    ...values.map((value, index) => dot(style === '' ? 'own' : 'grows', x(value), y, 2 + index)),
  ].join('');
}

/** What goes before the explanation. */
function shorten(title: string): string {
  return title.split(/[:,]/)[0] ?? title;
}
