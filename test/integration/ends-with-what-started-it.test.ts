import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { writeFile } from 'node:fs/promises';
import path from 'node:path';
import { createInterface } from 'node:readline';
import { type TestContext, test } from 'node:test';
import { temporaryFolder } from '../support/temp-dir.ts';

const ROOT = path.join(import.meta.dirname, '../..');
const PORTS = ['--port', '0', '--admin-port', '0', '--sample-port', '0'];

/** Kills who starts a quickstart once it serves; resolves when the quickstart has ended too, with what it said at last. */
async function killedParent(t: TestContext, command: readonly string[], env: NodeJS.ProcessEnv = {}): Promise<string> {
  const [program = '', ...args] = command;
  const cwd = await temporaryFolder(t);
  // In a process group of its own, so that nothing is left of it if it does go on.
  const parent = spawn(program, args, { cwd, env: { ...process.env, ...env }, detached: true, stdio: ['ignore', 'pipe', 'pipe'] });
  const group = parent.pid ?? assert.fail(`${program} does not run`);
  t.after(() => endGroup(group));
  let said = '';
  parent.stderr.setEncoding('utf8').on('data', (chunk: string) => {
    said += chunk;
  });
  await new Promise<void>((resolve, reject) => {
    createInterface({ input: parent.stdout }).on('line', (line) => {
      if (line.startsWith('Ctrl-C ')) resolve();
    });
    parent.once('close', () => reject(new Error(`it ended before it served: ${said}`)));
  });
  parent.kill('SIGKILL');
  // The output is closed when nobody has it any more.
  await once(parent, 'close');
  return said;
}

function endGroup(group: number): void {
  try {
    process.kill(-group, 'SIGKILL');
  } catch {
    // Nobody is left in it, as it should be.
  }
}

test('lbd ends when the launcher that started it on a newer Node was killed', { timeout: 240_000 }, async (t) => {
  const pretence = path.join(await temporaryFolder(t), 'pretence.cjs');
  await writeFile(pretence, "Object.defineProperty(process.versions, 'node', { value: '20.1.0' });");
  const launcher = [process.execPath, '--require', pretence, path.join(ROOT, 'bin/lbd.cjs'), 'quickstart', ...PORTS];
  assert.match(await killedParent(t, launcher), /^lbd: what started it was killed; it ends too$/m);
});

test('lbd ends when the npm that runs it as a script of this package was killed', { timeout: 240_000 }, async (t) => {
  const npm = ['sh', '-c', '"$0" "$@" & wait', process.execPath, path.join(ROOT, 'src/main.ts'), 'quickstart', ...PORTS];
  const said = await killedParent(t, npm, { npm_lifecycle_event: 'start', npm_package_name: 'portcullis' });
  assert.match(said, /^lbd: what started it was killed; it ends too$/m);
});
