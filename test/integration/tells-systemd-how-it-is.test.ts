import assert from 'node:assert/strict';
import { spawn, spawnSync } from 'node:child_process';
import { writeFile } from 'node:fs/promises';
import path from 'node:path';
import { createInterface } from 'node:readline';
import { type TestContext, test } from 'node:test';
import { startDaemon } from '../support/daemon.ts';
import { temporaryFolder } from '../support/temp-dir.ts';

const RECEIVER = path.join(import.meta.dirname, '../support/notify-socket.py');
const lacks = (program: string) => spawnSync(program, ['--version']).error !== undefined;
const skip = ['python3', 'systemd-notify'].filter(lacks).map((program) => `there is no ${program}`)[0] ?? false;

/** A notify socket, and what arrives at it. */
async function notifySocket(t: TestContext) {
  const socket = path.join(await temporaryFolder(t), 'notify.sock');
  const receiver = spawn('python3', [RECEIVER, socket], { stdio: ['ignore', 'pipe', 'inherit'] });
  t.after(() => receiver.kill());
  const lines = createInterface({ input: receiver.stdout })[Symbol.asyncIterator]();
  const next = async () => String((await lines.next()).value);
  assert.equal(await next(), 'bound');
  /** The next message that is no sign of life. */
  const message = async (): Promise<readonly string[]> => {
    for (;;) {
      const assignments: readonly string[] = JSON.parse(await next());
      if (assignments[0] !== 'WATCHDOG=1') return assignments;
    }
  };
  return { socket, next, message };
}

test('systemd hears of ready, reloading and stopping, each in its turn', { skip }, async (t) => {
  const { socket, message } = await notifySocket(t);
  const daemon = await startDaemon(t, { env: { NOTIFY_SOCKET: socket } });
  assert.deepEqual(await message(), ['READY=1', 'STATUS=serving']);

  const beforeUsec = process.hrtime.bigint() / 1000n;
  daemon.signal('SIGHUP');
  const [reloading, clock = ''] = await message();
  assert.equal(reloading, 'RELOADING=1');
  const usec = BigInt(/^MONOTONIC_USEC=(?<usec>\d+)$/.exec(clock)?.groups?.['usec'] ?? 0);
  assert.ok(usec >= beforeUsec && usec <= process.hrtime.bigint() / 1000n, `${usec}`);
  assert.deepEqual(await message(), ['READY=1', 'STATUS=serving']);

  const exited = daemon.stop();
  assert.equal((await message())[0], 'STOPPING=1');
  assert.deepEqual(await exited, { code: 0, signal: null });
});

test('a watchdog that systemd asks for hears a sign of life again and again', { skip }, async (t) => {
  const { socket, next } = await notifySocket(t);
  await startDaemon(t, { env: { NOTIFY_SOCKET: socket, WATCHDOG_USEC: '400000' } });
  assert.equal(JSON.parse(await next())[0], 'READY=1');
  for (let count = 0; count < 3; count++) assert.deepEqual(JSON.parse(await next()), ['WATCHDOG=1']);
});

test('without systemd-notify the daemon serves all the same, and says once what is missing', async (t) => {
  const folder = await temporaryFolder(t);
  await writeFile(path.join(folder, 'nothing'), '');
  const daemon = await startDaemon(t, { env: { NOTIFY_SOCKET: path.join(folder, 'notify.sock'), PATH: folder } });
  const { msg } = await daemon.waitForLog(({ level, msg }) => level === 'warn' && String(msg).startsWith('systemd'));
  assert.equal(msg, 'systemd cannot be told how lbd is: spawn systemd-notify ENOENT');
  assert.deepEqual(await daemon.stop(), { code: 0, signal: null });
  assert.equal(daemon.logs.filter((line) => String(line['msg']).startsWith('systemd')).length, 1);
});
