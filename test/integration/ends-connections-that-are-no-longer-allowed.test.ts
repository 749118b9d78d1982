import assert from 'node:assert/strict';
import { X509Certificate } from 'node:crypto';
import { test } from 'node:test';
import {
  AddClientRequest,
  AdminServiceClient,
  CloseConnectionsRequest,
  CloseMode,
  RemoveClientRequest,
  RevokeCertificateRequest,
  AdminServiceService as rpc,
  UpdateClientRequest,
  WatchHealthRequest,
} from '../../src/gen/lb/admin/v1/admin.ts';
import { ask, refusalIn, refused, watch } from '../support/admin-server.ts';
import { connectTo, grpcClient, roundTrip } from '../support/daemon-clients.ts';
import { assertReset, assertServed, MANY, startTwoGroups, type TwoGroupDaemon } from '../support/two-group-daemon.ts';

const ms = (count: number) => ({ seconds: BigInt(Math.trunc(count / 1000)), nanos: (count % 1000) * 1e6 });

/** Enough attempts that each of two workers gets some. */
async function assertRefusedEverywhere({ knock, daemon }: TwoGroupDaemon, as: string, group: 'web' | 'db', reason: string) {
  const before = daemon.logs.filter((line) => line['reason'] === reason).length;
  const attempts = await Promise.all(Array.from({ length: MANY }, () => knock(as, group)));
  for (const attempt of attempts) await attempt.ending;
  let seen = 0;
  await daemon.waitForLog((line) => line['reason'] === reason && ++seen === before + MANY);
}

test('a permission that is taken away ends the connections that stood on it, and no other', async (t) => {
  const running = await startTwoGroups(t);
  const { admin, hold } = running;
  const web = await hold('clientA', 'web');
  const db = await hold('clientA', 'db');
  const others = await hold('clientB', 'web');

  const update = UpdateClientRequest.fromPartial({ client: { clientId: 'clientA', allowedTargetGroups: ['web'] } });
  const { connectionsClosed } = await ask(admin, rpc.updateClient, update);

  assert.equal(connectionsClosed, BigInt(MANY));
  await assertReset(db);
  await assertServed([...web, ...others], 'still here');
  await assertRefusedEverywhere(running, 'clientA', 'db', 'not_authorized');
  const closed = running.daemon.logs.filter(({ reason }) => reason === 'permission_removed');
  assert.equal(closed.length, MANY);
  assert.equal((await ask(admin, rpc.updateClient, { ...update, requestId: 'x' })).connectionsClosed, 0n);
});

test('a client that is another certificate from now on keeps none of the connections of the old one', async (t) => {
  const { admin, hold } = await startTwoGroups(t);
  const old = await hold('clientB', 'web', 4);
  const others = await hold('clientA', 'web', 4);
  const update = UpdateClientRequest.fromPartial({ client: { clientId: 'clientB', match: { cn: 'renewed' } }, updateMask: ['match'] });
  assert.equal((await ask(admin, rpc.updateClient, update)).connectionsClosed, 4n);
  await assertReset(old);
  await assertServed([...others, ...(await hold('renewed', 'web', 2))], 'served');
});

test('a removed client has until the deadline, and is let in no more', async (t) => {
  const running = await startTwoGroups(t);
  const { admin, hold } = running;
  const drained = await hold('clientB', 'web');
  const others = await hold('clientA', 'web', 4);

  const removal = RemoveClientRequest.fromPartial({ clientId: 'clientB', mode: CloseMode.DRAIN, deadline: ms(4000) });
  assert.equal((await ask(admin, rpc.removeClient, removal)).connectionsClosed, BigInt(MANY));
  await assertServed(drained, 'until the deadline');
  await assertRefusedEverywhere(running, 'clientB', 'web', 'unknown_client');
  await assertReset(drained);
  await assertServed(others, 'not meant');
  const removed = () => running.daemon.logs.filter(({ reason }) => reason === 'client_removed').length;
  await running.daemon.waitForLog(() => removed() === MANY);
});

test('a drained removal that was undone meanwhile ends nothing, and another one counts anew', async (t) => {
  const { admin, hold } = await startTwoGroups(t);
  const held = await hold('clientB', 'web', 4);
  const remove = (mode: CloseMode, deadline?: ReturnType<typeof ms>) =>
    ask(admin, rpc.removeClient, RemoveClientRequest.fromPartial({ clientId: 'clientB', mode, deadline }));
  const addAgain = () =>
    ask(admin, rpc.addClient, AddClientRequest.fromPartial({ client: { clientId: 'clientB', allowedTargetGroups: ['web'] } }));

  assert.equal((await remove(CloseMode.DRAIN, ms(3000))).connectionsClosed, 4n);
  await addAgain();
  // Another client's drain with the same deadline, set later, has passed when its connection is reset.
  const [later] = await hold('clientA', 'db', 1);
  const update = UpdateClientRequest.fromPartial({
    client: { clientId: 'clientA', allowedTargetGroups: ['web'] },
    mode: CloseMode.DRAIN,
    deadline: ms(3100),
  });
  assert.equal((await ask(admin, rpc.updateClient, update)).connectionsClosed, 1n);
  assert.equal((await later?.ending)?.how, 'reset');
  await assertServed(held, 'allowed again');

  assert.equal((await remove(CloseMode.RESET)).connectionsClosed, 4n);
  await assertReset(held);
});

