import assert from 'node:assert/strict';
import type { Socket } from 'node:net';
import { test } from 'node:test';
import { createTestCa } from '../support/certificates.ts';
import { startUpstream } from '../support/echo-servers.ts';
import { startBalancer, uncheckedGroup } from '../support/running-balancer.ts';
import { tapRecords } from '../support/tls-records.ts';

/** More than one record of TLS, and no more than the system takes in before anybody reads: a reset takes along what its sender still has. */
const TORSO = Buffer.alloc(60_000, 'torso ');

/** Does what the first word of the client says; notes how the connection ends. */
function obey(endings: string[]): (socket: Socket) => void {
  return (socket) => {
    socket.on('error', (error: NodeJS.ErrnoException) => endings.push(error.code ?? error.message));
    socket.on('end', () => endings.push('end'));
    socket.on('data', (chunk: Buffer) => {
      const [word = ''] = chunk.toString().split(' ');
      if (word === 'answer') socket.end('answered');
      if (word === 'echo') socket.write(chunk);
      // A reset right after the last byte: what was sent before must arrive all the same.
      if (word === 'break') socket.write(TORSO, () => socket.resetAndDestroy());
      if (word === 'snap') socket.write('torso', () => socket.resetAndDestroy());
    });
    socket.on('end', () => socket.end());
  };
}

test('a connection ends for the reason of the side that went first, and the other side learns how', async (t) => {
  const endings: string[] = [];
  const upstream = await startUpstream(t, obey(endings));
  const hostile = await startUpstream(t, (socket) => socket.resetAndDestroy());
  const ca = await createTestCa();
  const certificate = await ca.issue({ cn: 'alice' });
  const balancer = await startBalancer(t, {
    ca,
    config: {
      targetGroups: [uncheckedGroup('web', [upstream.address]), uncheckedGroup('hostile', [hostile.address])],
      clients: [
        { clientId: 'alice', allowedTargetGroup: 'web' },
        { clientId: 'bob', allowedTargetGroup: 'hostile' },
      ],
    },
  });
  const served = { client: 'alice', group: 'web', server: upstream.address, attempts: 1, msg: 'connection closed' };
  const endedUpstream = async () => {
    await upstream.idle();
    return endings.splice(0);
  };

  await t.test('client_closed', async (t) => {
    const client = balancer.connect(t, { certificate });
    client.socket.write('echo');
    await client.readUntil('echo');
    client.socket.end();
    await client.readAll();
    assert.partialDeepStrictEqual(await balancer.nextLine(), { ...served, reason: 'client_closed', bytesUp: 4, bytesDown: 4 });
    assert.deepEqual(await endedUpstream(), ['end']);
    balancer.assertIdle();
  });

  await t.test('upstream_closed: the client gets a TLS close', async (t) => {
    const tap = await tapRecords(t, balancer.port());
    const client = balancer.connect(t, { certificate, port: tap.port, tls: { maxVersion: 'TLSv1.2' } });
    client.socket.write('answer');
    assert.equal((await client.readAll()).toString(), 'answered');
    assert.equal(tap.records().at(-1), 'alert');
    assert.partialDeepStrictEqual(await balancer.nextLine(), { ...served, reason: 'upstream_closed', bytesUp: 6, bytesDown: 8 });
    assert.deepEqual(await endedUpstream(), ['end']);
    balancer.assertIdle();
  });

  await t.test('client_reset: the server gets a reset', async (t) => {
    const client = balancer.connect(t, { certificate });
    client.socket.write('echo');
    await client.readUntil('echo');
    client.tcp.resetAndDestroy();
    assert.partialDeepStrictEqual(await balancer.nextLine(), { ...served, reason: 'client_reset', bytesUp: 4, bytesDown: 4 });
    assert.deepEqual(await endedUpstream(), ['ECONNRESET']);
    balancer.assertIdle();
  });

  await t.test('client_reset: a client that breaks its TLS stream', async (t) => {
    const tap = await tapRecords(t, balancer.port());
    const client = balancer.connect(t, { certificate, port: tap.port });
    client.socket.write('echo');
    await client.readUntil('echo');
    // A record that nobody has encrypted.
    tap.inject(Buffer.concat([Buffer.from('1703030020', 'hex'), Buffer.alloc(32)]));
    assert.partialDeepStrictEqual(await balancer.nextLine(), { ...served, reason: 'client_reset', bytesUp: 4, bytesDown: 4 });
    assert.deepEqual(await endedUpstream(), ['ECONNRESET']);
    balancer.assertIdle();
  });

  for (const [word, torso] of [
    ['break', TORSO.toString()],
    ['snap', 'torso'],
  ] as const) {
    await t.test(`upstream_reset: the client gets all that had arrived, then an end without a TLS close (${word})`, async (t) => {
      const tap = await tapRecords(t, balancer.port());
      const client = balancer.connect(t, { certificate, port: tap.port, tls: { maxVersion: 'TLSv1.2' } });
      client.socket.write(word);
      assert.equal((await client.readAll()).toString(), torso);
      assert.equal(tap.records().at(-1), 'application_data');
      const line = await balancer.nextLine();
      assert.partialDeepStrictEqual(line, { ...served, reason: 'upstream_reset', bytesUp: word.length, bytesDown: torso.length });
      assert.ok(line.durationMs < 30_000, `nothing waits for halfCloseTimeout: ${line.durationMs} ms`);
      await endedUpstream();
      balancer.assertIdle();
    });
  }

  await t.test('a server that accepts and resets at once is found out during the connect or right after it', async (t) => {
    const client = balancer.connect(t, { certificate: await ca.issue({ cn: 'bob' }) });
    await client.ending;
    const line = await balancer.nextLine();
    assert.match(line.reason, /^upstream_(reset|connect_failed)$/);
    assert.partialDeepStrictEqual(line, { client: 'bob', bytesUp: 0, bytesDown: 0 });
    balancer.assertIdle();
  });
});
