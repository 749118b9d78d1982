import assert from 'node:assert/strict';
import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import { type TestContext, test } from 'node:test';
import { startUpstream } from '../support/echo-servers.ts';
import { digest, digestOf, STREAM_BYTES, send } from '../support/random-streams.ts';
import { type RunningBalancer, startBalancer, uncheckedGroup } from '../support/running-balancer.ts';

const STREAMS = 40;
const SEED_BYTES = 4;
/** A second for all streams together, and less than a chunk at a time. */
const BANDWIDTH = { upload: STREAMS * STREAM_BYTES, download: STREAMS * STREAM_BYTES };

type Connect = (t: TestContext, balancer: RunningBalancer) => Promise<Socket>;

async function overTls(t: TestContext, balancer: RunningBalancer): Promise<Socket> {
  const { socket, secured } = balancer.connect(t, { certificate: await balancer.ca.issue({ cn: 'alice' }), halfOpen: true });
  await secured;
  return socket;
}

async function inPlain(t: TestContext, balancer: RunningBalancer): Promise<Socket> {
  const socket = connect({ port: balancer.port('plain'), host: '127.0.0.1', allowHalfOpen: true });
  t.after(() => socket.destroy());
  await once(socket, 'connect');
  return socket;
}

for (const [way, connectClient] of [
  ['with TLS', overTls],
  ['plain', inPlain],
] as const) {
  test(`${STREAMS} connections at once, ${way}, carry their bytes unchanged both ways, to readers that pause, and count each`, (t) =>
    carryAll(t, connectClient, {}));
  test(`and so do ${STREAMS}, ${way}, that wait for their bandwidth`, (t) => carryAll(t, connectClient, { bandwidth: BANDWIDTH }));
}

async function carryAll(t: TestContext, connectClient: Connect, limits: object): Promise<void> {
  const receivedUpstream = new Map<number, Promise<string>>();
  const upstream = await startUpstream(t, (socket) => {
    socket.once('readable', () => {
      const seed: Buffer = socket.read(SEED_BYTES);
      const number = seed.readUInt32BE();
      receivedUpstream.set(number, digest(socket, number));
      void send(socket, number + STREAMS);
    });
  });
  const balancer = await startBalancer(t, {
    config: {
      listenAddress: undefined,
      listeners: [
        { name: 'tls', address: '127.0.0.1:0' },
        { name: 'plain', address: '127.0.0.1:0', plain: true },
      ],
      targetGroups: [uncheckedGroup('web', [upstream.address])],
      clients: [
        { clientId: 'alice', allowedTargetGroup: 'web', limits },
        { clientId: 'lan', match: { cidr: '127.0.0.0/8' }, allowedTargetGroup: 'web', limits },
      ],
    },
  });

  await Promise.all(
    Array.from({ length: STREAMS }, async (_, index) => {
      const number = index + 1;
      const socket = await connectClient(t, balancer);
      const seed = Buffer.alloc(SEED_BYTES);
      seed.writeUInt32BE(number);
      socket.write(seed);
      const received = digest(socket, number);
      await send(socket, number);
      assert.equal(await received, digestOf(number + STREAMS), `from the server, stream ${number}`);
      assert.equal(await receivedUpstream.get(number), digestOf(number), `from the client, stream ${number}`);
    }),
  );

  for (const line of await balancer.nextLines(STREAMS)) {
    assert.match(line.reason, /^(client|upstream)_closed$/);
    assert.partialDeepStrictEqual(line, { bytesUp: SEED_BYTES + STREAM_BYTES, bytesDown: STREAM_BYTES });
  }
  assert.partialDeepStrictEqual(balancer.lb.stats.server('web', upstream.address), {
    active: 0,
    connected: STREAMS,
    bytesToUpstream: STREAMS * (SEED_BYTES + STREAM_BYTES),
    bytesFromUpstream: STREAMS * STREAM_BYTES,
  });
  balancer.assertIdle();
}
