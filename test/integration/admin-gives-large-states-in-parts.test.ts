import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import * as proto from '../../src/gen/lb/admin/v1/admin.ts';
import { ask, startAdmin, type TestAdmin, watch } from '../support/admin-server.ts';
import { lbctl, lbctlEnv } from '../support/lbctl.ts';
import { sampleClient, sampleGroup } from '../support/sample-state.ts';
import { temporaryFolder } from '../support/temp-dir.ts';

const rpc = proto.AdminServiceService;
const GROUPS = 3;
const SERVERS = 1_200;
const CLIENTS = 1_100;
/** The most of one kind in one answer. */
const PAGE = 500;

/** An admin server over more than fits one page of anything; nothing of it is in the order of its name. */
async function startLarge(t: Pick<TestContext, 'after'>): Promise<TestAdmin> {
  const admin = await startAdmin(t);
  const addresses = (group: number) => Array.from({ length: SERVERS / GROUPS }, (_, index) => `10.0.${group}.1:${9_000 - index}`);
  const targetGroups = Array.from({ length: GROUPS }, (_, group) => sampleGroup(`g${GROUPS - group}`, addresses(group)));
  const clients = Array.from({ length: CLIENTS }, (_, index) => sampleClient(`c${index}`, ['g1']));
  await admin.authority.execute({ kind: 'replaceAll', listeners: [], targetGroups, clients, revocations: [] }, { actor: 'test' });
  return admin;
}

const nameOf = ({ targetGroup, server }: proto.UpstreamServerStatus) => `${targetGroup} ${server?.address}`;
const idOf = ({ client }: proto.ClientStatus) => client?.clientId ?? '';

/** The names on every page of a list that is asked for without a page size. */
async function everyPage<Reply extends { readonly nextPageToken: string }>(
  next: (pageToken: string) => Promise<Reply>,
  namesOf: (page: Reply) => readonly string[],
): Promise<string[][]> {
  const pages: string[][] = [];
  let pageToken = '';
  do {
    const page = await next(pageToken);
    pages.push([...namesOf(page)]);
    pageToken = page.nextPageToken;
  } while (pageToken !== '' && pages.length < 100);
  return pages;
}

function assertWhole(pages: readonly string[][], total: number): void {
  const all = pages.flat();
  assert.equal(new Set(all).size, total, 'each is there, and once');
  assert.equal(all.length, total);
  assert.deepEqual(all, [...all].sort());
  assert.ok(pages.every(({ length }) => length <= PAGE));
}

test('a list that is asked for without a page size has a bounded one, and so has one that asks for more', async (t) => {
  const admin = await startLarge(t);
  const viewer = await admin.as('viewer');

  const servers = await everyPage(
    (pageToken) => ask(viewer, rpc.listUpstreamServers, { targetGroup: '', pageSize: 0, pageToken }),
    (page) => page.servers.map(nameOf),
  );
  assertWhole(servers, SERVERS);
  const clients = await everyPage(
    (pageToken) => ask(viewer, rpc.listClients, { pageSize: 100_000, pageToken }),
    (page) => page.clients.map(idOf),
  );
  assertWhole(clients, CLIENTS);
  const groups = await everyPage(
    (pageToken) => ask(viewer, rpc.listTargetGroups, { pageSize: 0, pageToken }),
    (page) => page.targetGroups.map(({ name }) => name),
  );
  assert.deepEqual(groups, [['g1'], ['g2'], ['g3']], 'two groups have more servers than one answer takes');
});

test('the counters of servers come in pages, the total with each', async (t) => {
  const admin = await startLarge(t);
  const viewer = await admin.as('viewer');
  const server = admin.slots.serverSlot('g3', '10.0.0.1:9000') ?? assert.fail('it has no slot');
  admin.worker.reserveServer(server, 0);
  admin.worker.countFailed(server);

  for (const next of [
    (pageToken: string) => ask(viewer, rpc.getActiveConnections, { targetGroup: '', pageSize: 0, pageToken }),
    (pageToken: string) => ask(viewer, rpc.getFailedConnections, { server: '', pageSize: 0, pageToken }),
  ]) {
    const pages = await everyPage(next, ({ total, servers }) => {
      assert.equal(total, 1n);
      return servers.map((each) => `${each.targetGroup} ${each.server}`);
    });
    assertWhole(pages, SERVERS);
  }
});

