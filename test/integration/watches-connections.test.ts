import assert from 'node:assert/strict';
import { test } from 'node:test';
import { status as Code } from '@grpc/grpc-js';
import {
  type Connection,
  WatchConnectionsResponse_Kind as Kind,
  ListConnectionsRequest,
  AdminServiceService as rpc,
  WatchConnectionsRequest,
  type WatchConnectionsResponse,
} from '../../src/gen/lb/admin/v1/admin.ts';
import { ask, refusalIn, refused, type Watch, watch } from '../support/admin-server.ts';
import { roundTrip } from '../support/daemon-clients.ts';
import { tcpClient } from '../support/tcp-client.ts';
import { assertServed, startTwoGroups } from '../support/two-group-daemon.ts';

const filtered = (filter: Parameters<typeof WatchConnectionsRequest.fromPartial>[0]['filter']) =>
  WatchConnectionsRequest.fromPartial({ filter });

/** What is told before SYNCED. */
async function stateOf(stream: Watch<WatchConnectionsResponse>): Promise<WatchConnectionsResponse[]> {
  const state: WatchConnectionsResponse[] = [];
  for (;;) {
    const message = await stream.next();
    if (message.kind === Kind.SYNCED) return state;
    state.push(message);
  }
}

const idOf = ({ connection }: WatchConnectionsResponse) => connection?.id ?? assert.fail('a message without a connection');

test('a connection is told with all its facts when it opens and when it closes', async (t) => {
  const { admin, knock, servers } = await startTwoGroups(t);
  const stream = watch(admin, rpc.watchConnections, filtered({}));
  assert.deepEqual(await stateOf(stream), []);

  const client = await knock('clientA', 'db');
  await roundTrip(client, 'hello');
  const opened = await stream.next();
  assert.equal(opened.kind, Kind.OPENED);
  const { id, openedAt, remote, ...facts } = opened.connection ?? assert.fail();
  assert.match(id, /^[01]-\d+$/);
  assert.equal(remote, `127.0.0.1:${client.tcp.localPort}`);
  assert.ok(openedAt instanceof Date && Math.abs(openedAt.getTime() - Date.now()) < 60_000);
  assert.deepEqual(facts, {
    listener: 'main',
    clientId: 'clientA',
    identity: 'clientA',
    targetGroup: 'db',
    server: servers.db.address,
    bytesFromClient: 0n,
    bytesToClient: 0n,
    via: '',
    waiting: undefined,
  });

  client.socket.end();
  const closed = await stream.next();
  assert.equal(closed.kind, Kind.CLOSED);
  assert.equal(closed.reason, 'client_closed');
  assert.deepEqual(
    [closed.connection?.id, closed.connection?.bytesFromClient, closed.connection?.bytesToClient],
    [id, BigInt('hello\n'.length), BigInt('hello\n'.length)],
  );

  await (await knock('stranger', 'db')).ending;
  const denied = await stream.next();
  assert.equal(denied.kind, Kind.REFUSED);
  assert.deepEqual([denied.reason, denied.connection?.identity, denied.connection?.openedAt], ['unknown_client', 'stranger', undefined]);
});

test('streams that begin amid many short connections tell each event once, and lose none', async (t) => {
  const { admin, knock, daemon, hold } = await startTwoGroups(t);
  const staying = await hold('clientB', 'web', 5);
  const SHORT = 240;
  const streams: Promise<Map<string, string[]>>[] = [];
  const firstIsSynced = Promise.withResolvers<void>();
  const tell = async (stream: Watch<WatchConnectionsResponse>) => {
    const told = new Map<string, string[]>();
    // The last connection ends with a refusal, after everything else has.
    for (;;) {
      const message = await stream.next();
      if (message.kind === Kind.SYNCED) {
        firstIsSynced.resolve();
        continue;
      }
      if (message.kind === Kind.REFUSED && message.connection?.identity === 'the end') return told;
      const kinds = told.get(idOf(message)) ?? [];
      told.set(idOf(message), [...kinds, message.kind]);
    }
  };
  const one = async () => {
    const client = await knock('clientA', 'db');
    await roundTrip(client, 'x');
    client.socket.end();
    await client.ending;
  };
  for (let done = 0; done < SHORT; done += 12) {
    if (done % 48 === 0) streams.push(tell(watch(admin, rpc.watchConnections, filtered({}))));
    // Before, a connection may be over that the first stream is to tell of.
    await firstIsSynced.promise;
    await Promise.all(Array.from({ length: 12 }, one));
  }
  const ended = (line: Readonly<Record<string, unknown>>) => line['reason'] === 'client_closed';
  let seen = 0;
  await daemon.waitForLog((line) => ended(line) && ++seen === SHORT);
  // Both workers have to have told everything: enough last connections that each has one.
  for (let last = 0; last < 12; last++) await (await knock('other end', 'db')).ending;
  await (await knock('the end', 'db')).ending;

  const log = new Set(daemon.logs.filter(ended).map(({ id }) => String(id)));
  assert.equal(log.size, SHORT);
  for (const [index, stream] of (await Promise.all(streams)).entries()) {
    const kept = [...stream].filter(([, kinds]) => kinds.length === 1 && kinds[0] === Kind.STATE);
    assert.equal(kept.length, staying.length, `the connections that stay are state in stream ${index}`);
    for (const [id, kinds] of stream) {
      if (kinds[0] === Kind.STATE && kinds.length === 1) continue;
      if (kinds[0] === Kind.REFUSED) assert.equal(kinds.length, 1);
      // One whose server was being dialled when the stream began is state that waits.
      else assert.match(kinds.join(' '), /^KIND_(STATE|OPENED|WAITING KIND_OPENED) KIND_CLOSED$/, id);
    }
  }
  const [first] = await Promise.all(streams);
  for (const id of log) assert.ok(first?.has(id), `the first stream was told of ${id}`);
  await assertServed(staying, 'x');
});

