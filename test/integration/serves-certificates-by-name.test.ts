import assert from 'node:assert/strict';
import { createPrivateKey, X509Certificate } from 'node:crypto';
import { once } from 'node:events';
import { writeFile } from 'node:fs/promises';
import { connect as connectTcp, createServer, type Socket } from 'node:net';
import path from 'node:path';
import { type TestContext, test } from 'node:test';
import type { ConnectionOptions } from 'node:tls';
import { pino } from 'pino';
import type { KeyAndCertificate } from '../../certs/issuing.ts';
import { loadTlsMaterial, TlsFileError } from '../../src/config/tls-files.ts';
import { proxyHeaderV1 } from '../../src/domain/proxy-protocol.ts';
import { ServedCertificates } from '../../src/served-certificates.ts';
import { createTestCa } from '../support/certificates.ts';
import { bannerServer } from '../support/echo-servers.ts';
import { selfSignedRsa } from '../support/rsa-certificate.ts';
import { startBalancer, uncheckedGroup } from '../support/running-balancer.ts';
import { temporaryFolder } from '../support/temp-dir.ts';
import { tlsClient } from '../support/tls-client.ts';
import { materialOf, serveFront } from '../support/tls-front.ts';

function pairOf({ certPem, keyPem }: KeyAndCertificate) {
  return { certificatePem: certPem, privateKeyPem: keyPem, ocsp: undefined };
}

interface Place {
  readonly port: number;
  readonly certificate: KeyAndCertificate;
}

/** The subject and the kind of key of the certificate that the server shows. */
async function shown(t: TestContext, to: Place, servername: string, tls: ConnectionOptions = {}): Promise<string> {
  const client = tlsClient(t, { ...to, ca: '', servername, tls: { rejectUnauthorized: false, ...tls } });
  await client.secured;
  const certificate = client.socket.getPeerX509Certificate();
  client.socket.destroy();
  return `${certificate?.subject} ${certificate?.publicKey.asymmetricKeyType}`;
}

test('a client gets the first certificate that is for the name it asks for, else the main one', async (t) => {
  const ca = await createTestCa();
  const issue = async (cn: string, dns: readonly string[] = []) => pairOf(await ca.issue({ cn, dns, server: true }));
  const certificates = [
    await issue('one', ['db.example.com', 'DB.example.ORG']),
    await issue('two', ['*.example.com']),
    await issue('three', ['db.example.com', 'x.y.example.com']),
    await issue('by-name.example.net'),
    await issue('hidden.example.net', ['other.example.net']),
  ];
  for (const versions of [{ maxVersion: 'TLSv1.2' }, { minVersion: 'TLSv1.3' }] as const) {
    const { port } = await serveFront(t, { material: await materialOf(ca, { certificates }) });
    const to = { port, certificate: await ca.issue({ cn: 'alice' }) };
    const expected: readonly [string, string][] = [
      ['db.example.com', 'CN=one'],
      ['DB.EXAMPLE.COM', 'CN=one'],
      ['db.example.org', 'CN=one'],
      ['web.example.com', 'CN=two'],
      ['y.example.com', 'CN=two'],
      ['x.y.example.com', 'CN=three'],
      ['z.y.example.com', 'CN=loadbalancer'],
      ['example.com', 'CN=loadbalancer'],
      ['by-name.example.net', 'CN=by-name.example.net'],
      ['hidden.example.net', 'CN=loadbalancer'],
      ['localhost', 'CN=loadbalancer'],
      ['', 'CN=loadbalancer'],
    ];
    for (const [name, subject] of expected) assert.equal(await shown(t, to, name, versions), `${subject} ec`, name);
  }
});

