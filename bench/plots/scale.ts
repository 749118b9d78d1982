/** How the costs of lbd grow with what it has to know and to hold: a small curve for each figure, over a logarithmic axis. */
import type { ScalePoint } from '../scale.ts';
import { dot, line, round, svg, text, WIDTH } from './svg.ts';

const [COLUMNS, HEIGHT, TOP, GAP, PLOT] = [2, 172, 16, 40, 64];

/** Two curves a row. */
export function scalePlot(points: readonly ScalePoint[]): string {
  const grouped = Map.groupBy(points, ({ of, figure }) => `${figure}\n${of}`);
  const curves = [...grouped.values()].filter(({ length }) => length > 1);
  const width = (WIDTH - GAP * (COLUMNS + 1)) / COLUMNS;
  const parts = curves.map((curve, index) => {
    const left = GAP + (index % COLUMNS) * (width + GAP);
    return curveOf(curve, left, width, TOP + Math.floor(index / COLUMNS) * HEIGHT);
  });
  return svg(TOP + Math.ceil(curves.length / COLUMNS) * HEIGHT, 'How the costs of lbd grow', parts);
}

function curveOf(curve: readonly ScalePoint[], left: number, width: number, top: number): string {
  const sizes = curve.map(({ size }) => Math.log10(size));
  const [least, most] = [Math.min(...sizes), Math.max(...sizes)];
  const highest = Math.max(...curve.map(({ value }) => value)) || 1;
  const [inset, bottom] = [24, top + 58 + PLOT];
  const x = (size: number) => left + inset + (most === least ? 0.5 : (Math.log10(size) - least) / (most - least)) * (width - 2 * inset);
  const y = (value: number) => bottom - (value / highest) * (PLOT - 6);
  const path = curve.map(({ size, value }, step) => `${step === 0 ? 'M' : 'L'}${round(x(size))} ${round(y(value))}`).join('');
  return [
    text(left, top + 10, curve[0]?.figure ?? '', 'heading'),
    text(left, top + 27, `by ${curve[0]?.of ?? ''}`, 'quiet'),
    line('grid', left, bottom, left + width, bottom),
    `<path class="curve" d="${path}"/>`,
    ...curve.flatMap(({ size, value }) => [
      dot('own', x(size), y(value), 3.5),
      text(x(size), y(value) - 8, value.toLocaleString('en'), '', 'middle'),
      text(x(size), bottom + 16, size.toLocaleString('en'), 'quiet', 'middle'),
    ]),
  ].join('\n');
}
