/** Costs by size, as a table in which what grows stands out. */
import type { Section } from '../section.ts';
import { costsOf, type Run, type StepCost } from './cost.ts';

/** Of servers, clients or addresses. */
export const SIZES = [10, 100, 1_000, 10_000] as const;

/** A step that costs more than so many times as much at the last size as at the first is not flat. */
const FLAT_WITHIN = 2;

/** One step, at each size. */
export interface Curve {
  readonly step: string;
  readonly costs: readonly StepCost[];
}

/** Steps that grow, if they do, with the same thing. */
export interface StepTable {
  readonly id: string;
  readonly title: string;
  readonly of: 'servers' | 'clients' | 'addresses';
  readonly curves: readonly Curve[];
}

/** Measures a step at every size; `runAt` gives what does it. */
export async function curveOf(step: string, runAt: (size: number) => Run): Promise<Curve> {
  return { step, costs: await costsOf(SIZES.map((size) => ({ run: runAt(size), touching: size }))) };
}

/** Whether the step costs at the last size at most twice what it costs at the first. */
export function isFlat(curve: Curve): boolean {
  return growthOf(curve) <= FLAT_WITHIN;
}

function growthOf({ costs }: Curve): number {
  const [first, last] = [costs[0]?.nanoseconds ?? Number.NaN, costs.at(-1)?.nanoseconds ?? Number.NaN];
  return last / first;
}

/** Nanoseconds by size and the bytes at the last one; a row that is not flat is bold and says so. */
export function curveSection({ id, title, of, curves }: StepTable): Section {
  const columns = ['ns a step', ...SIZES.map((size) => `${size.toLocaleString('en')} ${of}`), 'last : first', 'bytes allocated'];
  const rows = curves.map((curve) => {
    const flat = isFlat(curve);
    const mark = (text: string) => (flat ? text : `**${text}**`);
    const costs = curve.costs.map(({ nanoseconds }) => mark(nanoseconds.toLocaleString('en')));
    const bytes = curve.costs.at(-1)?.bytes ?? Number.NaN;
    return [mark(curve.step), ...costs, mark(`${growthOf(curve).toFixed(2)}${flat ? '' : ' not flat'}`), bytes.toLocaleString('en')];
  });
  return { id, title, columns, rows };
}
