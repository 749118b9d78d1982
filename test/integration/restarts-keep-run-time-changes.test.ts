import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { AddClientRequest, ListClientsRequest, RemoveClientRequest, AdminServiceService as rpc } from '../../src/gen/lb/admin/v1/admin.ts';
import { ask } from '../support/admin-server.ts';
import { createTestCa } from '../support/certificates.ts';
import { type ReadyDaemon, startDaemon } from '../support/daemon.ts';
import { adminOf } from '../support/daemon-clients.ts';
import { temporaryFolder } from '../support/temp-dir.ts';

const ca = await createTestCa();
const WARNING = 'the state was changed at run time: it is in force, and the groups and clients of the config file are not';

/** Starts the daemon of one folder, again and again, each time with these clients in the file. */
async function daemonOf(t: TestContext, store: object = { kind: 'sqlite' }) {
  const folder = await temporaryFolder(t);
  return (clients: readonly string[], more: object = {}) =>
    startDaemon(t, {
      folder,
      ca,
      config: {
        workers: 1,
        store,
        targetGroups: [{ name: 'web', upstreamServers: [] }],
        clients: clients.map((clientId) => ({ clientId, allowedTargetGroup: 'web' })),
        ...more,
      },
    });
}

async function clientsOf(t: TestContext, daemon: ReadyDaemon): Promise<readonly (string | undefined)[]> {
  const { clients } = await ask(adminOf(t, daemon), rpc.listClients, ListClientsRequest.create());
  return clients.map(({ client }) => client?.clientId);
}

const warned = ({ logs }: ReadyDaemon) => logs.filter(({ level, msg }) => level === 'warn' && msg === WARNING).length;

test('an edited file is taken in while nobody has changed the state at run time', async (t) => {
  const start = await daemonOf(t);
  const first = await start(['before']);
  assert.deepEqual(await clientsOf(t, first), ['before']);
  await first.stop();

  const second = await start(['after', 'also']);
  assert.deepEqual(await clientsOf(t, second), ['after', 'also'].toSorted());
  assert.equal(warned(second), 0);
});

test('the state changed at run time is kept, and a warning says so when the file differs', async (t) => {
  const start = await daemonOf(t);
  const first = await start(['fromFile']);
  await ask(
    adminOf(t, first),
    rpc.addClient,
    AddClientRequest.fromPartial({ client: { clientId: 'added', allowedTargetGroups: ['web'] } }),
  );
  await first.stop();

  const second = await start(['fromFile', 'edited']);
  assert.deepEqual(await clientsOf(t, second), ['added', 'fromFile']);
  assert.equal(warned(second), 1);
  await ask(adminOf(t, second), rpc.removeClient, RemoveClientRequest.fromPartial({ clientId: 'added' }));
  await second.stop();

  const third = await start(['fromFile']);
  assert.deepEqual(await clientsOf(t, third), ['fromFile']);
  assert.equal(warned(third), 0, 'the file and the state say the same again');
});

test('listeners always come from the file', async (t) => {
  const start = await daemonOf(t);
  const first = await start(['a']);
  assert.deepEqual([...first.listeners.keys()], ['default']);
  await ask(adminOf(t, first), rpc.removeClient, RemoveClientRequest.fromPartial({ clientId: 'a' }));
  await first.stop();

  const more = { listeners: [{ name: 'second', address: '127.0.0.1:0', targetGroup: 'web' }] };
  const second = await start(['a'], more);
  assert.deepEqual([...second.listeners.keys()], ['default', 'second']);
  assert.deepEqual(await clientsOf(t, second), []);
  assert.equal(warned(second), 1);
});

test('the memory store begins with the file each time', async (t) => {
  const start = await daemonOf(t, { kind: 'memory' });
  const first = await start(['a']);
  await ask(adminOf(t, first), rpc.removeClient, RemoveClientRequest.fromPartial({ clientId: 'a' }));
  await first.stop();
  const second = await start(['a']);
  assert.deepEqual(await clientsOf(t, second), ['a']);
  assert.equal(warned(second), 0);
});
