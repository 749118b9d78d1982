/** `npm run build`: the sources as JavaScript with declarations, in dist/, which is what the package ships. */
import { spawnSync } from 'node:child_process';
import { cpSync, rmSync } from 'node:fs';
import path from 'node:path';

const ROOT = path.join(import.meta.dirname, '..');
const DIST = path.join(ROOT, 'dist');

rmSync(DIST, { recursive: true, force: true });
const { status, error } = spawnSync('tsc', ['--project', 'tsconfig.build.json'], { cwd: ROOT, stdio: 'inherit' });
if (error !== undefined) console.error(`tsc: ${error.message}; run this with npm run build`);
// The descriptor set is data: the compiler leaves it out.
cpSync(path.join(ROOT, 'src/gen'), path.join(DIST, 'src/gen'), { recursive: true, filter: (file) => !file.endsWith('.ts') });
// So is the page of the dashboard, which runs in a browser.
cpSync(path.join(ROOT, 'src/metrics/page'), path.join(DIST, 'src/metrics/page'), { recursive: true });
process.exitCode = status ?? 1;
