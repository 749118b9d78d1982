import assert from 'node:assert/strict';
import { once } from 'node:events';
import { connect, createServer, type Server, type Socket, type TcpNetConnectOpts } from 'node:net';
import { describe, it, type TestContext } from 'node:test';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { connect as connectTls, createServer as createTlsServer } from 'node:tls';
import type { Pace } from '../../../src/dataplane/flow.ts';
import { ReadTurns } from '../../../src/dataplane/read-turns.ts';
import { Splice } from '../../../src/dataplane/splice.ts';
import { monotonicMs } from '../../../src/shared/clock.ts';
import { connectLending, kept, tryLending } from '../../../src/shared/lent-buffer.ts';
import { createTestCa } from '../../support/certificates.ts';
import { startUpstream } from '../../support/echo-servers.ts';
import { digest, digestOf, send } from '../../support/random-streams.ts';

const STREAMS = 40;
const KINDS = ['TLS', 'plain'] as const;
/** The longest record of TLS. */
const RECORD_BYTES = 16_384;
const DAY_MS = 86_400_000;

const atOnce: Pace = (_direction, bytes, pass) => {
  pass(bytes);
  return undefined;
};

/** Holds every third chunk, from somewhere in it, for a turn of the event loop. */
function nowAndThen(): Pace {
  let chunks = 0;
  return (_direction, bytes, pass) => {
    if (chunks++ % 3 > 0) {
      pass(bytes);
      return undefined;
    }
    const part = chunks % bytes;
    if (part > 0) pass(part);
    const turn = setImmediate(() => pass(bytes - part));
    return { passNow: () => undefined, drop: () => clearImmediate(turn) };
  };
}

function portOf(server: Server): number {
  const address = server.address();
  assert.ok(address !== null && typeof address === 'object');
  return address.port;
}

/** How many bytes come until the end. */
async function lengthOf(socket: Socket): Promise<number> {
  let bytes = 0;
  socket.on('data', (chunk: Buffer) => {
    bytes += chunk.length;
  });
  await once(socket, 'end');
  return bytes;
}

type Open = (options: TcpNetConnectOpts) => Socket;
type Kind = 'TLS' | 'plain';

/** Splices clients of a kind to the server; returns what connects one. */
async function splicing(
  t: TestContext,
  kind: Kind,
  address: string,
  open: Open,
  pace: Pace,
  onClient: (client: Socket, reason: Promise<string>) => void,
  until: (client: Socket) => Promise<void> = async () => undefined,
): Promise<() => Promise<Socket>> {
  const [host = '', port = ''] = address.split(':');
  const ca = await createTestCa();
  const { certPem, keyPem } = await ca.issueServer();
  const serve = async (client: Socket) => {
    await until(client);
    const splice = new Splice({
      client,
      upstream: open({ port: Number(port), host, allowHalfOpen: true }),
      timeouts: { idleMs: DAY_MS, halfCloseMs: DAY_MS, maxDurationMs: undefined },
      nowMs: monotonicMs,
      resetClient: () => client.destroy(),
      onBytes: () => undefined,
      pace,
      turns: new ReadTurns(),
    });
    onClient(client, splice.run());
  };
  const server =
    kind === 'plain'
      ? createServer({ allowHalfOpen: true }, serve)
      : createTlsServer({ cert: certPem, key: keyPem, allowHalfOpen: true }, serve);
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  t.after(() => server.close());
  return async () => {
    const tcp = connect({ port: portOf(server), host: '127.0.0.1', allowHalfOpen: true });
    t.after(() => tcp.destroy());
    if (kind === 'plain') {
      await once(tcp, 'connect');
      return tcp;
    }
    const socket = connectTls({ socket: tcp, ca: ca.caPem, servername: 'localhost' });
    t.after(() => socket.destroy());
    await once(socket, 'secureConnect');
    return socket;
  };
}

/** Clients spliced to plain servers that send them one stream each and say what they got. */
async function carry(t: TestContext, kind: Kind, open: Open, pace: Pace): Promise<void> {
  const digests: Promise<string>[] = [];
  const upstream = await startUpstream(t, (socket) => {
    const number = digests.length + 1;
    digests.push(digest(socket, number));
    void send(socket, number);
  });
  const reasons: Promise<string>[] = [];
  const connectClient = await splicing(t, kind, upstream.address, open, pace, (_client, reason) => reasons.push(reason));
  const received = await Promise.all(
    Array.from({ length: STREAMS }, async (_, index) => {
      const socket = await connectClient();
      const [got] = await Promise.all([digest(socket, STREAMS + index + 1), send(socket, STREAMS + index + 1)]);
      return got;
    }),
  );
  const numbers = Array.from({ length: STREAMS }, (_, index) => index + 1);
  assert.deepEqual(received.toSorted(), numbers.map(digestOf).toSorted());
  assert.deepEqual((await Promise.all(digests)).toSorted(), numbers.map((number) => digestOf(STREAMS + number)).toSorted());
  for (const reason of await Promise.all(reasons)) assert.match(reason, /^(client|upstream)_closed$/);
}

