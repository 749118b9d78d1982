import assert from 'node:assert/strict';
import { X509Certificate } from 'node:crypto';
import { once } from 'node:events';
import { test } from 'node:test';
import { connect as connectTls, type TLSSocket } from 'node:tls';
import { type Client, status as Code, type MethodDefinition, makeGenericClientConstructor, type StatusObject } from '@grpc/grpc-js';
import { NEEDED_ROLE } from '../../src/admin/roles.ts';
import { SERVED } from '../../src/admin/server.ts';
import { ROLES, roleSuffices } from '../../src/domain/roles.ts';
import { HealthService } from '../../src/gen/grpc/health/v1/health.ts';
import { AddClientRequest, AdminServiceService as rpc, WatchHealthRequest, WatchStatsRequest } from '../../src/gen/lb/admin/v1/admin.ts';
import { ask, type Refused, refusalIn, refused, startAdmin, type TestAdmin, watch } from '../support/admin-server.ts';
import { createTestCa } from '../support/certificates.ts';
import { sampleClient } from '../support/sample-state.ts';

const AnyClient = makeGenericClientConstructor({}, 'any');

const METHODS: readonly MethodDefinition<unknown, unknown>[] = SERVED.flatMap((service) => Object.values(service));

/** Calls a method with an empty message, whatever its kind, and says what came: an answer, or the status it ended with. */
function call(client: Client, method: MethodDefinition<unknown, unknown>): Promise<StatusObject | 'answered'> {
  const empty = () => Buffer.alloc(0);
  const raw = (bytes: Buffer) => bytes;
  const { promise, resolve } = Promise.withResolvers<StatusObject | 'answered'>();
  const stream = client.makeBidiStreamRequest(method.path, empty, raw);
  stream.on('status', (status: StatusObject) => resolve(status));
  stream.on('error', () => undefined);
  stream.on('data', () => {
    resolve('answered');
    stream.cancel();
  });
  stream.write({});
  stream.end();
  return promise;
}

/** The methods that answer anything but PERMISSION_DENIED, and the refusals of the others. */
async function opened(client: Client): Promise<{ open: string[]; refusals: Refused[] }> {
  const open: string[] = [];
  const refusals: Refused[] = [];
  for (const method of METHODS) {
    const came = await call(client, method);
    if (came !== 'answered' && came.code === Code.PERMISSION_DENIED) refusals.push(refusalIn(came));
    else open.push(method.path);
  }
  return { open, refusals };
}

async function assertOpensNothing(admin: TestAdmin, as: Parameters<TestAdmin['connect']>[1], expected: RegExp): Promise<Refused[]> {
  const { open, refusals } = await opened(await admin.connect(AnyClient, as));
  assert.deepEqual(open, []);
  for (const { message } of refusals) assert.match(message, expected);
  return refusals;
}

for (const role of ROLES) {
  test(`the role ${role} opens what its table says, over the wire, and nothing else`, async (t) => {
    const admin = await startAdmin(t);
    const { open, refusals } = await opened(await admin.connect(AnyClient, role));

    const expected = METHODS.map(({ path }) => path).filter((path) => roleSuffices(role, NEEDED_ROLE.get(path) ?? assert.fail(path)));
    assert.deepEqual(open, expected);
    for (const { reason, message } of refusals) {
      assert.equal(reason, 'ROLE_TOO_LOW');
      assert.match(
        message,
        new RegExp(`^certificate "${role}" has the role ${role} and \\w+ needs (operator|admin); change it under admin.roles$`),
      );
    }
    assert.equal(refusals.length === 0, role === 'admin', 'everybody but admin is refused something');
  });
}

test('a certificate without a role opens nothing and is told what to do', async (t) => {
  const admin = await startAdmin(t);
  const refusals = await assertOpensNothing(admin, 'somebody', /^certificate "somebody" has no role here; add it under admin.roles$/);
  assert.ok(refusals.every(({ reason, domain }) => reason === 'NO_ROLE' && domain === 'portcullis'));
});

