import assert from 'node:assert/strict';
import { writeFile } from 'node:fs/promises';
import path from 'node:path';
import { type TestContext, test } from 'node:test';
import { createTestCa } from '../support/certificates.ts';
import { startBalancer } from '../support/running-balancer.ts';
import { temporaryFolder } from '../support/temp-dir.ts';
import { proxiedEchoServer, tlsUpstream } from '../support/upstream-tls.ts';

const HTTP_OK = 'HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n';

const start = (t: TestContext, address: string, group: object) =>
  startBalancer(t, { config: { targetGroups: [{ name: 'web', upstreamServers: [address], ...group }], clients: [] } });

for (const [version, family] of [
  ['v1', 'UNKNOWN'],
  ['v2', 'LOCAL'],
] as const) {
  test(`a server that demands a header of ${version} gets one that speaks for nobody (${family})`, async (t) => {
    const upstream = await proxiedEchoServer(t);
    const { lb, until } = await start(t, upstream.address, { sendProxyProtocol: version });
    assert.deepEqual(
      lb.serverHealth().map(({ health, lastProbe }) => [health, lastProbe]),
      [['healthy', 'connected']],
    );
    await until(() => upstream.headers.length > 0);
    assert.deepEqual(upstream.headers[0], { ends: undefined, tlvs: [] });
  });
}

test('a check of HTTP speaks the TLS of the group, and sees what is wrong with a certificate', async (t) => {
  const servers = await createTestCa({ name: 'servers CA' });
  const { certPem: cert, keyPem: key } = await servers.issue({ server: true, ips: ['127.0.0.1'] });
  const caFile = path.join(await temporaryFolder(t), 'ca.pem');
  await writeFile(caFile, servers.caPem);
  const upstream = await tlsUpstream(t, { cert, key }, (socket) => socket.once('data', () => socket.end(HTTP_OK)));
  for (const [type, serverName, expected] of [
    ['http', undefined, ['healthy', 'HTTP 200']],
    ['tls', undefined, ['healthy', 'TLS handshake done']],
    ['tls', 'db.internal', ['unhealthy', 'TLS handshake failed: Cert does not contain a DNS name']],
  ] as const) {
    const { lb } = await start(t, upstream.address, {
      healthCheck: { type },
      upstreamTls: { ca: caFile, ...(serverName === undefined ? {} : { serverName }) },
    });
    assert.deepEqual(
      lb.serverHealth().map(({ health, lastProbe }) => [health, lastProbe]),
      [expected],
    );
  }
});
