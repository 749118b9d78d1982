import assert from 'node:assert/strict';
import { createInterface } from 'node:readline';
import { type TestContext, test } from 'node:test';
import { status as Code, type ServerWritableStream } from '@grpc/grpc-js';
import { AdminServer } from '../../src/admin/server.ts';
import {
  HealthState,
  WatchHealthResponse_Kind as Kind,
  type RemoveUpstreamServerRequest,
  RemoveUpstreamServerResponse,
  type WatchConnectionsRequest,
  WatchConnectionsResponse,
  WatchConnectionsResponse_Kind,
  type WatchHealthRequest,
  WatchHealthResponse,
  WatchStatsResponse,
} from '../../src/gen/lb/admin/v1/admin.ts';
import { startAdmin, TEST_ROLES } from '../support/admin-server.ts';
import { faultyLink } from '../support/faulty-link.ts';
import { lbctlEnv, type RunningLbctl, startLbctl } from '../support/lbctl.ts';
import { type Handlers, startScriptedAdmin } from '../support/scripted-admin.ts';
import { temporaryFolder } from '../support/temp-dir.ts';

/** lbctl over a link that can be cut. */
async function start(t: TestContext, handlers: Handlers, ...args: readonly string[]) {
  const env = await startScriptedAdmin(t, handlers);
  const link = await faultyLink(t, Number(env['LBCTL_ADDR']?.split(':').at(-1)));
  const running = startLbctl(t, [...args, '--addr', link.address, '--server-name', 'localhost'], { env });
  return { link, running, stderr: stderrLines(running) };
}

function stderrLines({ child }: RunningLbctl): () => Promise<string> {
  if (child.stderr === null) throw new Error('lbctl has no standard error');
  const lines = createInterface({ input: child.stderr })[Symbol.asyncIterator]();
  return async () => (await lines.next()).value ?? '';
}

const changed = (revision: bigint) =>
  WatchHealthResponse.fromPartial({ kind: Kind.CHANGED, targetGroup: 'web', server: 'a:1', to: HealthState.HEALTHY, revision });

test('a health watch goes on after the last revision it has seen', async (t) => {
  const asked: bigint[] = [];
  const watchHealth = (call: ServerWritableStream<WatchHealthRequest, WatchHealthResponse>) => {
    asked.push(call.request.sinceRevision);
    if (asked.length === 1) {
      call.write(WatchHealthResponse.fromPartial({ kind: Kind.STATE, revision: 10n }));
      call.write(WatchHealthResponse.fromPartial({ kind: Kind.SYNCED, revision: 10n }));
      call.write(changed(11n));
    } else call.write(changed(12n));
  };
  const { link, running, stderr } = await start(t, { watchHealth }, 'watch-health', '-o', 'json');
  for (const revision of [10, 10, 11]) assert.equal(JSON.parse(await running.nextLine()).revision, revision);
  link.resetAll();
  assert.equal(JSON.parse(await running.nextLine()).revision, 12);
  assert.deepEqual(asked, [0n, 11n]);
  assert.match(await stderr(), /^lbctl: lost the connection to \S+; is lbd still running\?; trying again$/);
  assert.match(await stderr(), /^lbctl: connected to \S+ again$/);
  running.child.kill('SIGINT');
  assert.equal(await running.exited, 0);
});

test('what the server no longer keeps is said, and the state comes anew', async (t) => {
  const asked: bigint[] = [];
  const watchHealth = (call: ServerWritableStream<WatchHealthRequest, WatchHealthResponse>) => {
    asked.push(call.request.sinceRevision);
    if (asked.length === 2) {
      call.emit('error', { code: Code.OUT_OF_RANGE, details: 'compacted' });
      return;
    }
    call.write(WatchHealthResponse.fromPartial({ kind: Kind.SYNCED, revision: 20n }));
    call.write(changed(21n));
  };
  const { link, running, stderr } = await start(t, { watchHealth }, 'watch-health', '-o', 'json');
  for (const revision of [20, 21]) assert.equal(JSON.parse(await running.nextLine()).revision, revision);
  link.resetAll();
  for (const revision of [20, 21]) assert.equal(JSON.parse(await running.nextLine()).revision, revision);
  assert.deepEqual(asked, [0n, 21n, 0n]);
  assert.match(await stderr(), /trying again/);
});

test('watches of counters and connections begin again, and say what they have missed', async (t) => {
  const handlers: Handlers = {
    watchStats: (call: ServerWritableStream<unknown, WatchStatsResponse>) => call.write(WatchStatsResponse.fromPartial({})),
    watchConnections: (call: ServerWritableStream<unknown, WatchConnectionsResponse>) =>
      call.write(WatchConnectionsResponse.fromPartial({ kind: WatchConnectionsResponse_Kind.STATE })),
  };
  for (const command of ['watch-stats', 'watch-connections']) {
    const { link, running, stderr } = await start(t, handlers, command, '--count', '2', '-o', 'json');
    await running.nextLine();
    link.resetAll();
    await running.nextLine();
    assert.match(await stderr(), /trying again$/);
    const missed = '; what opened, closed or was refused meanwhile is missed; the connections that are open now follow';
    const again = await stderr();
    assert.equal(again.endsWith(missed), command === 'watch-connections', again);
    assert.equal(await running.exited, 0, command);
  }
});