test('a filter holds for the state and for the events; a reason is that of an end', async (t) => {
  const { admin, hold } = await startTwoGroups(t);
  await hold('clientB', 'web', 2);
  const [held] = await hold('clientA', 'db', 1);
  const ofDb = watch(admin, rpc.watchConnections, filtered({ targetGroup: 'db' }));
  const resets = watch(admin, rpc.watchConnections, filtered({ reason: 'client_reset' }));
  const [state, ...none] = await stateOf(ofDb);
  assert.deepEqual([state?.kind, state?.connection?.clientId, none.length], [Kind.STATE, 'clientA', 0]);
  assert.deepEqual(await stateOf(resets), []);

  const [other] = await hold('clientB', 'web', 1);
  other?.socket.end();
  held?.tcp.resetAndDestroy();
  for (const stream of [ofDb, resets]) {
    const closed = await stream.next();
    assert.deepEqual([closed.kind, closed.reason, idOf(closed)], [Kind.CLOSED, 'client_reset', state?.connection?.id]);
  }
  const unknown = refusalIn(await watch(admin, rpc.watchConnections, filtered({ reason: 'nonsense' })).ended());
  assert.deepEqual(unknown.fields, ['filter.reason']);
});

test('a reader that stalls is dropped with the reason, and the connections do not notice', async (t) => {
  const { admin, daemon, hold } = await startTwoGroups(t);
  const staying = await hold('clientB', 'web', 2);
  const stalled = watch(admin, rpc.watchConnections, filtered({}));
  await stalled.next();
  stalled.stream.pause();
  const dropped = new Promise<void>((resolve) => stalled.stream.once('status', () => resolve()));
  let ended = false;
  void dropped.then(() => {
    ended = true;
  });
  // What is not TLS is refused at once: the cheapest events there are. Those that the transport holds come before the bound.
  const attempts = async () => {
    for (let made = 0; made < 4000 && !ended; made++) {
      const { socket, ending } = await tcpClient(t, daemon.port);
      socket.write('this is not TLS\n');
      await ending;
    }
  };
  await Promise.all(Array.from({ length: 8 }, attempts));
  const status = await stalled.ended();
  const refusal = refusalIn(status);
  assert.deepEqual([refusal.code, refusal.reason], [Code.RESOURCE_EXHAUSTED, 'SLOW_READER']);
  await assertServed(staying, 'untouched');
});

test('ListConnections tells the oldest first, page by page, across the workers', async (t) => {
  const { admin, hold } = await startTwoGroups(t);
  for (let made = 0; made < 15; made++) await hold(made % 3 === 0 ? 'clientB' : 'clientA', 'web', 1);
  const listed: Connection[] = [];
  let pages = 0;
  for (let pageToken = '', more = true; more; pages++) {
    const page = await ask(admin, rpc.listConnections, ListConnectionsRequest.fromPartial({ pageSize: 4, pageToken }));
    listed.push(...page.connections);
    pageToken = page.nextPageToken;
    more = pageToken !== '';
  }
  assert.deepEqual([listed.length, pages], [15, 4]);
  const times = listed.map(({ openedAt }) => openedAt?.getTime() ?? assert.fail());
  assert.deepEqual(
    times,
    times.toSorted((a, b) => a - b),
  );
  assert.equal(new Set(listed.map(({ id }) => id)).size, 15);
  assert.equal(new Set(listed.map(({ id }) => id.split('-')[0])).size, 2, 'both workers had some');

  const ofB = await ask(admin, rpc.listConnections, ListConnectionsRequest.fromPartial({ filter: { clientId: 'clientB' } }));
  assert.deepEqual([ofB.connections.length, ofB.nextPageToken], [5, '']);
  for (const request of [{ pageToken: 'x' }, { filter: { reason: 'client_closed' } }, { filter: { server: 'nowhere' } }]) {
    assert.equal((await refused(ask(admin, rpc.listConnections, ListConnectionsRequest.fromPartial(request)))).code, Code.INVALID_ARGUMENT);
  }
});
