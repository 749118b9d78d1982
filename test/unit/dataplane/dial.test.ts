import assert from 'node:assert/strict';
import { once } from 'node:events';
import { test } from 'node:test';
import { dialWith } from '../../../src/dataplane/dial.ts';
import { ServerView } from '../../../src/dataplane/server-view.ts';
import { DEFAULT_SERVER } from '../../../src/domain/defaults.ts';
import { LaneWriter } from '../../../src/shared/memory/lane-writer.ts';
import { createSharedBuffers } from '../../../src/shared/memory/layout.ts';
import { HostAddresses } from '../../../src/shared/upstream-addresses.ts';
import { PLAIN_OPENING } from '../../../src/shared/upstream-socket.ts';
import { echoServer } from '../../support/echo-servers.ts';
import { stalledServer } from '../../support/stalled-server.ts';

const TIMEOUT_MS = 50;
const lane = new LaneWriter(createSharedBuffers(1), 0);
const dial = dialWith(PLAIN_OPENING, new HostAddresses());

function viewOf(address: string): ServerView {
  const target = { host: '127.0.0.1', port: Number(address.split(':').at(-1)) };
  return new ServerView({ ...DEFAULT_SERVER, address }, target, 0, 0, lane);
}

test('a server that has answered in time is not given up by a thread that looks too late', async (t) => {
  const { address } = await echoServer(t);
  const dialled = dial(viewOf(address), TIMEOUT_MS, new AbortController().signal);
  // The connection is begun after what runs now.
  await new Promise((resolve) => process.nextTick(resolve));
  const busyUntilMs = performance.now() + 2 * TIMEOUT_MS;
  while (performance.now() < busyUntilMs);
  const socket = await dialled;
  socket.destroy();
  await once(socket, 'close');
});

test('a server that says nothing is given up at the timeout', async (t) => {
  const address = await stalledServer(t);
  const refusal = { reason: 'upstream_timeout', message: `${address}: no answer in ${TIMEOUT_MS} ms`, isLocal: false };
  await assert.rejects(dial(viewOf(address), TIMEOUT_MS, new AbortController().signal), refusal);
});