const REMOVE = ['remove-upstream-server', '--target-group', 'web', '--server', 'a:1', '--deadline', '5m', '--reset'];

test('a removal whose connection is lost says that it is made, and goes on to watch what is left', async (t) => {
  const removed: RemoveUpstreamServerRequest[] = [];
  const filters: unknown[] = [];
  const event = (kind: WatchConnectionsResponse_Kind, id: string) => WatchConnectionsResponse.fromPartial({ kind, connection: { id } });
  const handlers: Handlers = {
    removeUpstreamServer: (call: ServerWritableStream<RemoveUpstreamServerRequest, RemoveUpstreamServerResponse>) => {
      removed.push(call.request);
      call.write(RemoveUpstreamServerResponse.fromPartial({ revision: 12n, connectionsLeft: 3n }));
    },
    watchConnections: (call: ServerWritableStream<WatchConnectionsRequest, WatchConnectionsResponse>) => {
      filters.push(call.request.filter);
      for (const id of ['1', '2']) call.write(event(WatchConnectionsResponse_Kind.STATE, id));
      call.write(WatchConnectionsResponse.fromPartial({ kind: WatchConnectionsResponse_Kind.SYNCED }));
      for (const id of ['2', '1']) call.write(event(WatchConnectionsResponse_Kind.CLOSED, id));
    },
  };
  const { link, running, stderr } = await start(t, handlers, ...REMOVE);
  assert.equal(await running.nextLine(), 'removed a:1 from web (revision 12)');
  assert.equal(await running.nextLine(), '3 connections left');
  link.resetAll();
  assert.match(
    await stderr(),
    /^lbctl: a:1 is removed from web already \(revision 12\); its connections are looked for as soon as lbd answers$/,
  );
  assert.deepEqual(
    [await running.nextLine(), await running.nextLine(), await running.nextLine()],
    ['2 connections left', '1 connection left', 'done: no connections left'],
  );
  assert.equal(await running.exited, 0);
  assert.equal(removed.length, 1);
  assert.partialDeepStrictEqual(filters.at(-1), { targetGroup: 'web', server: 'a:1' });
});

test('a removal whose report ends because lbd stops is not taken for done', async (t) => {
  const handlers: Handlers = {
    removeUpstreamServer: (call: ServerWritableStream<unknown, RemoveUpstreamServerResponse>) => {
      call.write(RemoveUpstreamServerResponse.fromPartial({ revision: 12n, connectionsLeft: 3n }));
      call.end();
    },
    watchConnections: (call: ServerWritableStream<unknown, WatchConnectionsResponse>) =>
      call.write(WatchConnectionsResponse.fromPartial({ kind: WatchConnectionsResponse_Kind.SYNCED })),
  };
  const { running, stderr } = await start(t, handlers, ...REMOVE);
  for (let line = 0; line < 2; line++) await running.nextLine();
  assert.match(await stderr(), /a:1 is removed from web already \(revision 12\)/);
  assert.equal(await running.nextLine(), 'done: no connections left');
  assert.equal(await running.exited, 0);
});

test('without reconnecting, a removal whose connection is lost says what is made and how to see the rest', async (t) => {
  const handlers: Handlers = {
    removeUpstreamServer: (call: ServerWritableStream<unknown, RemoveUpstreamServerResponse>) =>
      call.write(RemoveUpstreamServerResponse.fromPartial({ revision: 12n, connectionsLeft: 3n })),
  };
  const { link, running, stderr } = await start(t, handlers, ...REMOVE, '--no-reconnect');
  for (let line = 0; line < 2; line++) await running.nextLine();
  link.resetAll();
  const list = 'lbctl list-connections --target-group web --server a:1 shows what is left';
  const said = await stderr();
  assert.match(said, /^lbctl: lost the connection to \S+; is lbd still running\?; a:1 is removed from web already \(revision 12\): /);
  assert.ok(said.endsWith(list), said);
  assert.equal(await running.exited, 3);
});

test('a health watch misses nothing while the admin server is stopped and started again', async (t) => {
  const admin = await startAdmin(t);
  const files = await admin.ca.writeTo(await temporaryFolder(t), { viewer: await admin.certificate('viewer') });
  const env = lbctlEnv(admin.target, files.caCert, files.viewer);
  admin.health.turn('web', '127.0.0.1:8081', 'healthy', 'connected');
  const watch = startLbctl(t, ['watch-health'], { env });
  const stderr = stderrLines(watch);
  assert.match(await watch.nextLine(), /8081 +healthy/);
  // Seen, so that it is after the state.
  admin.health.turn('web', '127.0.0.1:8082', 'healthy', 'connected');
  assert.match(await watch.nextLine(), /8082 +unknown -> healthy/);
  const { host, port } = admin.server.address;
  await admin.server.stop(0);
  assert.match(await stderr(), /trying again$/);
  admin.health.turn('web', '127.0.0.1:8081', 'unhealthy', 'connection refused');
  const again = await AdminServer.start(admin.context, { address: { host, port }, material: await admin.material(), roles: TEST_ROLES });
  t.after(() => again.stop(0));
  assert.match(await watch.nextLine(), /8081 +healthy -> unhealthy +connection refused/);
  watch.child.kill('SIGINT');
  assert.equal(await watch.exited, 0);
});
