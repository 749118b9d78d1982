import assert from 'node:assert/strict';
import { writeFile } from 'node:fs/promises';
import type { Socket } from 'node:net';
import path from 'node:path';
import { describe, type TestContext, test } from 'node:test';
import { createSecureContext, TLSSocket } from 'node:tls';
import { createTestCa, type TestCa } from '../support/certificates.ts';
import { echoServer, startUpstream } from '../support/echo-servers.ts';
import { type RunningBalancer, startBalancer, uncheckedGroup } from '../support/running-balancer.ts';
import { temporaryFolder } from '../support/temp-dir.ts';
import { tlsUpstream } from '../support/upstream-tls.ts';

interface Scene {
  readonly servers: TestCa;
  readonly caFile: string;
  readonly folder: string;
}

async function scene(t: TestContext): Promise<Scene> {
  const servers = await createTestCa({ name: 'servers CA' });
  const folder = await temporaryFolder(t);
  const caFile = path.join(folder, 'servers.pem');
  await writeFile(caFile, servers.caPem);
  return { servers, caFile, folder };
}

async function start(t: TestContext, upstreamServers: readonly string[], upstreamTls: object, more: object = {}): Promise<RunningBalancer> {
  return startBalancer(t, {
    config: {
      targetGroups: [uncheckedGroup('web', upstreamServers, { upstreamTls, algorithm: 'roundRobin', ...more })],
      clients: [{ clientId: 'alice', allowedTargetGroups: ['web'] }],
    },
  });
}

async function exchange(t: TestContext, balancer: RunningBalancer, text = 'hello'): Promise<string> {
  const client = balancer.connect(t, { certificate: await balancer.ca.issue({ cn: 'alice' }), halfOpen: true });
  client.socket.end(text);
  return String(await client.readAll());
}

async function serverOf({ servers }: Scene, certificate: Parameters<TestCa['issue']>[0] = { ips: ['127.0.0.1'] }) {
  const { certPem, keyPem } = await servers.issue({ server: true, ...certificate });
  return { cert: certPem, key: keyPem };
}

test('bytes go both ways, and ends are passed on', async (t) => {
  const at = await scene(t);
  const big = 'x'.repeat(300_000);
  const upstream = await tlsUpstream(t, await serverOf(at), (socket) => {
    let got = '';
    socket.on('data', (chunk) => (got += String(chunk))).on('end', () => socket.end(`${got.length} ${got}`));
  });
  const balancer = await start(t, [upstream.address], { ca: at.caFile });
  assert.equal(await exchange(t, balancer, big), `300000 ${big}`);
  const line = await balancer.nextLine();
  assert.deepEqual([line.reason, line.bytesUp], ['client_closed', 300_000]);
  await upstream.idle();
  balancer.assertIdle();
});

test('the name is sent as SNI and looked for in the certificate, and the protocol that the client chose is offered', async (t) => {
  const at = await scene(t);
  const seen: unknown[] = [];
  const upstream = await tlsUpstream(t, { ...(await serverOf(at, { dns: ['db.internal'] })), ALPNProtocols: ['h2', 'echo'] }, (socket) => {
    // At run time a server-side TLS socket has the SNI, which @types/node does not know.
    seen.push([Reflect.get(socket, 'servername'), socket.alpnProtocol]);
    socket.pipe(socket);
  });
  const balancer = await startBalancer(t, {
    config: {
      listeners: [{ name: 'main', address: '127.0.0.1:0', routes: [{ alpn: 'echo', targetGroup: 'web' }] }],
      listenAddress: undefined,
      targetGroups: [uncheckedGroup('web', [upstream.address], { upstreamTls: { ca: at.caFile, serverName: 'db.internal' } })],
      clients: [{ clientId: 'alice', allowedTargetGroups: ['web'] }],
    },
  });
  const client = balancer.connect(t, { certificate: await balancer.ca.issue({ cn: 'alice' }), alpn: ['echo'], halfOpen: true });
  client.socket.end('hello');
  assert.equal(String(await client.readAll()), 'hello');
  assert.deepEqual(seen, [['db.internal', 'echo']]);
});

test('servers are shown the client certificate, and told of the client first', async (t) => {
  const at = await scene(t);
  const shown: unknown[] = [];
  const upstream = await tlsUpstream(
    t,
    { ...(await serverOf(at)), ca: at.servers.caPem, requestCert: true, rejectUnauthorized: true },
    (socket, header) => {
      shown.push([socket.getPeerX509Certificate()?.subject, header?.ends?.source.host]);
      socket.pipe(socket);
    },
    { expectHeader: true },
  );
  const { lb } = await at.servers.writeTo(at.folder, { lb: await at.servers.issue({ cn: 'portcullis' }) });
  const balancer = await start(t, [upstream.address], { ca: at.caFile, ...lb }, { sendProxyProtocol: 'v2' });
  assert.equal(await exchange(t, balancer), 'hello');
  assert.deepEqual(shown, [['CN=portcullis', '127.0.0.1']]);
});

