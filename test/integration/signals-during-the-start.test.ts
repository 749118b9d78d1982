/** A signal may come at any moment of a start: after a renewal of certificates, from a log rotation, from whoever thinks better of it. */
import assert from 'node:assert/strict';
import { writeFile } from 'node:fs/promises';
import path from 'node:path';
import { type TestContext, test } from 'node:test';
import { type DaemonOptions, launchDaemon, startDaemon } from '../support/daemon.ts';
import { temporaryFolder } from '../support/temp-dir.ts';

const LAUNCHER = path.join(import.meta.dirname, '../../bin/lbd.cjs');

/** For a daemon that gets the signal when it loads a module. */
async function signalledAt(t: TestContext, signal: NodeJS.Signals, module: string): Promise<DaemonOptions> {
  return startedWith(
    t,
    `require('node:module').registerHooks({
      load(url, context, next) {
        if (url.endsWith(${JSON.stringify(module)})) process.kill(process.pid, ${JSON.stringify(signal)});
        return next(url, context);
      },
    });`,
  );
}

/** For a daemon with one worker, started by its launcher; every process and thread of it runs `script` first. */
async function startedWith(t: TestContext, script: string): Promise<DaemonOptions> {
  const file = path.join(await temporaryFolder(t), 'first.cjs');
  await writeFile(file, script);
  return { program: LAUNCHER, env: { NODE_OPTIONS: `--require ${file}` }, config: { workers: 1 } };
}

test('a SIGHUP while the program is loaded ends nothing', { timeout: 60_000 }, async (t) => {
  const daemon = await startDaemon(t, await signalledAt(t, 'SIGHUP', '/src/main.ts'));
  assert.deepEqual(await daemon.stop(), { code: 0, signal: null });
});

test('a SIGHUP after the files were read is a reload once it serves', { timeout: 60_000 }, async (t) => {
  const daemon = await startDaemon(t, await signalledAt(t, 'SIGHUP', '/src/dataplane/worker.ts'));
  await daemon.waitForLog(({ msg }) => msg === 'certificates reloaded');
});

test('a SIGHUP reaches the daemon through a launcher on an older Node.js', { timeout: 60_000 }, async (t) => {
  const isOld = "Object.defineProperty(process.versions, 'node', { value: '20.1.0' });";
  const daemon = await startDaemon(t, await startedWith(t, isOld));
  daemon.signal('SIGHUP');
  await daemon.waitForLog(({ msg }) => msg === 'certificates reloaded');
});

test('a SIGTERM during the start ends it, in good order', { timeout: 60_000 }, async (t) => {
  const daemon = await launchDaemon(t, await signalledAt(t, 'SIGTERM', '/src/dataplane/worker.ts'));
  assert.deepEqual(await daemon.exited, { code: 0, signal: null });
  assert.deepEqual(daemon.output, []);
});

test('a SIGTERM while the program is loaded ends it', { timeout: 60_000 }, async (t) => {
  const daemon = await launchDaemon(t, await signalledAt(t, 'SIGTERM', '/src/main.ts'));
  assert.deepEqual(await daemon.exited, { code: null, signal: 'SIGTERM' });
  assert.deepEqual(daemon.output, []);
});
