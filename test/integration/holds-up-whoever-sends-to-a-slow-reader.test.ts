import assert from 'node:assert/strict';
import type { Socket } from 'node:net';
import { test } from 'node:test';
import { setTimeout } from 'node:timers/promises';
import { createTestCa } from '../support/certificates.ts';
import { blackholeServer, startUpstream } from '../support/echo-servers.ts';
import { startBalancer, uncheckedGroup } from '../support/running-balancer.ts';

/** What the system's buffers on the way hold at most on loopback, with room to spare; the sender would send without end. */
const HELD_AT_MOST = 64 * 1024 * 1024;
const CHUNK = Buffer.alloc(256 * 1024);

/** Sends as fast as it may for as long as it may. */
class Flood {
  readonly #socket: Socket;
  stopped = false;

  constructor(socket: Socket) {
    this.#socket = socket;
    socket.on('drain', () => this.#pour());
    this.#pour();
  }

  get sent(): number {
    return this.#socket.bytesWritten - this.#socket.writableLength;
  }

  /** Resolves once nothing has moved for a while; fails when more has gone than buffers hold. */
  async heldUp(): Promise<void> {
    for (let before = -1; before !== this.sent; ) {
      before = this.sent;
      assert.ok(before < HELD_AT_MOST, `${before} bytes are under way and nobody reads`);
      await setTimeout(250);
    }
  }

  #pour(): void {
    while (!this.stopped && this.#socket.write(CHUNK));
  }
}

test('a slow reader holds up who sends to it, and the balancer keeps no more than its buffers', async (t) => {
  const floods: Flood[] = [];
  const pouring = await startUpstream(t, (socket) => floods.push(new Flood(socket)));
  const deaf = await blackholeServer(t);
  const ca = await createTestCa();
  const balancer = await startBalancer(t, {
    ca,
    config: {
      targetGroups: [uncheckedGroup('pouring', [pouring.address]), uncheckedGroup('deaf', [deaf.address])],
      clients: ['pouring', 'deaf'].map((name) => ({ clientId: name, allowedTargetGroup: name })),
    },
  });

  await t.test('a server, when its client does not read; it goes on when the client does', async (t) => {
    const client = balancer.connect(t, { certificate: await ca.issue({ cn: 'pouring' }), paused: true });
    await client.secured;
    await pouring.acceptedAtLeast(1);
    const [flood] = floods;
    assert.ok(flood !== undefined);
    await balancer.until(({ stats }) => stats.client('pouring').bytesToClient > 0);
    await flood.heldUp();
    const before = flood.sent;

    let read = 0;
    client.socket.removeAllListeners('data');
    client.socket.on('data', (chunk: Buffer) => {
      read += chunk.length;
      if (read > before + CHUNK.length) client.tcp.resetAndDestroy();
    });
    client.socket.resume();
    await client.ending;
    assert.ok(flood.sent > before);
    const line = await balancer.nextLine();
    assert.partialDeepStrictEqual(line, { reason: 'client_reset', client: 'pouring', bytesUp: 0 });
    assert.ok(line.bytesDown >= read);
    balancer.assertIdle();
  });

  await t.test('a client, when its server does not read', async (t) => {
    const client = balancer.connect(t, { certificate: await ca.issue({ cn: 'deaf' }) });
    await client.secured;
    const flood = new Flood(client.socket);
    await balancer.until(({ stats }) => stats.client('deaf').bytesFromClient > 0);
    await flood.heldUp();
    flood.stopped = true;
    deaf.resetAll();
    await client.ending;
    const line = await balancer.nextLine();
    assert.partialDeepStrictEqual(line, { reason: 'upstream_reset', client: 'deaf', bytesDown: 0 });
    assert.ok(line.bytesUp > 0 && line.bytesUp <= flood.sent);
    balancer.assertIdle();
  });
});