test('a server that demands a certificate, which with TLS 1.3 it says after the handshake, is said to', async (t) => {
  const at = await scene(t);
  const demanding = { ...(await serverOf(at)), ca: at.servers.caPem, requestCert: true, rejectUnauthorized: true };
  const upstream = await tlsUpstream(t, demanding, (socket) => socket.end('never'));
  const balancer = await start(t, [upstream.address], { ca: at.caFile });
  await balancer.connect(t, { certificate: await balancer.ca.issue({ cn: 'alice' }) }).ending;
  const { reason, detail } = await balancer.nextLine();
  assert.equal(reason, 'upstream_reset');
  assert.match(detail ?? '', /^127\S+: .*alert certificate required: name one in upstreamTls\.certificate of group "web"$/);
  await upstream.idle();
  balancer.assertIdle();
});

describe('a server that is removed while it is dialled gets no connection', () => {
  async function removedWhileDialled(t: TestContext, alsoAdded: readonly string[], at: Scene): Promise<RunningBalancer> {
    const dialled = Promise.withResolvers<Socket>();
    const slow = await startUpstream(t, dialled.resolve);
    const balancer = await start(t, [slow.address], { ca: at.caFile });
    const client = balancer.connect(t, { certificate: await balancer.ca.issue({ cn: 'alice' }), halfOpen: true });
    client.socket.on('error', () => undefined).end('hello');
    const raw = await dialled.promise;
    for (const address of alsoAdded) await balancer.lb.addUpstreamServer('web', address);
    await balancer.lb.removeUpstreamServer('web', slow.address);
    const secure = new TLSSocket(raw, { isServer: true, secureContext: createSecureContext(await serverOf(at)) });
    secure
      .on('error', () => raw.destroy())
      .resume()
      .end('from the removed one');
    await client.ending;
    await slow.idle();
    return balancer;
  }

  test('but another one', async (t) => {
    const at = await scene(t);
    const good = await tlsUpstream(t, await serverOf(at), (socket) => socket.pipe(socket));
    const balancer = await removedWhileDialled(t, [good.address], at);
    const { server, attempts, bytesDown } = await balancer.nextLine();
    assert.deepEqual([server, attempts, bytesDown], [good.address, 2, 'hello'.length]);
    await good.idle();
    balancer.assertIdle();
  });

  test('and without another the client is refused', async (t) => {
    const balancer = await removedWhileDialled(t, [], await scene(t));
    const { reason, detail } = await balancer.nextLine();
    assert.equal(reason, 'no_healthy_upstream');
    assert.match(detail ?? '', /^127\S+ was removed while it was dialled$/);
    balancer.assertIdle();
  });
});

