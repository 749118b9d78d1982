import assert from 'node:assert/strict';
import { execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { chmod, mkdir, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { createInterface } from 'node:readline';
import { type TestContext, test } from 'node:test';
import { freePort } from '../support/free-port.ts';
import { installPackage } from '../support/installed-package.ts';

/** {@link installPackage}, and a way to start it on a Node that believes itself to be version 20. */
async function installed(t: TestContext, program: string) {
  const { project, launcher } = await installPackage(t, program);
  const pretence = path.join(project, 'pretence.cjs');
  await writeFile(pretence, "Object.defineProperty(process.versions, 'node', { value: '20.1.0' });");
  return { project, start: [process.execPath, '--require', pretence, launcher] as const };
}

/** A `node` package of version 26 that is a script around this Node. */
async function addNodePackage(project: string): Promise<void> {
  const home = path.join(project, 'node_modules/node');
  await mkdir(path.join(home, 'bin'), { recursive: true });
  await writeFile(path.join(home, 'package.json'), '{"version":"26.10.0"}');
  await writeFile(path.join(home, 'bin/node'), `#!/bin/sh\nSTARTED_BY=the-node-package exec "${process.execPath}" "$@"\n`);
  await chmod(path.join(home, 'bin/node'), 0o755);
}

const run = (command: readonly string[], ...args: readonly string[]) =>
  new Promise<{ code: number | string | null | undefined; stdout: string; stderr: string }>((resolve) => {
    const [program = '', ...first] = command;
    execFile(program, [...first, ...args], (error, stdout, stderr) => resolve({ code: error === null ? 0 : error.code, stdout, stderr }));
  });

test('without a newer Node it says in one line what to do, and ends with 2', async (t) => {
  const { start } = await installed(t, "console.log('never')");
  const { code, stdout, stderr } = await run(start);
  assert.deepEqual({ code, stdout }, { code: 2, stdout: '' });
  assert.match(stderr, /^lbd needs Node\.js 24 or newer, and this is v\S+: upgrade it, or run "npm install node@26\.10\.0 [^\n]*\n$/);
});

test('with the node package it runs on that, with the arguments, and ends with its exit code', async (t) => {
  const { project, start } = await installed(t, 'console.log(process.env.STARTED_BY, ...process.argv.slice(2)); process.exitCode = 7;');
  await addNodePackage(project);
  assert.deepEqual(await run(start, 'check', '--config', 'a b'), { code: 7, stdout: 'the-node-package check --config a b\n', stderr: '' });
});

test('the node package runs the daemon, and no other command, with the allocator settings', async (t) => {
  const { project, start } = await installed(t, 'console.log(process.env.MALLOC_MMAP_THRESHOLD_, process.env.MALLOC_MMAP_MAX_);');
  await addNodePackage(project);
  assert.equal((await run(start, 'start')).stdout, '16384 32768\n');
  assert.equal((await run(start, 'check')).stdout, 'undefined undefined\n');
});

test('options of Node.js go with the program to the node package', async (t) => {
  const { project, start } = await installed(
    t,
    "import { maxHeaderSize } from 'node:http'; console.log(process.env.STARTED_BY, maxHeaderSize);",
  );
  await addNodePackage(project);
  const [program, ...args] = start;
  const said = await run([program, '--max-http-header-size=9000', ...args], 'check');
  assert.deepEqual(said, { code: 0, stdout: 'the-node-package 9000\n', stderr: '' });
});

test('a debugger finds the program at the port that was asked for', async (t) => {
  const { project, start } = await installed(t, "import { url } from 'node:inspector'; console.log(process.env.STARTED_BY, url());");
  await addNodePackage(project);
  const [program, ...args] = start;
  const address = `127.0.0.1:${await freePort()}`;
  const { code, stdout } = await run([program, `--inspect=${address}`, ...args], 'check');
  assert.equal(code, 0);
  assert.ok(stdout.startsWith(`the-node-package ws://${address}/`), stdout);
});

test('on a new enough Node it runs in the same process', async (t) => {
  const { start } = await installed(t, 'console.log(process.env.STARTED_BY, ...process.argv.slice(2));');
  const [program, , , launcher] = start;
  assert.deepEqual(await run([program, launcher], 'schema'), { code: 0, stdout: 'undefined schema\n', stderr: '' });
});

test('signals reach the program, and an end by signal is passed back', async (t) => {
  const program = `
    process.on('SIGTERM', () => console.log('SIGTERM'));
    process.on('SIGHUP', () => { console.log('SIGHUP'); process.kill(process.pid, 'SIGKILL'); });
    setInterval(() => {}, 1000);
    console.log('ready');
  `;
  const { project, start } = await installed(t, program);
  await addNodePackage(project);
  const [node, ...args] = start;
  const child = spawn(node, args, { stdio: ['ignore', 'pipe', 'inherit'] });
  t.after(() => child.kill('SIGKILL'));
  const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
  const ended = once(child, 'exit');
  assert.equal((await lines.next()).value, 'ready');
  child.kill('SIGTERM');
  assert.equal((await lines.next()).value, 'SIGTERM');
  child.kill('SIGHUP');
  assert.equal((await lines.next()).value, 'SIGHUP');
  assert.deepEqual(await ended, [null, 'SIGKILL']);
});

test('a daemon on the node package gets no SIGHUP before it listens to it', { timeout: 60_000 }, async (t) => {
  // Signals that are passed on come in the order in which they were sent.
  const program = `
    process.on('SIGUSR2', () => {
      process.on('SIGHUP', () => { console.log('SIGHUP'); process.exit(); });
      process.send('listens', () => process.kill(process.ppid, 'SIGHUP'));
    });
    process.kill(process.ppid, 'SIGHUP');
    process.kill(process.ppid, 'SIGUSR2');
    setInterval(() => {}, 1000);
  `;
  const { project, start } = await installed(t, program);
  await addNodePackage(project);
  assert.deepEqual(await run(start, 'start'), { code: 0, stdout: 'SIGHUP\n', stderr: '' });
});
