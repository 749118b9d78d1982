import assert from 'node:assert/strict';
import { test } from 'node:test';
import {
  AddClientRequest,
  AddUpstreamServerRequest,
  type AdminServiceClient,
  CloseMode,
  ListClientsRequest,
  ListUpstreamServersRequest,
  RemoveClientRequest,
  RemoveUpstreamServerRequest,
  AdminServiceService as rpc,
} from '../../src/gen/lb/admin/v1/admin.ts';
import { ask, watch } from '../support/admin-server.ts';
import { assertReset, assertServed, startTwoGroups } from '../support/two-group-daemon.ts';

const clientIn = (group: string, concurrentConnections: number) =>
  AddClientRequest.fromPartial({ client: { clientId: 'clientB', allowedTargetGroups: [group], limits: { concurrentConnections } } });
const drained = (deadline: { seconds?: bigint; nanos?: number }) =>
  RemoveClientRequest.fromPartial({ clientId: 'clientB', mode: CloseMode.DRAIN, deadline });

async function countersOf(admin: AdminServiceClient, clientId: string) {
  const { clients } = await ask(admin, rpc.listClients, ListClientsRequest.create());
  return clients.find(({ client }) => client?.clientId === clientId)?.counters ?? assert.fail();
}

test('a client that is removed with a drain and added again holds what it held, and its limit counts it', async (t) => {
  const { admin, hold, knock } = await startTwoGroups(t);
  const held = await hold('clientB', 'web', 2);
  assert.equal((await ask(admin, rpc.removeClient, drained({ seconds: 600n }))).connectionsClosed, 2n);
  await ask(admin, rpc.addClient, clientIn('web', 2));
  assert.equal((await (await knock('clientB', 'web')).ending).how, 'reset');
  assert.partialDeepStrictEqual(await countersOf(admin, 'clientB'), { active: 2n, accepted: 0n, refused: 1n, bytesFromClient: 0n });
  await assertServed(held, 'still here');
  assert.partialDeepStrictEqual(await countersOf(admin, 'clientB'), { active: 2n, bytesToClient: 22n });
});

test('the drain goes on for a client that is added again without the permission', async (t) => {
  const { daemon, admin, hold } = await startTwoGroups(t);
  const held = await hold('clientB', 'web', 2);
  await ask(admin, rpc.removeClient, drained({ seconds: 3n }));
  await ask(admin, rpc.addClient, clientIn('db', 2));
  await assertServed(held, 'until then');
  await assertReset(held);
  let ended = 0;
  await daemon.waitForLog(({ reason }) => reason === 'client_removed' && ++ended === 2);
  assert.equal((await countersOf(admin, 'clientB')).active, 0n);
});

test('connections of a server that is removed and added again are its own, and go with it when it is removed for good', async (t) => {
  const { admin, hold, servers } = await startTwoGroups(t);
  const server = servers.web.address;
  const held = await hold('clientA', 'web', 3);
  const atOnce = { targetGroup: 'web', server, deadline: {} };
  const left = watch(admin, rpc.removeUpstreamServer, RemoveUpstreamServerRequest.fromPartial(atOnce));
  assert.partialDeepStrictEqual(await left.next(), { connectionsLeft: 3n, done: true });
  const again = { targetGroup: 'web', server: { address: server, maxConnections: 4 } };
  await ask(admin, rpc.addUpstreamServer, AddUpstreamServerRequest.fromPartial(again));
  const [extra] = await hold('clientA', 'web', 1);
  const { servers: listed } = await ask(admin, rpc.listUpstreamServers, ListUpstreamServersRequest.fromPartial({ targetGroup: 'web' }));
  assert.partialDeepStrictEqual(listed[0]?.counters, { active: 4n, connected: 1n });
  assert.equal((await countersOf(admin, 'clientA')).active, 4n);

  const last = watch(admin, rpc.removeUpstreamServer, RemoveUpstreamServerRequest.fromPartial({ ...atOnce, resetAtDeadline: true }));
  assert.partialDeepStrictEqual(await last.next(), { connectionsReset: 4n, connectionsLeft: 0n, done: true });
  await assertReset([...held, extra ?? assert.fail()]);
});