test('an RSA certificate beside an ECDSA one for the same names goes to the clients that verify RSA alone', async (t) => {
  const ca = await createTestCa();
  const dns = ['db.example.com'];
  const ec = pairOf(await ca.issue({ dns, server: true }));
  const rsa = pairOf(await selfSignedRsa(dns));
  const rsaOnly: readonly ConnectionOptions[] = [
    { maxVersion: 'TLSv1.2', ciphers: 'ECDHE-RSA-AES128-GCM-SHA256' },
    { minVersion: 'TLSv1.3', sigalgs: 'rsa_pss_rsae_sha256' },
  ];
  const named = await serveFront(t, { material: await materialOf(ca, { certificates: [ec, rsa] }) });
  const main = await serveFront(t, { material: { ...(await materialOf(ca)), ...rsa, certificates: [ec] } });
  const certificate = await ca.issue({ cn: 'alice' });
  for (const { port } of [named, main]) {
    const to = { port, certificate };
    for (const versions of [{ maxVersion: 'TLSv1.2' }, { minVersion: 'TLSv1.3' }] as const)
      assert.match(await shown(t, to, 'db.example.com', versions), / ec$/);
    for (const options of rsaOnly) assert.match(await shown(t, to, 'db.example.com', options), / rsa$/);
  }
  assert.match(await shown(t, { port: main.port, certificate }, 'elsewhere.example.com', rsaOnly[0]), / rsa$/);
  await assert.rejects(shown(t, { port: named.port, certificate }, 'localhost', rsaOnly[0]), /handshake failure/);
});

test('clients of every name are held to the same CA, and resume under their name', async (t) => {
  const [ca, strange] = [await createTestCa(), await createTestCa()];
  const certificates = [pairOf(await ca.issue({ cn: 'db', dns: ['db.example.com'], server: true }))];
  const keys = [{ bytes: Buffer.alloc(48, 1), madeAtMs: 0 }];
  const served = await serveFront(t, { material: await materialOf(ca, { certificates, sessionTickets: { keys, turningPointsMs: [] } }) });
  const visit = async (certificate: KeyAndCertificate, tls: ConnectionOptions) => {
    const client = tlsClient(t, { port: served.port, ca: ca.caPem, certificate, servername: 'db.example.com', tls });
    let session: Buffer | undefined;
    client.socket.on('session', (each: Buffer) => {
      session = each;
    });
    await client.ending;
    return { session, shaken: await served.next() };
  };
  for (const version of ['TLSv1.2', 'TLSv1.3'] as const) {
    const tls = { minVersion: version, maxVersion: version };
    assert.equal((await visit(await strange.issue({ cn: 'alice' }), tls)).shaken.refused, 'certificate_untrusted');
    const alice = await ca.issue({ cn: 'alice' });
    const { session, shaken } = await visit(alice, tls);
    assert.ok(session !== undefined && shaken.refused === undefined && !shaken.resumed);
    const again = await visit(alice, { ...tls, session });
    const { refused, resumed, sni } = { resumed: undefined, sni: undefined, ...again.shaken };
    assert.deepEqual([refused, resumed, sni], [undefined, true, 'db.example.com'], version);
  }
});

test('behind a PROXY protocol header, and byte by byte, the name is read as well', async (t) => {
  const folder = await temporaryFolder(t);
  const ca = await createTestCa();
  const upstream = await bannerServer(t, 'hello');
  const issued = { lb: await ca.issueServer(), db: await ca.issue({ cn: 'db', dns: ['db.example.com'], server: true }) };
  const { caCert, lb, db } = await ca.writeTo(folder, issued);
  const balancer = await startBalancer(t, {
    ca,
    config: {
      listenAddress: undefined,
      listeners: [{ name: 'proxied', address: '127.0.0.1:0', acceptProxyProtocol: ['127.0.0.1'] }],
      tlsParams: { ...lb, caCert, certificates: [db] },
      targetGroups: [uncheckedGroup('web', [upstream.address])],
      clients: [{ clientId: 'alice', allowedTargetGroup: 'web' }],
    },
  });
  const certificate = await ca.issue({ cn: 'alice' });
  const ends = { source: { host: '192.0.2.7', port: 4711 }, destination: { host: '198.51.100.1', port: 443 } };
  for (const size of [1, 1 << 20]) {
    const relay = createServer((from) => {
      const to = connectTcp({ port: balancer.port(), host: '127.0.0.1', noDelay: true });
      to.write(proxyHeaderV1(ends));
      from.on('error', () => undefined).on('close', () => to.destroy());
      to.on('error', () => undefined).pipe(from);
      void forward(from, to, size);
    });
    relay.listen(0, '127.0.0.1');
    await once(relay, 'listening');
    t.after(() => relay.close());
    const address = relay.address();
    assert.ok(typeof address === 'object' && address !== null);
    assert.equal(await shown(t, { port: address.port, certificate }, 'db.example.com'), 'CN=db ec');
    const line = await balancer.nextLine();
    assert.deepEqual([line.sni ?? 'db.example.com', line.remote], ['db.example.com', '192.0.2.7:4711']);
  }
});

