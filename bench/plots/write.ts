/** The report as pictures. */
import { existsSync } from 'node:fs';
import { access, constants, mkdir, stat, writeFile } from 'node:fs/promises';
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

/**
 * Makes the folder at this absolute path, and those above it, where they are not there yet. (Node.js making them all at once tries for ever
 * where nothing can be made, such as in /proc.) @throws Error when it cannot be made or written to
 */
export async function makeFolder(folder: string): Promise<void> {
  const above = path.dirname(folder);
  if (above !== folder && !existsSync(above)) await makeFolder(above);
  if (!existsSync(folder)) await mkdir(folder);
  if (!(await stat(folder)).isDirectory()) throw new Error(`${folder} is no folder`);
  await access(folder, constants.W_OK);
}

/** Writes them into a folder that is there; gives their paths. */
export async function writePlots(report: Report, folder: string): Promise<readonly string[]> {
  const plots = [...plotsOf(report)];
  await Promise.all(plots.map(([name, text]) => writeFile(path.join(folder, name), text)));
  return plots.map(([name]) => path.join(folder, name));
}
