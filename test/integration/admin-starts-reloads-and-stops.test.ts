import assert from 'node:assert/strict';
import { once } from 'node:events';
import { connect } from 'node:net';
import { test } from 'node:test';
import { status as Code, credentials } from '@grpc/grpc-js';
import { pino } from 'pino';
import { createMutualTlsServer } from '../../src/admin/mutual-tls.ts';
import { AdminServer } from '../../src/admin/server.ts';
import { HealthService } from '../../src/gen/grpc/health/v1/health.ts';
import {
  AdminServiceClient,
  RemoveClientRequest,
  AdminServiceService as rpc,
  WatchHealthRequest,
  WatchStatsRequest,
} from '../../src/gen/lb/admin/v1/admin.ts';
import { ask, refusalIn, startAdmin, TEST_ROLES, type TestAdmin, watch } from '../support/admin-server.ts';
import { createTestCa, type TestCa } from '../support/certificates.ts';
import { takenPort } from '../support/taken-port.ts';

/** A new client that trusts `ca`, with a certificate of `from`. */
async function connectWith(admin: TestAdmin, ca: TestCa, from: TestCa): Promise<AdminServiceClient> {
  const { certPem, keyPem } = await from.issue({ cn: 'viewer' });
  const channel = credentials.createSsl(Buffer.from(ca.caPem), Buffer.from(keyPem), Buffer.from(certPem));
  return new AdminServiceClient(admin.target, channel, {
    'grpc.ssl_target_name_override': 'localhost',
    'grpc.use_local_subchannel_pool': 1,
  });
}

function code(call: Promise<unknown>): Promise<unknown> {
  return call.then(
    () => Code.OK,
    (error: unknown) => (error instanceof Error && 'code' in error ? error.code : error),
  );
}

test('a port in use is refused with its code', async (t) => {
  const admin = await startAdmin(t);
  const { port } = await takenPort(t);
  const start = AdminServer.start(admin.context, {
    address: { host: '127.0.0.1', port },
    material: await admin.material(),
    roles: TEST_ROLES,
  });
  await assert.rejects(start, { code: 'EADDRINUSE' });
});

test('a handshake that is not begun is given up', async (t) => {
  const admin = await startAdmin(t);
  const server = createMutualTlsServer(await admin.material(), pino({ level: 'silent' }), () => assert.fail('verified'), 20);
  t.after(() => void server.close());
  await once(server.listen(0, '127.0.0.1'), 'listening');
  const bound = server.address();
  assert.ok(bound !== null && typeof bound !== 'string');
  const silent = connect(bound.port, '127.0.0.1').on('error', () => undefined);
  await once(silent, 'close');
});

test('material that does not fit together does not start', async (t) => {
  const admin = await startAdmin(t);
  const start = AdminServer.start(admin.context, {
    address: { host: '127.0.0.1', port: 0 },
    material: { ...(await admin.material()), privateKeyPem: (await admin.material()).privateKeyPem },
    roles: TEST_ROLES,
  });
  await assert.rejects(start, /key values mismatch/);
});

test('a reload serves new connections with the new certificates and leaves the old ones alone', async (t) => {
  const admin = await startAdmin(t);
  const old = await admin.as('viewer');
  const stream = watch(old, rpc.watchHealth, WatchHealthRequest.create());
  await stream.next();
  const renewed = await createTestCa();

  admin.server.reload(await admin.material(renewed));

  admin.health.turn('web', '127.0.0.1:8081', 'healthy', 'after the reload');
  assert.equal((await stream.next()).cause, 'after the reload');
  assert.equal(await code(ask(old, rpc.getLogLevel, {})), Code.OK);
  const fresh = await connectWith(admin, renewed, renewed);
  const late = await connectWith(admin, renewed, admin.ca);
  t.after(() => [fresh, late].forEach((client) => void client.close()));
  assert.equal(await code(ask(fresh, rpc.getLogLevel, {})), Code.OK);
  assert.equal(await code(ask(late, rpc.getLogLevel, {})), Code.UNAVAILABLE, 'the old CA is no longer trusted');
  await stream.cancel();
});

test('bad material is refused and the old goes on serving', async (t) => {
  const admin = await startAdmin(t);
  const good = await admin.material();
  const other = await admin.material();
  assert.throws(() => admin.server.reload({ ...good, privateKeyPem: other.privateKeyPem }), /key values mismatch/);
  assert.throws(() => admin.server.reload({ ...good, certificatePem: 'garbage' }));
  assert.equal(await code(ask(await admin.as('viewer'), rpc.getLogLevel, {})), Code.OK);
});

test('a certificate on the revocation list gets no further than TLS', async (t) => {
  const admin = await startAdmin(t);
  const revoked = await admin.certificate('viewer');
  admin.server.reload({ ...(await admin.material()), crlPem: await admin.ca.crl([revoked]) });
  assert.equal(await code(ask(await admin.as('viewer'), rpc.getLogLevel, {})), Code.UNAVAILABLE);
  assert.equal(await code(ask(await admin.as('operator'), rpc.getLogLevel, {})), Code.OK);
});

test('a message of more than 16 MiB is refused', async (t) => {
  const admin = await startAdmin(t);
  const request = RemoveClientRequest.fromPartial({ clientId: 'x'.repeat(16 * 1024 * 1024) });
  assert.equal(await code(ask(await admin.as('admin'), rpc.removeClient, request)), Code.RESOURCE_EXHAUSTED);
});

test('a stop ends every stream with UNAVAILABLE and lets calls under way finish', async (t) => {
  const admin = await startAdmin(t);
  const viewer = await admin.as('viewer');
  const streams = [
    watch(viewer, rpc.watchStats, WatchStatsRequest.create()),
    watch(viewer, rpc.watchHealth, WatchHealthRequest.create()),
    watch(viewer, HealthService.watch, { service: '' }),
  ];
  for (const stream of streams) await stream.next();
  const closing = Promise.withResolvers<void>();
  const mayAnswer = Promise.withResolvers<number>();
  admin.onEnforce = () => {
    closing.resolve();
    return mayAnswer.promise;
  };
  const underWay = ask(await admin.as('admin'), rpc.removeClient, RemoveClientRequest.fromPartial({ clientId: 'clientA' }));
  await closing.promise;

  const stopped = admin.server.stop(60_000);
  for (const stream of streams) {
    const refusal = refusalIn(await stream.ended());
    assert.equal(refusal.code, Code.UNAVAILABLE);
    assert.equal(refusal.reason, 'SHUTTING_DOWN');
    assert.equal(refusal.message, 'shutting down');
  }
  mayAnswer.resolve(5);
  assert.equal((await underWay).connectionsClosed, 5n);
  await stopped;
  assert.equal(await code(ask(viewer, rpc.getLogLevel, {})), Code.UNAVAILABLE);
});

test('at its deadline a stop closes what is left', async (t) => {
  const admin = await startAdmin(t);
  const closing = Promise.withResolvers<void>();
  admin.onEnforce = () => {
    closing.resolve();
    return new Promise(() => undefined);
  };
  const underWay = code(ask(await admin.as('admin'), rpc.removeClient, RemoveClientRequest.fromPartial({ clientId: 'clientA' })));
  await closing.promise;
  await admin.server.stop(50);
  assert.notEqual(await underWay, Code.OK);
});