describe('a server that cannot be trusted is not connected to', () => {
  for (const [what, certificate, settings, detail] of [
    [
      'another CA',
      'foreign',
      {},
      /^127\S+: \w+: unable to verify the first certificate; its CA is not among those of upstreamTls\.ca of group "web", or it sends no intermediate$/,
    ],
    [
      'another name',
      { dns: ['other.internal'] },
      { serverName: 'db.internal' },
      /db\.internal\. is not in the cert's altnames: DNS:other\.internal/,
    ],
    ['another address', { ips: ['127.0.0.2'] }, {}, /IP: 127\.0\.0\.1 is not in the cert's list: 127\.0\.0\.2/],
    ['a certificate that has expired', { ips: ['127.0.0.1'], expired: true }, {}, /expired/i],
  ] as const) {
    test(what, async (t) => {
      const at = await scene(t);
      const issuer = certificate === 'foreign' ? { ...at, servers: await createTestCa({ name: 'foreign' }) } : at;
      const upstream = await tlsUpstream(
        t,
        await serverOf(issuer, certificate === 'foreign' ? { ips: ['127.0.0.1'] } : certificate),
        (socket) => socket.end('never'),
      );
      const balancer = await start(t, [upstream.address], { ca: at.caFile, ...settings });
      const client = balancer.connect(t, { certificate: await balancer.ca.issue({ cn: 'alice' }) });
      assert.equal((await client.ending).how, 'reset');
      const line = await balancer.nextLine();
      assert.equal(line.reason, 'upstream_tls_failed');
      assert.match(line.detail ?? '', detail);
      assert.equal(balancer.lb.stats.server('web', upstream.address).failed, 1);
      balancer.assertIdle();
    });
  }

  test('nor is one that does not speak TLS, and another server is tried', async (t) => {
    const at = await scene(t);
    const echo = await echoServer(t);
    const good = await tlsUpstream(t, await serverOf(at), (socket) => socket.pipe(socket));
    const balancer = await start(t, [echo.address, good.address], { ca: at.caFile });
    for (const _ of [1, 2]) assert.equal(await exchange(t, balancer), 'hello');
    const lines = await balancer.nextLines(2);
    assert.ok(lines.some(({ attempts }) => attempts === 2));
    assert.equal(balancer.lb.stats.server('web', echo.address).failed, lines.filter(({ attempts }) => attempts === 2).length);
    balancer.assertIdle();
  });
});

test('a server that speaks something else than TLS is said to', async (t) => {
  const at = await scene(t);
  const upstream = await startUpstream(t, (socket) => socket.resume().end('HTTP/1.1 400 Bad Request\r\n\r\n'));
  const balancer = await start(t, [upstream.address], { ca: at.caFile });
  await balancer.connect(t, { certificate: await balancer.ca.issue({ cn: 'alice' }) }).ending;
  const { reason, detail } = await balancer.nextLine();
  assert.equal(reason, 'upstream_tls_failed');
  assert.match(detail ?? '', /wrong version number: what it answers is not TLS; name its port for TLS, or .* group "web"$/);
});

test('insecureSkipVerify connects to whoever answers', async (t) => {
  const at = await scene(t);
  const foreign = await createTestCa({ name: 'foreign' });
  const upstream = await tlsUpstream(t, await serverOf({ ...at, servers: foreign }, { dns: ['x'] }), (socket) => socket.pipe(socket));
  const balancer = await start(t, [upstream.address], { insecureSkipVerify: true });
  assert.equal(await exchange(t, balancer), 'hello');
});

test('a server that accepts and says nothing is left at connectTimeout', async (t) => {
  const at = await scene(t);
  const upstream = await startUpstream(t, (socket) => socket.resume().on('end', () => socket.end()));
  const balancer = await start(t, [upstream.address], { ca: at.caFile }, { connectTimeout: '100ms' });
  const client = balancer.connect(t, { certificate: await balancer.ca.issue({ cn: 'alice' }) });
  await client.ending;
  const line = await balancer.nextLine();
  assert.deepEqual([line.reason, /no answer in 100 ms, TLS handshake included$/.test(line.detail ?? '')], ['upstream_timeout', true]);
  await upstream.idle();
  balancer.assertIdle();
});

test('a server that is reset resets nobody else, and a client that is reset resets its server', async (t) => {
  const at = await scene(t);
  const upstream = await tlsUpstream(t, await serverOf(at), (socket) => socket.pipe(socket));
  const balancer = await start(t, [upstream.address], { ca: at.caFile });
  const client = balancer.connect(t, { certificate: await balancer.ca.issue({ cn: 'alice' }) });
  client.socket.write('a');
  await client.readUntil('a');
  client.tcp.resetAndDestroy();
  assert.equal((await balancer.nextLine()).reason, 'client_reset');
  await upstream.idle();
  const other = balancer.connect(t, { certificate: await balancer.ca.issue({ cn: 'alice' }) });
  other.socket.write('b');
  await other.readUntil('b');
  upstream.resetAll();
  await other.ending;
  assert.equal((await balancer.nextLine()).reason, 'upstream_reset');
  balancer.assertIdle();
});

describe('files that cannot be used', () => {
  test('keep it from starting', async (t) => {
    const at = await scene(t);
    await writeFile(at.caFile, 'garbage');
    await assert.rejects(start(t, ['127.0.0.1:1'], { ca: at.caFile }), {
      field: 'upstreamTls.ca',
      message: `target group "web": upstreamTls.ca ${at.caFile}: there is no PEM block in it; expected CA certificates as -----BEGIN CERTIFICATE-----`,
    });
  });

  test('refuse the change that names them, and the reload that finds them', async (t) => {
    const at = await scene(t);
    const upstream = await tlsUpstream(t, await serverOf(at), (socket) => socket.pipe(socket));
    const balancer = await start(t, [upstream.address], { ca: at.caFile });
    const { revision } = balancer.lb.snapshot;
    const group = balancer.lb.snapshot.targetGroups.get('web') ?? assert.fail();
    const upstreamTls = { ca: '/nowhere.pem', serverName: undefined, clientCertificate: undefined, insecureSkipVerify: false };
    await assert.rejects(balancer.lb.execute({ kind: 'updateTargetGroup', group: { ...group, upstreamTls } }), { field: 'upstreamTls.ca' });
    await writeFile(at.caFile, 'garbage');
    await assert.rejects(
      balancer.lb.reloadCertificates(),
      /^TlsFileError: target group "web": upstreamTls\.ca \S*servers\.pem: there is no PEM block/,
    );
    assert.equal(balancer.lb.snapshot.revision, revision);
    assert.equal(await exchange(t, balancer), 'hello');
    assert.equal((await balancer.nextLine()).reason, 'client_closed');

    // A good file is taken up by the reload: from now on another CA is trusted.
    await writeFile(at.caFile, (await createTestCa({ name: 'foreign' })).caPem);
    await balancer.lb.reloadCertificates();
    const client = balancer.connect(t, { certificate: await balancer.ca.issue({ cn: 'alice' }) });
    await client.ending;
    assert.equal((await balancer.nextLine()).reason, 'upstream_tls_failed');
  });
});