test('GetState counts everything, and says where the lists go on with what it leaves out', async (t) => {
  const admin = await startLarge(t);
  const viewer = await admin.as('viewer');
  const state = await ask(viewer, rpc.getState, {});

  assert.deepEqual([state.targetGroupCount, state.serverCount, state.clientCount], [GROUPS, SERVERS, CLIENTS]);
  assert.deepEqual([state.targetGroups.length, state.servers.length, state.clients.length], [1, PAGE, PAGE]);
  const pageSize = 0;
  const groups = await ask(viewer, rpc.listTargetGroups, { pageSize, pageToken: state.targetGroupsNextPageToken });
  assert.deepEqual(
    groups.targetGroups.map(({ name }) => name),
    ['g2'],
  );
  const servers = await ask(viewer, rpc.listUpstreamServers, { targetGroup: '', pageSize, pageToken: state.serversNextPageToken });
  const [before, after] = [state.servers.at(-1), servers.servers[0]].map((status) => (status === undefined ? '' : nameOf(status)));
  assert.deepEqual([before, after], ['g2 10.0.1.1:8700', 'g2 10.0.1.1:8701']);
  const clients = await ask(viewer, rpc.listClients, { pageSize, pageToken: state.clientsNextPageToken });
  assert.equal(new Set([...state.clients, ...clients.clients].map(idOf)).size, 2 * PAGE);
});

test('lbctl get-state puts the whole of it together', async (t) => {
  const admin = await startLarge(t);
  const files = await admin.ca.writeTo(await temporaryFolder(t), { viewer: await admin.certificate('viewer') });
  const env = lbctlEnv(admin.target, files.caCert, files.viewer);
  const { code, stdout, stderr } = await lbctl(['get-state', '--output', 'json'], { env });
  assert.equal(code, 0, stderr);
  const state = JSON.parse(stdout);
  assert.deepEqual([state.targetGroups.length, state.servers.length, state.clients.length], [GROUPS, SERVERS, CLIENTS]);
});

test('the counters of one moment come in several messages, and only the last says that it is the last', async (t) => {
  const admin = await startLarge(t);
  const stats = watch(await admin.as('viewer'), rpc.watchStats, proto.WatchStatsRequest.create());
  const messages: proto.WatchStatsResponse[] = [];
  do messages.push(await stats.next());
  while (messages.at(-1)?.more === true);

  assert.ok(messages.length > 1);
  assert.ok(messages.every(({ servers, clients }) => servers.length + clients.length <= PAGE));
  assert.equal(new Set(messages.map(({ at }) => at?.getTime())).size, 1, 'one moment');
  const servers = messages.flatMap((message) => message.servers.map(({ targetGroup, server }) => `${targetGroup} ${server}`));
  const clients = messages.flatMap((message) => message.clients.map(({ clientId }) => clientId));
  assert.deepEqual([new Set(servers).size, servers.length, new Set(clients).size, clients.length], [SERVERS, SERVERS, CLIENTS, CLIENTS]);

  const next = await stats.next();
  assert.notEqual(next.at?.getTime(), messages[0]?.at?.getTime());
  assert.equal(next.servers[0]?.targetGroup, 'g1', 'the next moment begins with the first server');
});

test('a watch of health begins with every server, however many', async (t) => {
  const admin = await startAdmin(t);
  for (let index = 0; index < SERVERS; index++) admin.health.turn('web', `10.0.0.1:${1 + index}`, 'healthy');
  const health = watch(await admin.as('viewer'), rpc.watchHealth, proto.WatchHealthRequest.create());
  const seen = new Set<string>();
  for (;;) {
    const { kind, server } = await health.next();
    if (kind === proto.WatchHealthResponse_Kind.SYNCED) break;
    assert.equal(kind, proto.WatchHealthResponse_Kind.STATE);
    seen.add(server);
  }
  assert.equal(seen.size, SERVERS);
});
