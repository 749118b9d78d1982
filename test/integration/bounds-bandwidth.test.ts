import assert from 'node:assert/strict';
import { createHash, randomBytes } from 'node:crypto';
import { type TestContext, test } from 'node:test';
import type { Limits } from '../../src/domain/model.ts';
import { CREDIT_MS } from '../../src/domain/ratelimit/byte-line.ts';
import { echoServer, startUpstream } from '../support/echo-servers.ts';
import { type RunningBalancer, startBalancer, uncheckedGroup } from '../support/running-balancer.ts';

const KIB = 1024;
/** The largest chunk that a socket is read in. */
const CHUNK = 64 * KIB;

interface Bounds {
  readonly upload?: number;
  readonly download?: number;
}

const client = (clientId: string, targetGroup: string, bandwidth?: Bounds, limits: object = {}) => ({
  clientId,
  allowedTargetGroup: targetGroup,
  limits: { ...(bandwidth === undefined ? {} : { bandwidth }), ...limits },
});

/** Says, at each arrival, whether more has come than the bandwidth lets through in the time since the beginning. */
function ceiling(bytesPerSecond: number) {
  const startedMs = performance.now();
  let total = 0;
  return {
    add(bytes: number) {
      total += bytes;
      const most = (bytesPerSecond * (performance.now() - startedMs + CREDIT_MS)) / 1000 + CHUNK;
      assert.ok(total <= most, `${total} bytes have come, ${Math.floor(most)} are the most there may be`);
    },
  };
}

async function setLimits({ lb }: RunningBalancer, clientId: string, changes: Partial<Limits>): Promise<void> {
  const client = lb.snapshot.clients.get(clientId);
  assert.ok(client !== undefined);
  await lb.execute({ kind: 'updateClient', client: { ...client, limits: { ...client.limits, ...changes } } });
}

const bandwidth = (uploadBytesPerSecond?: number, downloadBytesPerSecond?: number) => ({
  bandwidth: { uploadBytesPerSecond, downloadBytesPerSecond },
});

/** A server that sends `size` random bytes to whoever connects; `sent` is the hash of each. */
async function sender(t: TestContext, size: number) {
  const body = randomBytes(size);
  const upstream = await startUpstream(t, (socket) => {
    socket.resume();
    socket.end(body);
  });
  return { upstream, hash: hashOf(body) };
}

function hashOf(bytes: Buffer): string {
  return createHash('sha256').update(bytes).digest('hex');
}

test('all connections of a client together get its bandwidth to it, over two workers, and lose nothing', async (t) => {
  const { upstream, hash } = await sender(t, 48 * KIB);
  const balancer = await startBalancer(t, {
    config: {
      targetGroups: [uncheckedGroup('files', [upstream.address])],
      clients: [client('slow', 'files', { download: 256 * KIB })],
    },
  });
  const certificate = await balancer.ca.issue({ cn: 'slow' });
  const bound = ceiling(256 * KIB);
  const clients = Array.from({ length: 8 }, () => balancer.connect(t, { certificate, halfOpen: true }));
  for (const { socket } of clients) {
    socket.on('data', (chunk: Buffer) => bound.add(chunk.length));
    socket.once('end', () => socket.end());
  }
  for (const each of clients) assert.equal(hashOf(await each.readAll()), hash);
  await balancer.nextLines(8);
  assert.ok(balancer.lb.stats.client('slow').paced.download > 0);
  assert.equal(balancer.lb.stats.client('slow').paced.upload, 0);
  balancer.assertIdle();
});

test('a client that is slowed down is not idle, and its end reaches the server after its last byte', async (t) => {
  const arrived = Promise.withResolvers<Buffer>();
  const bound = { check: ceiling(Number.POSITIVE_INFINITY) };
  const upstream = await startUpstream(t, (socket) => {
    const chunks: Buffer[] = [];
    socket.on('data', (chunk: Buffer) => {
      bound.check.add(chunk.length);
      chunks.push(chunk);
    });
    socket.on('end', () => {
      arrived.resolve(Buffer.concat(chunks));
      socket.end('thanks');
    });
  });
  const balancer = await startBalancer(t, {
    config: {
      // The second piece of what is sent waits for longer than either.
      timeouts: { idleTimeout: '1s', halfCloseTimeout: '1s' },
      targetGroups: [uncheckedGroup('files', [upstream.address])],
      clients: [client('slow', 'files', { upload: 8 * KIB })],
    },
  });
  const sent = randomBytes(24 * KIB);
  const slow = balancer.connect(t, { certificate: await balancer.ca.issue({ cn: 'slow' }), halfOpen: true });
  bound.check = ceiling(8 * KIB);
  slow.socket.end(sent);
  assert.deepEqual(await arrived.promise, sent);
  assert.equal((await slow.readAll()).toString(), 'thanks');
  assert.partialDeepStrictEqual(await balancer.nextLine(), { reason: 'client_closed', bytesUp: sent.length });
  balancer.assertIdle();
});