test("a data-plane client's certificate opens nothing, not even with a role", async (t) => {
  const admin = await startAdmin(t);
  await assertOpensNothing(admin, 'clientA', /^certificate "clientA" is a load-balanced client's/);
  const both = await admin.ca.issue({ cn: 'clientA', ou: 'auditors' });
  const refusals = await assertOpensNothing(admin, both, /^certificate "clientA" is a load-balanced client's/);
  assert.ok(refusals.every(({ reason }) => reason === 'DATA_PLANE_CERTIFICATE'));
});

test('a certificate with several common names opens nothing', async (t) => {
  const admin = await startAdmin(t);
  await assertOpensNothing(admin, await admin.ca.issue({ cns: ['admin', 'viewer'] }), /exactly one identity/);
});

test('a role can be given by another field than the common name', async (t) => {
  const admin = await startAdmin(t);
  const auditor = await admin.connect(AnyClient, await admin.ca.issue({ cn: 'eve', ou: 'auditors' }));
  assert.equal((await ask(auditor, rpc.getLogLevel, {})).level, 'info');
});

/** Tries to speak HTTP/2 and waits for the end: with TLS 1.3 the client's own handshake succeeds before it is refused. */
async function bytesFromServer(admin: TestAdmin, with_: { key?: string; cert?: string }): Promise<number> {
  const socket: TLSSocket = connectTls({
    host: '127.0.0.1',
    port: admin.server.address.port,
    servername: 'localhost',
    ca: admin.ca.caPem,
    ALPNProtocols: ['h2'],
    ...with_,
  });
  let bytes = 0;
  socket.on('data', (chunk: Buffer) => {
    bytes += chunk.length;
    socket.destroy();
  });
  socket.on('error', () => undefined);
  socket.write('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n');
  if (!socket.closed) await once(socket, 'close').catch(() => undefined);
  return bytes;
}

const fingerprintOf = (pem: string) => new X509Certificate(pem).fingerprint256.replaceAll(':', '').toLowerCase();

test('without a certificate, or with one of another CA, nobody gets further than TLS', async (t) => {
  const admin = await startAdmin(t);
  const viewer = await admin.certificate('viewer');
  assert.ok((await bytesFromServer(admin, { key: viewer.keyPem, cert: viewer.certPem })) > 0);

  assert.equal(await bytesFromServer(admin, {}), 0);
  const stranger = await (await createTestCa()).issue({ cn: 'admin' });
  assert.equal(await bytesFromServer(admin, { key: stranger.keyPem, cert: stranger.certPem }), 0);
  const expired = await admin.ca.issue({ cn: 'admin', expired: true });
  assert.equal(await bytesFromServer(admin, { key: expired.keyPem, cert: expired.certPem }), 0);

  const failures = admin.lines.filter(({ msg }) => msg === 'admin handshake failed');
  assert.equal(failures.length, 3, 'each is in the log');
  const { from, subject, error } = failures.find(({ fingerprint }) => fingerprint === fingerprintOf(stranger.certPem)) ?? {};
  assert.deepEqual([from, subject, error], ['127.0.0.1', 'CN=admin', 'UNABLE_TO_VERIFY_LEAF_SIGNATURE']);
  for (let attempt = 0; attempt < 5; attempt++) await bytesFromServer(admin, { key: stranger.keyPem, cert: stranger.certPem });
  assert.equal(admin.lines.filter(({ msg }) => msg === 'admin handshake failed').length, 3, 'the same again is not');
  await admin.server.stop(0);
  const again = admin.lines.filter(({ msg }) => msg === 'admin handshakes failed again');
  assert.deepEqual(
    again.map(({ count, subject }) => [count, subject]),
    [[5, 'CN=admin']],
  );
});

test('an identity that becomes a client loses its streams at once, and its next calls', async (t) => {
  const admin = await startAdmin(t);
  const viewer = await admin.as('viewer');
  const stats = watch(viewer, rpc.watchStats, WatchStatsRequest.create());
  const health = watch(viewer, HealthService.watch, { service: '' });
  await stats.next();
  await health.next();
  const other = watch(await admin.as('operator'), rpc.watchHealth, WatchHealthRequest.create());
  await other.next();

  // Not over the admin API, which refuses it.
  await admin.authority.execute({ kind: 'addClient', client: sampleClient('viewer', ['web']) }, { actor: 'library' });

  for (const status of [await stats.ended(), await health.ended()]) {
    assert.equal(status.code, Code.PERMISSION_DENIED);
    assert.equal(refusalIn(status).reason, 'DATA_PLANE_CERTIFICATE');
  }
  assert.equal((await refused(ask(viewer, rpc.getState, {}))).reason, 'DATA_PLANE_CERTIFICATE');
  admin.health.turn('web', '127.0.0.1:8081', 'healthy');
  assert.equal((await other.next()).targetGroup, 'web', "others' streams go on");
  await other.cancel();
});

test('nobody makes a client of his own certificate by mistake', async (t) => {
  const admin = await startAdmin(t);
  const request = AddClientRequest.fromPartial({ client: { clientId: 'admin', allowedTargetGroups: ['web'] } });
  const refusal = await refused(ask(await admin.as('admin'), rpc.addClient, request));
  assert.equal(refusal.code, Code.FAILED_PRECONDITION);
  assert.match(refusal.message, /matches your own certificate "admin"/);
  assert.equal(admin.authority.snapshot.revision, 1);
});
