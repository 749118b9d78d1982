import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import path from 'node:path';
import { createInterface } from 'node:readline';
import { type TestContext, test } from 'node:test';
import { createTestCa } from '../support/certificates.ts';
import { temporaryFolder } from '../support/temp-dir.ts';

const ROOT = path.join(import.meta.dirname, '../..');

/** A program of node in `cwd`: its lines, and how it ends. */
function run(t: TestContext, args: readonly string[], cwd: string) {
  const child = spawn(process.execPath, args, { cwd, stdio: ['ignore', 'pipe', 'pipe'] });
  const exited = once(child, 'close').then(([code]): number | null => code);
  t.after(() => {
    child.kill('SIGKILL');
    return exited;
  });
  let said = '';
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    said += text;
  });
  return { child, exited, lines: createInterface({ input: child.stdout }), errors: () => said };
}

test('importing the library starts nothing and reads no environment', async (t) => {
  const script = `
    const read = new Set();
    process.env = new Proxy(process.env, { get: (env, name) => (read.add(name), env[name]) });
    process.on('worker', () => console.log('a worker thread'));
    await import(${JSON.stringify(path.join(ROOT, 'src/index.ts'))});
    // These Node.js asks for itself.
    for (const name of ['WATCH_REPORT_DEPENDENCIES', 'NODE_V8_COVERAGE', 'FORCE_COLOR']) read.delete(name);
    console.log('read: ' + [...read].join());
  `;
  const { lines, exited, errors } = run(t, ['--input-type=module', '-e', script], ROOT);
  const said = await Array.fromAsync(lines);
  assert.deepEqual(said, ['read: ']);
  assert.equal(errors(), '');
  assert.equal(await exited, 0, 'nothing keeps it running');
});

test('examples/pick.ts shares by weight and leaves the server that is down alone', async (t) => {
  const { lines, exited } = run(t, [path.join(ROOT, 'examples/pick.ts')], ROOT);
  assert.deepEqual(await Array.fromAsync(lines), ['small: 2', 'large: 6', 'down: 0']);
  assert.equal(await exited, 0);
});

test('examples/library.ts runs from start to stop', async (t) => {
  const folder = await temporaryFolder(t);
  const ca = await createTestCa();
  await ca.writeTo(path.join(folder, 'certs'), { loadbalancer: await ca.issueServer() });
  const { child, lines, exited, errors } = run(t, [path.join(ROOT, 'examples/library.ts')], folder);
  const said: string[] = [];
  for await (const line of lines) {
    said.push(line.replace(/127\.0\.0\.1:\d+$/, 'HOST:PORT').replace(/\(.*\)/, '(CAUSE)'));
    if (line.startsWith('revision')) child.kill('SIGINT');
  }
  assert.equal(errors(), '');
  assert.deepEqual(
    said.filter((line) => !line.startsWith('FrontEndService')),
    ['listening on HOST:PORT', 'revision 5, 0 connections closed', 'served 0 connections'],
  );
  assert.ok(said.some((line) => /^FrontEndService: 127\.0\.0\.1:8081 is unknown \(CAUSE\)$/.test(line)));
  assert.equal(await exited, 0);
});
