import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer, type ListenOptions } from 'node:net';
import { type TestContext, test } from 'node:test';
import { refuseTakenPorts } from '../../../src/controlplane/listener-ports.ts';
import type { ListeningSockets } from '../../../src/controlplane/listening-sockets.ts';
import { ListenError } from '../../../src/controlplane/worker-thread.ts';
import { addressBits } from '../../../src/domain/cidr.ts';
import { sampleListener } from '../../support/sample-state.ts';

/** Somebody who shares the port, as the workers of another lbd do; undefined: the machine does not have the address. */
async function sharedPort(t: TestContext, options: ListenOptions): Promise<number | undefined> {
  const server = createServer().listen({ port: 0, reusePort: true, ...options });
  t.after(() => void server.close());
  try {
    await once(server, 'listening');
  } catch {
    return undefined;
  }
  const address = server.address();
  return typeof address === 'object' ? address?.port : undefined;
}

/** The code that a listener at this address is refused with. */
async function verdict(host: string, port: number, listening?: ListeningSockets): Promise<string> {
  try {
    await refuseTakenPorts([sampleListener('main', { address: { host, port } })], listening);
    return 'free';
  } catch (error) {
    assert.ok(error instanceof ListenError);
    return error.code;
  }
}

/** A machine that does not tell who listens. */
const untold: ListeningSockets = async () => undefined;
/** One on which just these listen, whoever really does. */
const told =
  (...sockets: readonly (readonly [host: string, port: number])[]): ListeningSockets =>
  async () =>
    sockets.map(([host, port]) => ({ address: addressBits(host) ?? -1n, port, isListening: true }));

test('who is told of is found at every address that overlaps, just as who is found by opening the port', async (t) => {
  const hosts = ['127.0.0.1', '127.0.0.2', '0.0.0.0', '::', '::1', '::ffff:127.0.0.1', 'localhost'];
  const holders: readonly ListenOptions[] = [...hosts.map((host) => ({ host })), { host: '::', ipv6Only: true }];
  let refused = 0;
  for (const holder of holders) {
    const port = await sharedPort(t, holder);
    if (port === undefined) continue;
    for (const host of hosts) {
      const opened = await verdict(host, port, untold);
      assert.equal(await verdict(host, port), opened, `${JSON.stringify(holder)} before ${host}`);
      if (opened === 'EADDRINUSE') refused++;
    }
  }
  assert.ok(refused >= hosts.length, `${refused}`);
});

test('a port at which nobody is told of is not opened: somebody who is there all the same is not noticed', async (t) => {
  const port = await sharedPort(t, { host: '127.0.0.1' });
  assert.ok(port);
  assert.equal(await verdict('127.0.0.1', port, told()), 'free');
  assert.equal(await verdict('127.0.0.1', port, told(['127.0.0.2', port], ['::1', port], ['127.0.0.1', port - 1])), 'free');
  assert.equal(await verdict('127.0.0.1', port, told(['127.0.0.2', port], ['0.0.0.0', port])), 'EADDRINUSE');
});

test('the system has the last word on who is told of', async (t) => {
  const port = await sharedPort(t, { host: '127.0.0.1' });
  assert.ok(port);
  assert.equal(await verdict('127.0.0.2', port, told(['::', port])), 'free');
});

test('the error is what opening the port says, and names the listener', async (t) => {
  const port = await sharedPort(t, { host: '127.0.0.1' });
  assert.ok(port);
  const [free, taken] = [sampleListener('free', { address: { host: '127.0.0.1', port: 0 } }), { host: '127.0.0.1', port }];
  for (const listening of [undefined, untold])
    await assert.rejects(refuseTakenPorts([free, sampleListener('taken', { address: taken })], listening), {
      name: 'ListenError',
      listener: 'taken',
      code: 'EADDRINUSE',
      message: `listen EADDRINUSE: address already in use 127.0.0.1:${port}`,
    });
});

test('nobody is asked for where ports are left to the system', async () => {
  const never: ListeningSockets = () => assert.fail('who listens was asked for');
  assert.equal(await verdict('127.0.0.1', 0, never), 'free');
});
