import assert from 'node:assert/strict';
import { once } from 'node:events';
import { existsSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs';
import { connect } from 'node:net';
import path from 'node:path';
import { type TestContext, test } from 'node:test';
import { Authority, type Wanted } from '../../src/controlplane/authority.ts';
import { SqliteStore } from '../../src/controlplane/store/sqlite.ts';
import { Client, CloseMode, RevokeCertificateRequest, AdminServiceService as rpc } from '../../src/gen/lb/admin/v1/admin.ts';
import { ask, refused } from '../support/admin-server.ts';
import { createTestCa } from '../support/certificates.ts';
import { type DaemonOptions, launchDaemon, type ReadyDaemon, startDaemon } from '../support/daemon.ts';
import { adminOf, connectTo, roundTrip } from '../support/daemon-clients.ts';
import { echoServer, hashSinkServer } from '../support/echo-servers.ts';
import { freePort } from '../support/free-port.ts';
import { startHashedStreams } from '../support/hashed-streams.ts';
import { takenPort } from '../support/taken-port.ts';
import { temporaryFolder } from '../support/temp-dir.ts';

const ca = await createTestCa();
const clientA = await ca.issue({ cn: 'clientA' });
const NOW = { mode: CloseMode.UNSPECIFIED, deadline: undefined, expectedRevision: 0n, requestId: '' };
/** In a row; TAKEOVERS=20 makes it a long run. */
const TAKEOVERS = Number(process.env['TAKEOVERS'] ?? 2);

async function setUp(t: TestContext) {
  const sink = await hashSinkServer(t);
  const folder = await temporaryFolder(t);
  const [port, admin, metrics] = [await freePort(), await freePort(), await freePort()];
  const options: DaemonOptions = {
    ca,
    folder,
    args: ['--takeover', path.join(folder, 'takeover.sock')],
    config: {
      listenAddress: `127.0.0.1:${port}`,
      workers: 2,
      timeouts: { drainTimeout: '10m' },
      targetGroups: [{ name: 'web', upstreamServers: [sink.address], healthCheck: { type: 'none' } }],
      clients: ['clientA', 'gone'].map((clientId) => ({ clientId, allowedTargetGroup: 'web' })),
      admin: { address: `127.0.0.1:${admin}` },
      metrics: { address: `127.0.0.1:${metrics}` },
      store: { kind: 'sqlite', path: path.join(folder, 'state.db') },
    },
  };
  const startStreams = () =>
    startHashedStreams(
      t,
      () => ({ port, ca }),
      () => clientA,
      { short: 6, long: 4 },
    );
  return { options, startStreams, metrics: `http://127.0.0.1:${metrics}/metrics` };
}

test('a new process takes ports, state and admin API over, and no connection is refused or cut', async (t) => {
  const { options, startStreams, metrics } = await setUp(t);
  let running = await startDaemon(t, options);
  await ask(adminOf(t, running), rpc.removeClient, { clientId: 'gone', ...NOW });
  const streams = await startStreams();
  const former = [];
  for (let count = 0; count < TAKEOVERS; count++) {
    await streams.finishedMore(30);
    former.push(running);
    running = await startDaemon(t, options);
    await running.waitForLog(({ reason }) => reason === 'client_closed');
    assert.equal((await fetch(metrics)).status, 200);
  }
  await streams.finishedMore(30);
  const { failures, finished } = await streams.stop();
  t.diagnostic(`${finished} streams`);
  assert.deepEqual(failures, []);
  for (const { exited } of former) assert.deepEqual(await exited, { code: 0, signal: null });
  const { clients } = await ask(adminOf(t, running), rpc.listClients, { pageSize: 0, pageToken: '' });
  assert.deepEqual(
    clients.map(({ client }) => client?.clientId),
    ['clientA'],
  );
});

test('a successor that cannot start leaves everything with the one before', async (t) => {
  const { options, startStreams } = await setUp(t);
  const running = await startDaemon(t, options);
  const streams = await startStreams();
  await streams.finishedMore(5);
  const bad = await launchDaemon(t, { ...options, config: { ...options.config, metrics: { address: '192.0.2.1:1' } } });
  assert.equal((await bad.exited).code, 1);
  assert.match(bad.output.join('\n'), /metrics endpoint cannot listen/);
  await running.waitForLog(({ msg }) => msg === 'the lbd that was to take over has ended: this one goes on');
  await running.waitForLog(({ msg }) => msg === 'the admin API and the metrics are back');
  await ask(adminOf(t, running), rpc.removeClient, { clientId: 'gone', ...NOW });
  await streams.finishedMore(5);
  assert.deepEqual((await streams.stop()).failures, []);
  const next = await startDaemon(t, options);
  assert.deepEqual(await running.exited, { code: 0, signal: null });
  const { clients } = await ask(adminOf(t, next), rpc.listClients, { pageSize: 0, pageToken: '' });
  assert.equal(clients.length, 1);
});

test('a successor that cannot have a port leaves a state that can still be changed', async (t) => {
  const { options } = await setUp(t);
  const running = await startDaemon(t, options);
  const { port } = await takenPort(t);
  const address = options.config?.['listenAddress'];
  const listeners = [
    { name: 'default', address },
    { name: 'more', address: `127.0.0.1:${port}` },
  ];
  const bad = await launchDaemon(t, { ...options, config: { ...options.config, listenAddress: undefined, listeners } });
  assert.equal((await bad.exited).code, 1);
  assert.match(bad.output.join('\n'), /listener "more"/);
  await running.waitForLog(({ msg }) => msg === 'the admin API and the metrics are back');
  const admin = adminOf(t, running);
  const client = Client.fromPartial({ clientId: 'late', allowedTargetGroups: ['web'] });
  const added = await ask(admin, rpc.addClient, { client, expectedRevision: 0n, requestId: '' });
  assert.equal(added.revision, 2n);
  const fingerprint = 'ab'.repeat(32);
  await ask(
    admin,
    rpc.revokeCertificate,
    RevokeCertificateRequest.fromPartial({ certificateId: { $case: 'fingerprint', value: fingerprint } }),
  );
  // What it has in memory is what it has on disk.
  const next = await startDaemon(t, options);
  assert.deepEqual(await running.exited, { code: 0, signal: null });
  const { clients } = await ask(adminOf(t, next), rpc.listClients, { pageSize: 0, pageToken: '' });
  assert.deepEqual(clients.map(({ client }) => client?.clientId).sort(), ['clientA', 'gone', 'late']);
});

/** Takes the state over as a successor does, changes it, and is gone before it serves. */
async function dieAfterStoring(running: ReadyDaemon, { folder = assert.fail() }: DaemonOptions, change: Wanted): Promise<void> {
  await running.waitForLog(({ msg }) => msg === 'another lbd can take over');
  const socket = connect(path.join(folder, 'takeover.sock'));
  socket.write('take over\n');
  const [answer] = await once(socket, 'data');
  assert.equal(String(answer), 'handed over\n');
  const store = await SqliteStore.open(path.join(folder, 'state.db'));
  const authority = await Authority.open(store);
  await authority.execute(change, { actor: 'bootstrap' });
  await store.close();
  socket.destroy();
}

test('a successor that dies after storing its changes has them taken in by the one before', async (t) => {
  const { options } = await setUp(t);
  const targetGroups = [{ name: 'web', upstreamServers: [(await echoServer(t)).address], healthCheck: { type: 'none' } }];
  const running = await startDaemon(t, { ...options, config: { ...options.config, targetGroups } });
  await roundTrip(connectTo(t, running, await ca.issue({ cn: 'gone' })), 'hello');
  await dieAfterStoring(running, options, { kind: 'removeClient', clientId: 'gone' });
  await running.waitForLog(({ msg }) => msg === 'took in what the other lbd has stored');
  await running.waitForLog(({ msg }) => msg === 'the admin API and the metrics are back');
  const closed = await running.waitForLog(({ msg }) => msg === 'connection closed');
  assert.deepEqual([closed['client'], closed['reason']], ['gone', 'client_removed']);
  const admin = adminOf(t, running);
  const added = await ask(admin, rpc.addClient, {
    client: Client.fromPartial({ clientId: 'late', allowedTargetGroups: ['web'] }),
    expectedRevision: 2n,
    requestId: '',
  });
  assert.equal(added.revision, 3n);
});

test('changes stored by a successor that this lbd cannot serve refuse its own changes, with the reason, until it can', async (t) => {
  const { options } = await setUp(t);
  const running = await startDaemon(t, options);
  const { port, free } = await takenPort(t);
  await dieAfterStoring(running, options, ({ listeners }) => ({
    kind: 'setListeners',
    listeners: listeners.map((listener) => ({ ...listener, address: { host: '127.0.0.1', port } })),
  }));
  await running.waitForLog(({ msg }) => msg === 'the admin API and the metrics are back');
  await running.waitForLog(({ msg }) => msg === 'changes are refused until the stored state can be taken in');
  const admin = adminOf(t, running);
  const removeGone = () => ask(admin, rpc.removeClient, { clientId: 'gone', ...NOW });
  const { message } = await refused(removeGone());
  assert.match(message, /stored a state that this one cannot serve: .*another program has the port; mend that, or restart lbd/);
  await free();
  assert.equal((await removeGone()).revision, 3n);
});

test('a path at which lbd could not wait is refused before a port is open or the state is made', async (t) => {
  const { options } = await setUp(t);
  const folder = options.folder ?? assert.fail();
  const file = path.join(folder, 'file');
  writeFileSync(file, 'mine');
  const daemon = await launchDaemon(t, { ...options, args: ['--takeover', file] });
  assert.equal((await daemon.exited).code, 1);
  assert.match(daemon.output.join('\n'), /^lbd: --takeover \S*file: there is something that is no socket: move it away/m);
  assert.deepEqual(daemon.logs, []);
  assert.equal(readFileSync(file, 'utf8'), 'mine');
  assert.equal(existsSync(path.join(folder, 'state.db')), false);
});

test('changes at run time are not left behind in another state file, and it takes no name for another', async (t) => {
  const { options } = await setUp(t);
  const folder = options.folder ?? assert.fail();
  const running = await startDaemon(t, options);
  await running.waitForLog(({ msg }) => msg === 'another lbd can take over');
  const withStore = (store: object) => ({ ...options, config: { ...options.config, store } });
  const other = withStore({ kind: 'sqlite', path: path.join(folder, 'other.db') });
  const second = await startDaemon(t, other);
  assert.deepEqual(await running.exited, { code: 0, signal: null }, 'nothing would be lost');
  await ask(adminOf(t, second), rpc.removeClient, { clientId: 'gone', ...NOW });
  for (const refusing of [options, withStore({ kind: 'memory' })]) {
    const refused = await launchDaemon(t, refusing);
    assert.equal((await refused.exited).code, 1);
    assert.match(
      refused.output.join('\n'),
      /does not hand over: its state was changed at run time and is in "\S*other\.db", which is not your/,
    );
  }
  const link = path.join(folder, 'link.db');
  symlinkSync(path.join(folder, 'other.db'), link);
  const third = await startDaemon(t, withStore({ kind: 'sqlite', path: link }));
  assert.deepEqual(await second.exited, { code: 0, signal: null });
  const { clients } = await ask(adminOf(t, third), rpc.listClients, { pageSize: 0, pageToken: '' });
  assert.equal(clients.length, 1);
});

test('a running lbd does not hand over to one that could not wait for the next', async (t) => {
  const folder = await temporaryFolder(t);
  const link = path.join(folder, 'takeover.sock');
  const { options } = await setUp(t);
  const running = await startDaemon(t, options);
  await running.waitForLog(({ msg }) => msg === 'another lbd can take over');
  symlinkSync(path.join(options.folder ?? assert.fail(), 'takeover.sock'), link);
  const refused = await launchDaemon(t, { ...options, args: ['--takeover', link] });
  assert.equal((await refused.exited).code, 1);
  assert.match(refused.output.join('\n'), /there is something that is no socket/);
  assert.ok(!running.logs.some(({ msg }) => String(msg).startsWith('handing over')));
});
