/** The package as it is installed, with its real launchers, and a small program in the place of the compiled `lbd`. */
import { cp, mkdir, writeFile } from 'node:fs/promises';
import path from 'node:path';
import type { TestContext } from 'node:test';
import { temporaryFolder } from './temp-dir.ts';

const BIN = path.join(import.meta.dirname, '../../bin');

export interface InstalledPackage {
  /** The project that the package is installed in. */
  readonly project: string;
  /** `bin/lbd.cjs` of the package. */
  readonly launcher: string;
  /** What the launcher runs. */
  readonly entry: string;
}

/** Installs it in a folder of its own; `program` is JavaScript, as a module. */
export async function installPackage(t: Pick<TestContext, 'after'>, program: string): Promise<InstalledPackage> {
  const project = await temporaryFolder(t);
  const home = path.join(project, 'node_modules/portcullis');
  const entry = path.join(home, 'dist/src/main.js');
  await cp(BIN, path.join(home, 'bin'), { recursive: true });
  await mkdir(path.dirname(entry), { recursive: true });
  await writeFile(path.join(home, 'package.json'), '{"type":"module"}');
  await writeFile(entry, program);
  return { project, launcher: path.join(home, 'bin/lbd.cjs'), entry };
}
