import assert from 'node:assert/strict';
import { Writable } from 'node:stream';
import { type TestContext, test } from 'node:test';
import { LogOutput } from '../../src/log-output.ts';
import { createTestCa } from '../support/certificates.ts';
import { type ReadyDaemon, startDaemon } from '../support/daemon.ts';
import { connectTo, roundTrip } from '../support/daemon-clients.ts';
import { echoServer } from '../support/echo-servers.ts';
import { startTraffic } from '../support/traffic.ts';

const ca = await createTestCa();
const clientA = await ca.issue({ cn: 'clientA' });

async function startWithEcho(t: TestContext): Promise<ReadyDaemon> {
  const echo = await echoServer(t);
  return startDaemon(t, {
    ca,
    config: {
      workers: 2,
      targetGroups: [{ name: 'web', upstreamServers: [echo.address] }],
      clients: [{ clientId: 'clientA', allowedTargetGroup: 'web' }],
    },
  });
}

test('each connection leaves one whole line, however many there are at once', async (t) => {
  const daemon = await startWithEcho(t);
  const traffic = startTraffic(t, daemon, clientA, 16);
  await traffic.answeredMore(300);
  const { answered, failures } = await traffic.stop();
  assert.deepEqual(failures, []);
  let seen = 0;
  await daemon.waitForLog(({ msg }) => msg === 'connection closed' && ++seen === answered);
  await daemon.stop();
  // What is no JSON line of its own ends up here.
  assert.deepEqual(daemon.output.length, 1, daemon.output.join('\n'));
  const lines = daemon.logs.filter(({ msg }) => msg === 'connection closed');
  assert.equal(lines.length, answered);
  assert.deepEqual([...new Set(lines.map(({ reason }) => reason))], ['client_closed']);
  // By its id: the system may give a client's port out again.
  assert.equal(new Set(lines.map(({ id }) => id)).size, answered);
});

test('a reader of the log that goes away ends nothing, and the end is as good as ever', async (t) => {
  const daemon = await startWithEcho(t);
  daemon.stdout.destroy();
  for (let count = 0; count < 20; count++) {
    const client = connectTo(t, daemon, clientA);
    await roundTrip(client, 'hello');
    client.socket.end();
    await client.readAll();
  }
  assert.deepEqual(await daemon.stop(), { code: 0, signal: null });
});

test('a reader of the log that stalls holds up neither connections nor the end', async (t) => {
  const daemon = await startWithEcho(t);
  daemon.stdout.pause();
  // More lines than a pipe holds, which is 64 KiB.
  const traffic = startTraffic(t, daemon, clientA, 8);
  await traffic.answeredMore(400);
  assert.deepEqual((await traffic.stop()).failures, []);
  daemon.signal('SIGTERM');
  assert.deepEqual(await daemon.gone, { code: 0, signal: null });
  daemon.stdout.resume();
});

test('lines that a reader is too slow for are dropped whole, and counted', async () => {
  const written: string[] = [];
  let release = () => {};
  const slow = new Writable({
    decodeStrings: false,
    highWaterMark: 1,
    write: (chunk: string, _encoding, done) => {
      written.push(chunk);
      release = done;
    },
  });
  const out = new LogOutput(slow, 10);
  out.write('first\n');
  out.write('second\n');
  out.write('dropped\ndropped\n');
  out.write('dropped\n');
  release();
  release();
  out.write('last\n');
  release();
  const [first, second, rest] = written;
  assert.deepEqual([first, second], ['first\n', 'second\n']);
  const [report = '', last] = (rest ?? '').split('\n');
  const { level, lines, msg } = JSON.parse(report);
  assert.deepEqual(
    { level, lines, msg, last },
    { level: 'warn', lines: 3, msg: 'log lines were dropped: their reader is slow', last: 'last' },
  );
});
