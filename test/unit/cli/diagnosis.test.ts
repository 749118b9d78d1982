import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer, type Socket } from 'node:net';
import { test } from 'node:test';
import { createSecureContext } from 'node:tls';
import { probe } from '../../../cli/diagnosis.ts';

test('a server that was connected to in time is not said to be out of reach, however late that is looked at', async (t) => {
  const accepted: Socket[] = [];
  const server = createServer((socket) => accepted.push(socket.on('error', () => undefined))).listen(0, '127.0.0.1');
  t.after(() => {
    server.close();
    for (const socket of accepted) socket.destroy();
  });
  await once(server, 'listening');
  const address = server.address();
  assert.ok(address !== null && typeof address === 'object');
  const target = { host: '127.0.0.1', port: address.port, secureContext: createSecureContext(), expectedName: 'localhost' };
  const outcome = probe(target, 20);
  // The connection is asked for by then, and the system makes it while nobody looks until the time is over.
  await new Promise((resolve) => process.nextTick(() => process.nextTick(resolve)));
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 60);
  assert.deepEqual(await outcome, { kind: 'timeout', stage: 'handshake' });
});
