/** The report as pictures. */
import { mkdir, writeFile } from 'node:fs/promises';
import path from 'node:path';
import type { Report } from '../report.ts';
import { ratiosPlot } from './ratios.ts';
import { scalePlot } from './scale.ts';
import { stepsPlot } from './steps.ts';

/** Names of files and what is in them: `ratios.svg`, `scale.svg` and `steps.svg`, of what was measured. */
export function plotsOf(report: Report): ReadonlyMap<string, string> {
  const ratios = ratiosPlot(report);
  return new Map([
    ...(ratios === undefined ? [] : [['ratios.svg', ratios] as const]),
    ...(report.scale.length === 0 ? [] : [['scale.svg', scalePlot(report.scale)] as const]),
    ...(report.steps.length === 0 ? [] : [['steps.svg', stepsPlot(report.steps)] as const]),
  ]);
}

/** Writes them; gives their paths. */
export async function writePlots(report: Report, folder: string): Promise<readonly string[]> {
  await mkdir(folder, { recursive: true });
  const plots = [...plotsOf(report)];
  await Promise.all(plots.map(([name, text]) => writeFile(path.join(folder, name), text)));
  return plots.map(([name]) => path.join(folder, name));
}