/** Each piece in a segment of its own as far as the system allows. */
async function forward(from: Socket, to: Socket, size: number): Promise<void> {
  for await (const chunk of from) {
    for (let at = 0; at < chunk.length; at += size) {
      await new Promise((resolve) => to.write(chunk.subarray(at, at + size), resolve));
      await new Promise((resolve) => setImmediate(resolve));
    }
  }
}

test('files of more certificates are read and refused as those of the main one', async (t) => {
  const folder = await temporaryFolder(t);
  const ca = await createTestCa();
  const more = await ca.issue({ cn: 'db', dns: ['db.example.com'], server: true, days: 3 });
  const { caCert, lb, db } = await ca.writeTo(folder, { lb: await ca.issueServer(), db: more });
  const params = {
    ...lb,
    ocspResponse: undefined,
    caCert,
    crl: undefined,
    minVersion: 'TLSv1.2',
    ciphers: 'TLS_AES_128_GCM_SHA256',
    sessionTickets: false,
  } as const;
  const load = (certificates: readonly (typeof db)[]) =>
    loadTlsMaterial(
      { ...params, certificates: certificates.map((files) => ({ ...files, ocspResponse: undefined })) },
      { allowInsecureKeyPermissions: false },
    );

  const { material, warnings } = load([lb, db]);
  assert.deepEqual(
    material.certificates.map(({ certificatePem }) => new X509Certificate(certificatePem).subject),
    ['CN=loadbalancer', 'CN=db'],
  );
  assert.ok(
    warnings.some((line) => line.startsWith(`certificates[1].certificate ${db.certificate}: "CN=db" expires on `)),
    warnings.join(),
  );

  const refusal = (certificates: readonly (typeof db)[]) => {
    try {
      load(certificates);
    } catch (error) {
      assert.ok(error instanceof TlsFileError);
      return error.message;
    }
    return assert.fail('the files were taken');
  };
  assert.match(
    refusal([lb, { certificate: db.certificate, privateKey: lb.privateKey }]),
    new RegExp(`^certificates\\[1\\]\\.privateKey ${lb.privateKey}: the key does not match the certificate`),
  );
  assert.match(refusal([{ ...db, certificate: path.join(folder, 'none.crt') }]), /^certificates\[0\]\.certificate .*none\.crt: /);
  await writeFile(db.privateKey, more.keyPem.replace('MI', 'XX'));
  assert.match(refusal([db]), /^certificates\[0\]\.privateKey /);
  assert.ok(createPrivateKey(more.keyPem).type === 'private');
});