test('others do not wait for a client that does, and a bandwidth that is taken away holds nobody up any longer', async (t) => {
  const { upstream, hash } = await sender(t, 1024 * KIB);
  const balancer = await startBalancer(t, {
    config: {
      targetGroups: [uncheckedGroup('files', [upstream.address])],
      clients: [client('slow', 'files', { download: KIB }), client('free', 'files')],
    },
  });
  const connect = async (cn: string) => {
    const each = balancer.connect(t, { certificate: await balancer.ca.issue({ cn }), halfOpen: true });
    each.socket.once('end', () => each.socket.end());
    return each;
  };
  const slow = await Promise.all(Array.from({ length: 4 }, () => connect('slow')));
  await balancer.until(({ stats }) => stats.client('slow').paced.download > 0);
  assert.equal(hashOf(await (await connect('free')).readAll()), hash);
  assert.equal((await balancer.nextLine()).client, 'free');

  // At a kibibyte a second it would take an hour and more.
  await setLimits(balancer, 'slow', bandwidth());
  for (const each of slow) assert.equal(hashOf(await each.readAll()), hash);
  for (const line of await balancer.nextLines(4)) assert.partialDeepStrictEqual(line, { client: 'slow', reason: 'upstream_closed' });
  balancer.assertIdle();
});

test('neither another certificate of the client nor an edit of its bandwidth is a refill', async (t) => {
  const upstream = await echoServer(t);
  const balancer = await startBalancer(t, {
    config: {
      targetGroups: [uncheckedGroup('echo', [upstream.address])],
      clients: [client('slow', 'echo', { upload: KIB })],
    },
  });
  const { stats } = balancer.lb;
  const connect = async () => balancer.connect(t, { certificate: await balancer.ca.issue({ cn: 'slow' }) });
  const left = () => stats.headroom(balancer.lb.snapshot.clients.get('slow') ?? assert.fail()).upload;
  assert.equal(left(), Math.floor((KIB * CREDIT_MS) / 1000));

  const first = await connect();
  first.socket.write(Buffer.alloc(64 * KIB));
  await balancer.until(() => stats.client('slow').paced.upload > 0);
  assert.equal(left(), 0);
  const identity = { commonName: 'slow', dnsNames: [], uriNames: [], organizationalUnits: [], fingerprint: '0'.repeat(64) };
  const listener = balancer.lb.listeners()[0]?.name ?? assert.fail();
  const explanation = await balancer.lb.explain({ peer: { kind: 'identity', identity }, listener, sni: undefined, alpn: undefined });
  const step = explanation?.steps.find(({ name }) => name === 'bandwidth');
  assert.deepEqual(step, { name: 'bandwidth', passed: true, detail: 'upload 1024 bytes/s, all in use: it waits its turn' });

  /** Another certificate, with another key; what it sends waits. */
  const waits = async (words: string) => {
    const before = stats.client('slow').paced.upload;
    const renewed = await connect();
    renewed.socket.write(words);
    await balancer.until(() => stats.client('slow').paced.upload === before + words.length);
    assert.equal(left(), 0);
    return renewed;
  };
  const second = await waits('renewed');
  await setLimits(balancer, 'slow', bandwidth(2 * KIB));
  const third = await waits('edited');

  await setLimits(balancer, 'slow', bandwidth(1024 * KIB));
  await second.readUntil('renewed');
  await third.readUntil('edited');
  for (const each of [first, second, third]) each.tcp.resetAndDestroy();
  await balancer.nextLines(3);
  balancer.assertIdle();
});

test('a bandwidth in shadow counts what it would slow down, and slows nothing down', async (t) => {
  const upstream = await echoServer(t);
  const balancer = await startBalancer(t, {
    config: {
      targetGroups: [uncheckedGroup('echo', [upstream.address])],
      clients: [client('watched', 'echo', { upload: KIB, download: KIB }, { shadow: true })],
    },
  });
  const watched = balancer.connect(t, { certificate: await balancer.ca.issue({ cn: 'watched' }) });
  const body = `${'x'.repeat(256 * KIB)}end`;
  watched.socket.write(body);
  await watched.readUntil('end');
  const { stats } = balancer.lb;
  assert.ok((stats.client('watched').shadow.get('paced') ?? 0) > 0);
  assert.deepEqual(stats.client('watched').paced, { upload: 0, download: 0 });

  // What has passed counts when the limit holds again.
  await setLimits(balancer, 'watched', { shadow: false });
  watched.socket.write('more');
  await balancer.until(() => stats.client('watched').paced.upload === 'more'.length);
  await setLimits(balancer, 'watched', bandwidth());
  watched.socket.end();
  await watched.readAll();
  await balancer.nextLine();
  balancer.assertIdle();
});