test('a revocation in drain mode can be made immediate, without another revision and without touching other drains', async (t) => {
  const running = await startTwoGroups(t);
  const { admin, hold, certificate } = running;
  const revoked = await hold('clientB', 'web', 4);
  const removed = await hold('clientA', 'db', 2);
  const [mode, deadline] = [CloseMode.DRAIN, { seconds: 3600n, nanos: 0 }];
  const narrowed = { client: { clientId: 'clientA', allowedTargetGroups: ['web'] }, mode, deadline };
  assert.equal((await ask(admin, rpc.updateClient, UpdateClientRequest.fromPartial(narrowed))).connectionsClosed, 2n);
  const value = (await certificate('clientB')).certPem;
  const request = RevokeCertificateRequest.fromPartial({ certificateId: { $case: 'certificate', value }, mode, deadline });

  const first = await ask(admin, rpc.revokeCertificate, request);
  assert.deepEqual([first.connectionsClosed, first.alreadyRevokedAt], [4n, undefined]);
  await assertServed(revoked, 'until the deadline');
  const again = await ask(admin, rpc.revokeCertificate, { ...request, mode: CloseMode.RESET, deadline: undefined });
  assert.deepEqual([again.revision, again.connectionsClosed], [first.revision, 4n]);
  assert.ok(again.alreadyRevokedAt instanceof Date);
  await assertReset(revoked);
  await assertServed(removed, 'has its own deadline');

  // The same of a permission: asked for again with another mode, it is that from now on.
  const reset = UpdateClientRequest.fromPartial({ ...narrowed, mode: CloseMode.RESET, deadline: undefined });
  const ended = await ask(admin, rpc.updateClient, reset);
  assert.deepEqual([ended.nothingToChange, ended.connectionsClosed, ended.revision], [true, 2n, again.revision]);
  await assertReset(removed);
});

test('a revoked certificate is refused by every worker, and its connections are ended, whoever else is that client', async (t) => {
  const running = await startTwoGroups(t);
  const { admin, hold, ca, certificate } = running;
  const revoked = await hold('clientB', 'web');
  const others = await hold('clientA', 'web', 4);

  const value = (await certificate('clientB')).certPem;
  const request = RevokeCertificateRequest.fromPartial({ certificateId: { $case: 'certificate', value }, comment: 'stolen' });
  assert.equal((await ask(admin, rpc.revokeCertificate, request)).connectionsClosed, BigInt(MANY));
  await assertReset(revoked);
  await assertServed(others, 'not revoked');
  await assertRefusedEverywhere(running, 'clientB', 'web', 'certificate_revoked');
  const again = await ask(admin, rpc.revokeCertificate, request);
  assert.deepEqual([again.connectionsClosed, again.alreadyRevokedAt instanceof Date], [0n, true]);

  // The client itself goes on with another certificate.
  const options = { servername: 'web.test', tls: { checkServerIdentity: () => undefined } };
  await roundTrip(connectTo(t, running.daemon, await ca.issue({ cn: 'clientB' }), options), 'renewed');
});

test('a revoked certificate opens nothing of the admin API, and its streams end', async (t) => {
  const { admin, ca, daemon } = await startTwoGroups(t);
  const auditor = await ca.issue({ cn: 'auditor', ou: 'viewer' });
  const theirs = grpcClient(t, AdminServiceClient, daemon, { as: auditor });
  const stream = watch(theirs, rpc.watchHealth, WatchHealthRequest.create());
  await stream.next();

  const value = new X509Certificate(auditor.certPem).fingerprint256;
  await ask(admin, rpc.revokeCertificate, RevokeCertificateRequest.fromPartial({ certificateId: { $case: 'fingerprint', value } }));
  assert.equal(refusalIn(await stream.ended()).reason, 'CERTIFICATE_REVOKED');
  assert.equal((await refused(ask(theirs, rpc.getState, {}))).reason, 'CERTIFICATE_REVOKED');
});

test('CloseConnections closes what its filter fits, by each of its fields, and refuses an empty one', async (t) => {
  const { admin, hold, servers } = await startTwoGroups(t);
  const close = (filter: Parameters<typeof CloseConnectionsRequest.fromPartial>[0]['filter']) =>
    ask(admin, rpc.closeConnections, CloseConnectionsRequest.fromPartial({ filter }));
  const keep = await hold('clientB', 'web', 3);
  for (const filter of [
    { clientId: 'clientA' },
    { targetGroup: 'db' },
    { server: servers.db.address },
    { clientId: 'clientA', targetGroup: 'db' },
  ]) {
    const meant = await hold('clientA', 'db', 4);
    assert.equal((await close(filter)).connectionsClosed, 4n, JSON.stringify(filter));
    await assertReset(meant);
  }
  const [one] = await hold('clientA', 'db', 1);
  const { connections } = await ask(admin, rpc.listConnections, {
    filter: { clientId: 'clientA', targetGroup: '', server: '', reason: '', connectionId: '' },
    pageSize: 0,
    pageToken: '',
  });
  assert.equal(connections.length, 1);
  assert.equal((await close({ connectionId: connections[0]?.id ?? '' })).connectionsClosed, 1n);
  assert.equal((await one?.ending)?.how, 'reset');

  assert.equal((await close({ clientId: 'clientA', targetGroup: 'web' })).connectionsClosed, 0n);
  assert.deepEqual((await refused(close({}))).fields, ['filter']);
  assert.deepEqual((await refused(close({ reason: 'client_closed' }))).fields, ['filter.reason']);
  await assertServed(keep, 'never meant');
});
