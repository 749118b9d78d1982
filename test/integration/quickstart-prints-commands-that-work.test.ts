import assert from 'node:assert/strict';
import { execFile, execFileSync } from 'node:child_process';
import path from 'node:path';
import { test } from 'node:test';
import { promisify } from 'node:util';
import { startQuickstart } from '../support/quickstart.ts';
import { takenPort } from '../support/taken-port.ts';

const run = promisify(execFile);
const ROOT = path.join(import.meta.dirname, '../..');
const LBD = [process.execPath, 'src/main.ts'];

/** What each printed command must say. The order is that of the print. */
const EXPECTED: readonly (readonly [heading: RegExp, output: RegExp])[] = [
  [/^One request as client A/, /^server 127\.0\.0\.1:\d+, call 1\n$/],
  [/^Client A sends 5 requests/, /\n5 of 5 requests served in \d+ ms: /],
  [/^The same connection by hand/, /^HTTP\/1\.1 200 OK\r\n[\s\S]*\r\n\r\nserver 127\.0\.0\.1:\d+, call \d+\n$/],
  [/^The servers and their health/, /FrontEndService +127\.0\.0\.1:\d+ +healthy[\s\S]*FrontEndService +127\.0\.0\.1:\d+ +healthy/],
  [/^Client B has a certificate, but is refused/, /clientB\.bardomain\.com/],
  [/^Now client B is served/, /^server 127\.0\.0\.1:\d+, call \d+\n$/],
  [/with grpcurl/, /"targetGroup": "FrontEndService"/],
  [/^The same with buf/, /"targetGroup": "FrontEndService"/],
];

test('every command that the quickstart prints works as it is, from the checkout', async (t) => {
  const quickstart = await startQuickstart(t, LBD, ROOT);
  const printed = [...quickstart.commands];
  for (const [index, [heading, output]] of EXPECTED.entries()) {
    const [title = '', command = ''] = printed[index] ?? [];
    assert.match(title, heading);
    await t.test(title, async (t) => {
      if (!isInstalled(command)) return t.skip(`${command.split(' ', 1)[0]} is not installed here`);
      const { stdout } = await run('sh', ['-c', command], { cwd: ROOT });
      assert.match(stdout, output);
    });
  }
  const [title, command = ''] = printed[EXPECTED.length] ?? [];
  assert.match(title ?? '', /^Client A sends 25/);
  // How many are over the limit depends on the machine's pace; each is served or reset.
  const { stdout } = await run('sh', ['-c', `${command} || true`], { cwd: ROOT });
  assert.match(stdout, /^(?:request \d+: (?:server 127\.0\.0\.1:\d+, call \d+|refused: the connection was reset)\n){25}\d+ of 25 /);
  assert.equal(printed.length, EXPECTED.length + 1);
  assert.equal(await quickstart.stop(), 0);
});

function isInstalled(command: string): boolean {
  try {
    execFileSync('sh', ['-c', `command -v ${command.split(' ', 1)[0]}`]);
    return true;
  } catch {
    return false;
  }
}

test('a port in use is one line: which port, for whom, and what to do', async (t) => {
  const { port } = await takenPort(t);
  const args = ['quickstart', '--port', '0', '--admin-port', String(port), '--sample-port', '0'];
  await assert.rejects(
    run(process.execPath, ['src/main.ts', ...args], { cwd: ROOT }),
    (error: { code?: number; stdout?: string; stderr?: string }) => {
      assert.equal(error.code, 1);
      assert.equal(error.stdout, '', 'nothing was made or started');
      assert.equal(error.stderr, `lbd: port ${port} is in use (for the admin API): free it, or choose another with --admin-port PORT\n`);
      return true;
    },
  );
});