test('a certificate that no client gets is a warning that names who gets its names', async (t) => {
  const folder = await temporaryFolder(t);
  const ca = await createTestCa();
  const issue = (...dns: string[]) => ca.issue({ cn: dns[0] ?? 'nameless', dns, server: true, days: 90 });
  const issued = {
    wild: await issue('*.example.com'),
    exact: await issue('DB.example.com', 'web.example.com'),
    partly: await issue('db.example.com', 'db.example.org'),
    both: await issue('x.example.com', 'db.example.org'),
    again: await issue('*.example.com'),
    rsa: await selfSignedRsa(['*.example.com']),
    deeper: await issue('a.b.example.com', 'db.example.com'),
    nameless: await ca.issue({ ips: ['192.0.2.1'], server: true, days: 90 }),
    byName: await ca.issue({ cn: 'cn.example.com', server: true, days: 90 }),
  };
  const { caCert, lb, ...files } = await ca.writeTo(folder, { lb: await ca.issueServer(), ...issued });
  const order = ['wild', 'exact', 'partly', 'both', 'again', 'rsa', 'deeper', 'nameless', 'byName'] as const;
  const certificates = order.map((name) => ({ ...files[name], ocspResponse: undefined }));
  const fixed = {
    ocspResponse: undefined,
    crl: undefined,
    minVersion: 'TLSv1.2',
    ciphers: 'TLS_AES_128_GCM_SHA256',
    sessionTickets: false,
  } as const;
  const { material, warnings } = loadTlsMaterial({ ...lb, ...fixed, caCert, certificates }, { allowInsecureKeyPermissions: false });
  const at = (index: number) => `certificates[${index}].certificate ${certificates[index]?.certificate}`;
  const advice = (who: string) =>
    `those who ask for one of its names get an earlier one that carries it: ${who}; move it up before that, or remove it`;
  assert.deepEqual(
    warnings.filter((line) => line.includes('is served to nobody')),
    [
      `${at(1)}: "CN=DB.example.com" is served to nobody: ${advice(at(0))}`,
      `${at(3)}: "CN=x.example.com" is served to nobody: ${advice(`${at(0)}, ${at(2)}`)}`,
      `${at(4)}: "CN=*.example.com" is served to nobody: ${advice(at(0))}`,
      `${at(7)}: "" is served to nobody: it carries no host name that a client can ask for; have the CA issue one with a DNS name, or remove it`,
      `${at(8)}: "CN=cn.example.com" is served to nobody: ${advice(at(0))}`,
    ],
  );
  // And so it is.
  const { port } = await serveFront(t, { material });
  const to = { port, certificate: await ca.issue({ cn: 'alice' }) };
  for (const [name, subject] of [
    ['db.example.com', 'CN=*.example.com'],
    ['web.example.com', 'CN=*.example.com'],
    ['x.example.com', 'CN=*.example.com'],
    ['cn.example.com', 'CN=*.example.com'],
    ['db.example.org', 'CN=db.example.com'],
    ['a.b.example.com', 'CN=a.b.example.com'],
  ] as const)
    assert.equal(await shown(t, to, name, { maxVersion: 'TLSv1.3' }), `${subject} ec`, name);
});

test('a running balancer lists them, reloads them with the others, and keeps all when one is bad', async (t) => {
  const folder = await temporaryFolder(t);
  const ca = await createTestCa();
  const upstream = await bannerServer(t, 'hello');
  const issue = (cn: string) => ca.issue({ cn, dns: ['db.example.com'], server: true });
  const { caCert, lb, db } = await ca.writeTo(folder, { lb: await ca.issueServer(), db: await issue('before') });
  const balancer = await startBalancer(t, {
    ca,
    config: {
      tlsParams: { ...lb, caCert, certificates: [db] },
      targetGroups: [uncheckedGroup('web', [upstream.address])],
      clients: [{ clientId: 'alice', allowedTargetGroup: 'web' }],
    },
  });
  const subjects = async () => {
    const certificate = await ca.issue({ cn: 'alice' });
    const client = balancer.connect(t, { certificate, servername: 'db.example.com' });
    await client.readUntil('hello');
    const subject = client.socket.getPeerX509Certificate()?.subject;
    client.socket.end();
    assert.equal((await balancer.nextLine()).sni, 'db.example.com');
    return subject;
  };
  assert.equal(await subjects(), 'CN=before');
  const material = balancer.lb.tlsMaterial.get('default') ?? assert.fail();
  const served = new ServedCertificates(balancer.lb, material, {
    log: pino({ level: 'silent' }),
    allowInsecureKeyPermissions: false,
  }).served();
  assert.deepEqual(
    served.map(({ usedBy, file }) => [usedBy, file]),
    [
      ['default', lb.certificate],
      ['default', db.certificate],
      ['admin', lb.certificate],
    ],
  );

  const after = await issue('after');
  await writeFile(db.certificate, after.certPem);
  await assert.rejects(balancer.lb.reloadCertificates(), /certificates\[0\]\.privateKey/);
  assert.equal(await subjects(), 'CN=before');
  await writeFile(db.privateKey, after.keyPem);
  await balancer.lb.reloadCertificates();
  assert.equal(await subjects(), 'CN=after');
});
