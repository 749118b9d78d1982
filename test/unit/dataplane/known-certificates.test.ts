import assert from 'node:assert/strict';
import { once } from 'node:events';
import { type TestContext, test } from 'node:test';
import { createServer, type Server, type TLSSocket } from 'node:tls';
import fc from 'fast-check';
import type { KeyAndCertificate } from '../../../certs/issuing.ts';
import { identityIn } from '../../../src/dataplane/gates.ts';
import { certificateInSession, KnownCertificates } from '../../../src/dataplane/known-certificates.ts';
import { createTestCa } from '../../support/certificates.ts';
import { tlsClient } from '../../support/tls-client.ts';

const ca = await createTestCa();
const [alice, bob, serverPair] = await Promise.all([ca.issue({ cn: 'alice' }), ca.issue({ cn: 'bob' }), ca.issueServer()]);

async function listen(t: TestContext): Promise<Server & { readonly port: number }> {
  const options = { cert: serverPair.certPem, key: serverPair.keyPem, ca: ca.caPem, requestCert: true, rejectUnauthorized: false };
  const server = createServer(options).listen(0, '127.0.0.1');
  await once(server, 'listening');
  t.after(() => server.close());
  const address = server.address();
  return Object.assign(server, { port: typeof address === 'object' && address !== null ? address.port : 0 });
}

interface Visit {
  readonly certificate?: KeyAndCertificate;
  readonly version?: 'TLSv1.2' | 'TLSv1.3';
  readonly session?: Buffer | undefined;
}

/** The server's side of a connection, which stays open, and the session that the client got by it. */
async function visit(t: TestContext, server: Server & { readonly port: number }, { certificate, version = 'TLSv1.3', session }: Visit) {
  const secured = once(server, 'secureConnection');
  const tls = { minVersion: version, maxVersion: version, ...(session === undefined ? {} : { session }) };
  const client = tlsClient(t, { port: server.port, ca: ca.caPem, certificate, tls });
  const given = once(client.socket, 'session');
  const [socket]: TLSSocket[] = await secured;
  assert.ok(socket);
  t.after(() => socket.destroy());
  return { socket, given: async (): Promise<Buffer> => (await given)[0] };
}

for (const version of ['TLSv1.2', 'TLSv1.3'] as const) {
  test(`a session of ${version} holds the certificate that the client has shown, a resumed one that of its first handshake`, async (t) => {
    const server = await listen(t);
    const { socket, given } = await visit(t, server, { certificate: alice, version });
    assert.deepEqual(certificateInSession(socket.getSession()), socket.getPeerX509Certificate()?.raw);
    const { socket: again } = await visit(t, server, { certificate: alice, version, session: await given() });
    assert.equal(again.isSessionReused(), true);
    assert.deepEqual(certificateInSession(again.getSession()), socket.getPeerX509Certificate()?.raw);
  });
}

test('a session without a certificate holds none', async (t) => {
  const { socket } = await visit(t, await listen(t), {});
  assert.equal(certificateInSession(socket.getSession()), undefined);
  assert.throws(() => new KnownCertificates().identityOf(socket), { reason: 'no_client_certificate' });
});

test('whose certificate was shown before is known without reading it again, and each client is itself', async (t) => {
  const server = await listen(t);
  const known = new KnownCertificates();
  const first = await visit(t, server, { certificate: alice });
  const second = await visit(t, server, { certificate: alice });
  const other = await visit(t, server, { certificate: bob });
  const identity = known.identityOf(first.socket);
  const read = first.socket.getPeerX509Certificate();
  assert.ok(read);
  assert.deepEqual(identity, identityIn(read));
  t.mock.method(second.socket, 'getPeerX509Certificate', () => assert.fail('read again'));
  assert.equal(known.identityOf(second.socket), identity);
  assert.equal(known.identityOf(other.socket).commonName, 'bob');
});

test('where sessions look otherwise, each certificate is read, and nothing is remembered of it', async (t) => {
  const server = await listen(t);
  const [{ socket: ofAlice }, { socket: ofBob }] = [
    await visit(t, server, { certificate: alice }),
    await visit(t, server, { certificate: bob }),
  ];
  const known = new KnownCertificates();
  // Alice's session is said to be everybody's.
  const session = ofAlice.getSession();
  const as = (socket: TLSSocket) => ({ getSession: () => session, getPeerX509Certificate: () => socket.getPeerX509Certificate() });
  assert.equal(known.identityOf(as(ofBob)).commonName, 'bob');
  assert.equal(known.identityOf(ofAlice).commonName, 'alice');
  const none = { getSession: () => Buffer.from('something else'), getPeerX509Certificate: () => ofBob.getPeerX509Certificate() };
  assert.equal(known.identityOf(none).commonName, 'bob');
});

test('no bytes that are not a session are taken for one', () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 80 }), (bytes) => {
      const found = certificateInSession(Buffer.from(bytes));
      assert.ok(found === undefined || bytes[0] === 0x30);
    }),
  );
  for (const hex of ['', '30', '3080a300', '3005a3040102', '3003a384ff', '30020201']) {
    assert.equal(certificateInSession(Buffer.from(hex, 'hex')), undefined, hex);
  }
});
