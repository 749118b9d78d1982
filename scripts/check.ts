/** `npm run check`: everything that a machine can say about the sources, in order, up to the first failure. */
import { spawnSync } from 'node:child_process';
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { generate } from './generate.ts';

const ROOT = path.join(import.meta.dirname, '..');

interface Step {
  readonly heading: string;
  /** False: the step has failed, and has said why. */
  readonly passes: () => boolean;
}

/** A program of node_modules/.bin, or Node itself. */
const runs =
  (command: string, ...args: readonly string[]) =>
  () =>
    spawnSync(command, args, { cwd: ROOT, stdio: 'inherit' }).status === 0;

const STEPS: readonly Step[] = [
  { heading: 'generated code is up to date', passes: generatedCodeIsUpToDate },
  { heading: 'buf lint', passes: runs('buf', 'lint') },
  { heading: 'buf format', passes: runs('buf', 'format', '--diff', '--exit-code') },
  { heading: 'types', passes: runs('tsc', '--project', '.') },
  { heading: 'lint and format', passes: runs('biome', 'check', '--error-on-warnings', '.') },
  { heading: 'walls', passes: runs(process.execPath, 'scripts/walls.ts') },
];

function generatedCodeIsUpToDate(): boolean {
  const fresh = mkdtempSync(path.join(tmpdir(), 'portcullis-gen-'));
  try {
    generate(fresh);
    const differing = differences(path.join(ROOT, 'src/gen'), path.join(fresh, 'src/gen'));
    for (const file of differing) console.error(`src/gen/${file} is not what proto/ says: run npm run gen`);
    return differing.length === 0;
  } catch (error) {
    console.error(error instanceof Error ? error.message : error);
    return false;
  } finally {
    rmSync(fresh, { recursive: true, force: true });
  }
}

/** Relative paths of the files that differ or are in one folder only. */
function differences(one: string, other: string): readonly string[] {
  const list = (folder: string) =>
    readdirSync(folder, { recursive: true, withFileTypes: true })
      .filter((entry) => entry.isFile())
      .map((entry) => path.relative(folder, path.join(entry.parentPath, entry.name)));
  const [ours, theirs] = [new Set(list(one)), new Set(list(other))];
  return [...ours.union(theirs)]
    .filter(
      (file) => !(ours.has(file) && theirs.has(file) && readFileSync(path.join(one, file)).equals(readFileSync(path.join(other, file)))),
    )
    .sort();
}

const failed = STEPS.find(({ heading, passes }) => {
  console.log(`\n== ${heading}`);
  return !passes();
});
console.log(failed === undefined ? '\nall checks passed' : `\nfailed: ${failed.heading}`);
process.exitCode = failed === undefined ? 0 : 1;