describe('reads into a buffer that is lent', () => {
  for (const [pacing, pace] of [
    ['', atOnce],
    [' whose chunks are held now and then', nowAndThen()],
  ] as const)
    for (const kind of KINDS)
      it(`are not tried yet: ${STREAMS} streams of ${kind} clients are carried both ways unchanged${pacing}`, (t) =>
        carry(t, kind, connectLending, pace));

  it('may be relied on here', async () => {
    assert.equal(await tryLending(), true);
  });

  for (const kind of KINDS)
    for (const [reads, open] of [
      ['one buffer for all', connectLending],
      ['a buffer for each read of a server', connect],
    ] as const) {
      const streams = `${STREAMS} streams of ${kind} clients both ways unchanged`;
      it(`carry ${streams}, with ${reads}`, (t) => carry(t, kind, open, atOnce));
      it(`carry ${streams} whose chunks are held now and then, with ${reads}`, (t) => carry(t, kind, open, nowAndThen()));
    }

  for (const kind of KINDS) describe(`of ${kind} clients`, () => ofClients(kind));

  it('wait for their listener, lose nothing, and are kept only as copies', async (t) => {
    const upstream = await startUpstream(t, (socket) => {
      socket.write('one');
      socket.once('data', () => socket.end('two'));
    });
    const [host = '', port = ''] = upstream.address.split(':');
    const socket = connectLending({ port: Number(port), host });
    t.after(() => socket.destroy());
    await once(socket, 'connect');
    const chunks: { readonly lent: Buffer; readonly own: Buffer }[] = [];
    socket.on('data', (chunk: Buffer) => {
      chunks.push({ lent: chunk, own: kept(chunk) });
      socket.write('next');
    });
    assert.ok(socket.isPaused());
    socket.resume();
    await once(socket, 'end');
    assert.deepEqual(
      chunks.map(({ own }) => String(own)),
      ['one', 'two'],
    );
    assert.equal(String(chunks[0]?.lent), 'two');
    const own = Buffer.from('own');
    assert.equal(kept(own), own);
  });
});

function ofClients(kind: Kind): void {
  it('do not reach what waits for a client that does not read', async (t) => {
    const sockets: Socket[] = [];
    const upstream = await startUpstream(t, (socket) => {
      sockets.push(socket);
      socket.resume();
    });
    const clients: Socket[] = [];
    const connectClient = await splicing(t, kind, upstream.address, connectLending, atOnce, (client) => clients.push(client));
    const slow = await connectClient();
    while (sockets.length < 1 || clients.length < 1) await nextTurn();
    const [slowServer, slowSide] = [sockets[0], clients[0]];
    assert.ok(slowServer !== undefined && slowSide !== undefined);
    // Small enough that the pipe goes on reading, until the system takes no more and what comes then waits in this process.
    const chunk = Buffer.alloc(4096, 'a');
    let sent = 0;
    for (let waiting = 0; waiting < 5; waiting = slowSide.writableLength > chunk.length ? waiting + 1 : 0) {
      slowServer.write(chunk);
      sent += chunk.length;
      await nextTurn();
    }
    const quick = await connectClient();
    while (sockets.length < 2) await nextTurn();
    sockets[1]?.write(Buffer.alloc(chunk.length, 'b'));
    await once(quick, 'data');
    slowServer.end();
    let got = 0;
    slow.on('data', (part: Buffer) => {
      assert.ok(part.every((byte) => byte === 97));
      got += part.length;
    });
    await once(slow, 'end');
    assert.equal(got, sent);
  });

  it('do not reach what waits for a server that does not read', async (t) => {
    const sockets: Socket[] = [];
    const upstream = await startUpstream(t, (socket) => sockets.push(socket.pause()));
    const ends: Socket[] = [];
    const open: Open = (options) => {
      const end = connectLending(options);
      ends.push(end);
      return end;
    };
    const connectClient = await splicing(t, kind, upstream.address, open, atOnce, () => undefined);
    const slow = await connectClient();
    while (sockets.length < 1 || ends.length < 1) await nextTurn();
    const [slowServer, slowEnd] = [sockets[0], ends[0]];
    assert.ok(slowServer !== undefined && slowEnd !== undefined);
    const chunk = Buffer.alloc(4096, 'a');
    let sent = 0;
    for (let waiting = 0; waiting < 5; waiting = slowEnd.writableLength > 0 ? waiting + 1 : 0) {
      slow.write(chunk);
      sent += chunk.length;
      await nextTurn();
    }
    const quick = await connectClient();
    while (sockets.length < 2) await nextTurn();
    quick.write(Buffer.alloc(4 * RECORD_BYTES, 'b'));
    const [quickServer] = sockets.slice(1);
    assert.ok(quickServer !== undefined);
    await once(quickServer.resume(), 'data');
    slow.end();
    let got = 0;
    slowServer.on('data', (part: Buffer) => {
      assert.ok(part.every((byte) => byte === 97));
      got += part.length;
    });
    slowServer.resume();
    await once(slowServer, 'end');
    assert.equal(got, sent);
  });

  it('give on full records before the end that follows them', async (t) => {
    const received: Promise<number>[] = [];
    const upstream = await startUpstream(t, (socket) => received.push(lengthOf(socket)));
    const connectClient = await splicing(t, kind, upstream.address, connectLending, atOnce, () => undefined);
    for (let records = 1; records <= 9; records++) {
      const client = await connectClient();
      client.end(Buffer.alloc(records * RECORD_BYTES));
      while (received.length < records) await nextTurn();
      assert.equal(await received[records - 1], records * RECORD_BYTES);
    }
  });

  it('come after what had arrived before', async (t) => {
    const digests: Promise<string>[] = [];
    const upstream = await startUpstream(t, (socket) => {
      digests.push(digest(socket, 1));
      socket.end();
    });
    const hasSpoken = async (client: Socket) => {
      while (client.readableLength === 0) await nextTurn();
    };
    const connectClient = await splicing(t, kind, upstream.address, connectLending, atOnce, () => undefined, hasSpoken);
    await send(await connectClient(), 1);
    while (digests.length < 1) await nextTurn();
    assert.equal(await digests[0], digestOf(1));
  });
}
