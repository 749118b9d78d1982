import assert from 'node:assert/strict';
import { once } from 'node:events';
import { connect, createServer, type Socket } from 'node:net';
import { describe, it, type TestContext } from 'node:test';
import { Tarpit } from '../../../src/dataplane/tarpit.ts';

/** Connected sockets: the balancer's end, and the client's with the code it fails with. */
async function connected(t: TestContext, count: number) {
  const server = createServer().listen(0, '127.0.0.1');
  t.after(() => server.close());
  await once(server, 'listening');
  const address = server.address();
  assert.ok(address !== null && typeof address === 'object');
  const pairs = [];
  for (let index = 0; index < count; index++) {
    const client: Socket = connect(address.port, '127.0.0.1');
    t.after(() => client.destroy());
    const ended = new Promise<string | undefined>((resolve) => {
      client.once('end', () => resolve('end')).once('error', ({ code }: NodeJS.ErrnoException) => resolve(code));
    });
    // What a server tells of is a socket.
    const [near] = (await once(server, 'connection')) as [Socket];
    near.on('error', () => undefined);
    t.after(() => near.destroy());
    pairs.push({ near, client, ended });
  }
  return pairs;
}

describe('the tarpit', () => {
  it('resets whom it holds after a while, each in its time', async (t) => {
    const [first, second] = await connected(t, 2);
    assert.ok(first !== undefined && second !== undefined);
    t.mock.timers.enable({ apis: ['setTimeout'] });
    let nowMs = 0;
    const pass = (ms: number) => {
      nowMs += ms;
      t.mock.timers.tick(ms);
    };
    const tarpit = new Tarpit({ nowMs: () => nowMs, most: 10, onHeld: () => undefined });
    tarpit.holdSocket(first.near);
    pass(600);
    tarpit.holdSocket(second.near);
    assert.equal(tarpit.size, 2);
    pass(399);
    assert.ok(!first.near.destroyed);
    pass(1);
    assert.equal(await first.ended, 'ECONNRESET');
    assert.equal(tarpit.size, 1);
    pass(600);
    assert.equal(await second.ended, 'ECONNRESET');
    assert.equal(tarpit.size, 0);
  });

  it('holds so many at most, and resets the one held longest first', async (t) => {
    const pairs = await connected(t, 3);
    const told: number[] = [];
    const tarpit = new Tarpit({ nowMs: () => 0, most: 2, onHeld: (count) => told.push(count) });
    for (const { near } of pairs) tarpit.holdSocket(near);
    assert.equal(await pairs[0]?.ended, 'ECONNRESET');
    assert.equal(tarpit.size, 2);
    tarpit.close();
    assert.deepEqual(told, [1, 2, 3, 2, 1, 0]);
    assert.deepEqual(await Promise.all(pairs.map(({ ended }) => ended)), Array(3).fill('ECONNRESET'));
  });

  it('keeps nobody who has left, and holds nobody once it is closed', async (t) => {
    const [left, late] = await connected(t, 2);
    assert.ok(left !== undefined && late !== undefined);
    let told: number | undefined;
    const tarpit = new Tarpit({
      nowMs: () => 0,
      most: 2,
      onHeld: (count) => {
        told = count;
      },
    });
    tarpit.holdSocket(left.near);
    const closed = new Promise((resolve) => left.near.once('close', resolve));
    left.client.resetAndDestroy();
    await closed;
    assert.deepEqual([tarpit.size, told], [0, 0]);
    tarpit.close();
    tarpit.holdSocket(late.near);
    assert.equal(await late.ended, 'ECONNRESET');
  });
});
