/** `lbd start` runs with settings of the C library's allocator, which a process has from its beginning or not at all. */
import assert from 'node:assert/strict';
import { execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { readFile, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { test } from 'node:test';
import { promisify } from 'node:util';
import { startDaemon } from '../support/daemon.ts';
import { installPackage } from '../support/installed-package.ts';

const LAUNCHER = path.join(import.meta.dirname, '../../bin/lbd.cjs');
const LINUX = { skip: process.platform !== 'linux' };
const SETTINGS = { MALLOC_MMAP_THRESHOLD_: '16384', MALLOC_MMAP_MAX_: '32768' };
const NONE = {};

/** Tells what the system and Node.js say of how it was started, on standard output. Its exit code is 7. */
const TELLS = `
  import { readFileSync } from 'node:fs';
  const strings = (file) => readFileSync('/proc/self/' + file, 'utf8').split('\\0').slice(0, -1);
  const { pid, argv, connected } = process;
  console.log(JSON.stringify({ pid, argv, connected, environ: strings('environ'), cmdline: strings('cmdline') }));
  process.exitCode = 7;
  process.disconnect?.();
`;

interface Start {
  readonly args?: readonly string[];
  readonly env?: Readonly<Record<string, string>>;
  /** Options of Node.js. */
  readonly options?: readonly string[];
  /** With a channel between the two, as a descriptor that would stay open. */
  readonly isForked?: boolean;
  readonly cwd?: string;
}

/** Runs the launcher to the end of what it starts. */
async function run(launcher: string, { args = ['start'], env = {}, options = [], isForked = false, cwd }: Start = {}) {
  const child = spawn(process.execPath, [...options, launcher, ...args], {
    cwd,
    env: { PATH: process.env['PATH'], ...env },
    stdio: ['ignore', 'pipe', 'pipe', ...(isForked ? [...Array<'ignore'>(20).fill('ignore'), 'ipc' as const] : [])],
    timeout: 120_000,
    killSignal: 'SIGKILL',
  });
  const said = { stdout: '', stderr: '' };
  child.stdout?.setEncoding('utf8').on('data', (text: string) => {
    said.stdout += text;
  });
  child.stderr?.setEncoding('utf8').on('data', (text: string) => {
    said.stderr += text;
  });
  const [code] = await once(child, 'close');
  return { pid: child.pid, code, ...said };
}

/** What the program {@link TELLS} told, with the allocator's settings among its environment. */
function told({ stdout, stderr, code }: { readonly stdout: string; readonly stderr: string; readonly code: number | null }) {
  assert.deepEqual({ stderr, code }, { stderr: '', code: 7 });
  const { environ, ...facts } = JSON.parse(stdout);
  return { ...facts, settings: allocatorSettings(environ) };
}

function allocatorSettings(environ: readonly string[]): Readonly<Record<string, string>> {
  const pairs = environ.map((line): [string, string] => [line.slice(0, line.indexOf('=')), line.slice(line.indexOf('=') + 1)]);
  return Object.fromEntries(pairs.filter(([name]) => /^(MALLOC_|GLIBC_TUNABLES$)/.test(name)));
}

test('the daemon has the settings in the process that was started, and SIGTERM ends that in good order', LINUX, async (t) => {
  const daemon = await startDaemon(t, { program: LAUNCHER });
  const proc = (file: string) => readFileSync(`/proc/${daemon.pid}/${file}`, 'utf8');
  assert.deepEqual(allocatorSettings(proc('environ').split('\0')), SETTINGS);
  assert.deepEqual(proc('cmdline').split('\0').slice(0, 4), [process.execPath, LAUNCHER, 'start', '--config']);
  assert.equal(proc(`task/${daemon.pid}/children`), '');
  assert.deepEqual(await daemon.stop(), { code: 0, signal: null });
  assert.match(daemon.output.join('\n'), /^lbd: SIGTERM: no new connections; waiting for the present ones to end/);
});

test('arguments, options of Node.js, process id and exit code are those of a process that began once', LINUX, async (t) => {
  const { launcher, entry } = await installPackage(t, TELLS);
  const args = ['start', '--config', 'a b', ''];
  const outcome = await run(launcher, { args, options: ['--max-http-header-size=9000'] });
  assert.deepEqual(told(outcome), {
    pid: outcome.pid,
    argv: [process.execPath, entry, ...args],
    cmdline: [process.execPath, '--max-http-header-size=9000', launcher, ...args],
    settings: SETTINGS,
  });
});

for (const command of ['check', 'schema', 'quickstart', '--help']) {
  test(`lbd ${command} runs without the settings`, LINUX, async (t) => {
    const { launcher } = await installPackage(t, TELLS);
    assert.deepEqual(told(await run(launcher, { args: [command, 'start'] })).settings, NONE);
  });
}

for (const env of [{ MALLOC_MMAP_THRESHOLD_: '131072' }, { MALLOC_MMAP_MAX_: '0' }, { GLIBC_TUNABLES: '' }, { LD_PRELOAD: '' }]) {
  const [variable] = Object.keys(env);
  test(`an operator who has set ${variable} is left to it`, LINUX, async (t) => {
    const { launcher } = await installPackage(t, TELLS);
    const { LD_PRELOAD: _, ...kept }: Readonly<Record<string, string>> = env;
    assert.deepEqual(told(await run(launcher, { env })).settings, kept);
  });
}

test('another variable of the allocator decides nothing about these', LINUX, async (t) => {
  const { launcher } = await installPackage(t, TELLS);
  assert.deepEqual(told(await run(launcher, { env: { MALLOC_ARENA_MAX: '2' } })).settings, { ...SETTINGS, MALLOC_ARENA_MAX: '2' });
});

test('a channel to the parent stays open, without the settings', LINUX, async (t) => {
  const { launcher } = await installPackage(t, TELLS);
  const { connected, settings } = told(await run(launcher, { isForked: true }));
  assert.deepEqual({ connected, settings }, { connected: true, settings: NONE });
});

for (const { options, env } of [
  { options: ['--cpu-prof'], env: {} },
  { options: ['--heap_prof'], env: {} },
  { options: ['--prof'], env: {} },
  { options: ['--inspect=127.0.0.1:0'], env: {} },
  { options: [], env: { NODE_OPTIONS: '--no-warnings "--cpu-prof"' } },
]) {
  test(
    `whoever looks with ${options[0] ?? `NODE_OPTIONS=${env.NODE_OPTIONS}`} sees the process that was started, without the settings`,
    LINUX,
    async (t) => {
      const { project, launcher } = await installPackage(t, TELLS);
      const { stdout, code } = await run(launcher, { options, env, cwd: project });
      // What a debugger is to connect to is on standard error.
      assert.deepEqual(told({ stdout, code, stderr: '' }).settings, NONE);
    },
  );
}

for (const { what, shell } of [
  { what: 'a file', shell: 'exec "$0" "$@" 3< lb.yaml' },
  { what: 'a pipe', shell: 'cat lb.yaml | { exec "$0" "$@" 3<&0; }' },
]) {
  test(`${what} that is handed to it as a descriptor can be read, without the settings`, LINUX, async (t) => {
    const program = "import { readFileSync } from 'node:fs'; console.log(readFileSync('/dev/fd/3', 'utf8'));";
    const { project, launcher } = await installPackage(t, program);
    await writeFile(path.join(project, 'lb.yaml'), 'handed over');
    const args = ['-c', shell, process.execPath, launcher, 'start'];
    const said = await promisify(execFile)('/bin/sh', args, { cwd: project, env: { PATH: process.env['PATH'] }, timeout: 120_000 });
    assert.deepEqual({ ...said }, { stdout: 'handed over\n', stderr: '' });
  });
}

test('it begins again once only, also where the C library takes the settings from the environment', LINUX, async (t) => {
  const { project, launcher } = await installPackage(t, TELLS);
  const takes = path.join(project, 'takes.cjs');
  const beginnings = path.join(project, 'beginnings');
  await writeFile(
    takes,
    `require('fs').appendFileSync(${JSON.stringify(beginnings)}, 'begun ');
    for (const name of ['MALLOC_MMAP_THRESHOLD_', 'MALLOC_MMAP_MAX_']) delete process.env[name];`,
  );
  told(await run(launcher, { options: ['--require', takes] }));
  assert.equal(await readFile(beginnings, 'utf8'), 'begun begun ');
});

for (const { where, replacement } of [
  { where: 'Node.js cannot execute a program in its own process', replacement: 'undefined' },
  { where: 'that is not permitted', replacement: "() => { throw new Error('not permitted'); }" },
]) {
  test(`where ${where}, it runs without the settings`, LINUX, async (t) => {
    const { project, launcher } = await installPackage(t, TELLS);
    const pretence = path.join(project, 'pretence.cjs');
    await writeFile(pretence, `process.execve = ${replacement};`);
    assert.deepEqual(told(await run(launcher, { options: ['--require', pretence] })).settings, NONE);
  });
}
