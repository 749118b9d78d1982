import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { writeFile } from 'node:fs/promises';
import path from 'node:path';
import { type TestContext, test } from 'node:test';
import type { KeyAndCertificate } from '../../certs/issuing.ts';
import { SUITE_NAMES, suiteName } from '../../src/config/ciphers.ts';
import { offeredAlpn } from '../../src/dataplane/tls.ts';
import { createTestCa } from '../support/certificates.ts';
import { echoServer } from '../support/echo-servers.ts';
import { selfSignedRsa } from '../support/rsa-certificate.ts';
import { startBalancer, uncheckedGroup } from '../support/running-balancer.ts';
import { temporaryFolder } from '../support/temp-dir.ts';
import { tlsClient } from '../support/tls-client.ts';
import { materialOf, serveFront } from '../support/tls-front.ts';

/** What `openssl s_client` says of a connection that it makes and ends; another implementation than the one that serves. */
type Ask = (port: number, ...options: readonly string[]) => Promise<string>;

async function openssl(t: TestContext, { certPem, keyPem }: KeyAndCertificate): Promise<Ask> {
  const folder = await temporaryFolder(t);
  const [cert, key] = [path.join(folder, 'client.crt'), path.join(folder, 'client.key')];
  await writeFile(cert, certPem);
  await writeFile(key, keyPem, { mode: 0o600 });
  return (port, ...options) =>
    new Promise((resolve) => {
      const args = ['s_client', '-connect', `127.0.0.1:${port}`, '-cert', cert, '-key', key, '-ign_eof', ...options];
      const child = execFile('openssl', args, { timeout: 120_000 }, (_error, stdout, stderr) => resolve(`${stdout}${stderr}`));
      child.stdin?.end();
    });
}

const IS_TLS13 = /^TLS_/;

test('each suite is had by the client that wants it alone, with the kind of key that it needs, and no other suite is', async (t) => {
  const ca = await createTestCa();
  const ask = await openssl(t, await ca.issue({ cn: 'alice' }));
  const { certPem, keyPem } = await selfSignedRsa(['localhost']);
  const rsa = { certificatePem: certPem, privateKeyPem: keyPem };
  for (const suite of SUITE_NAMES) {
    const material = { ...(await materialOf(ca, { ciphers: suite })), ...(suite.includes('RSA') && !suite.includes('ECDSA') ? rsa : {}) };
    const { port, next } = await serveFront(t, { material });
    const only = (name: string) => (IS_TLS13.test(name) ? ['-tls1_3', '-ciphersuites', name] : ['-tls1_2', '-cipher', name]);
    await ask(port, ...only(suite));
    const shaken = await next();
    assert.deepEqual(
      [shaken.refused, 'suite' in shaken && shaken.suite, 'version' in shaken && shaken.version],
      [undefined, suite, IS_TLS13.test(suite) ? 'TLSv1.3' : 'TLSv1.2'],
      suite,
    );
    const other = SUITE_NAMES.find((each) => each !== suite && IS_TLS13.test(each) === IS_TLS13.test(suite)) ?? assert.fail();
    assert.match(await ask(port, ...only(other)), /alert handshake failure/, `${other} where ${suite} is configured`);
    assert.equal((await next()).refused, 'handshake_failed');
  }
});

test('TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256 may be configured alone, by the name that IANA gave it', async (t) => {
  const ca = await createTestCa();
  const ask = await openssl(t, await ca.issue({ cn: 'alice' }));
  const { certPem, keyPem } = await selfSignedRsa(['localhost']);
  const ciphers = suiteName('TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256') ?? assert.fail();
  const material = { ...(await materialOf(ca, { ciphers })), certificatePem: certPem, privateKeyPem: keyPem };
  const { port, next } = await serveFront(t, { material });
  assert.match(await ask(port, '-tls1_2'), /Cipher is ECDHE-RSA-AES128-GCM-SHA256/);
  assert.equal((await next()).refused, undefined);
});

test('clients of one version are let in from minVersion on', async (t) => {
  const ca = await createTestCa();
  const ask = await openssl(t, await ca.issue({ cn: 'alice' }));
  const both = await serveFront(t, { material: await materialOf(ca, { minVersion: 'TLSv1.2' }) });
  const newest = await serveFront(t, { material: await materialOf(ca, { minVersion: 'TLSv1.3' }) });
  assert.match(await ask(both.port, '-tls1_2'), /New, TLSv1.2, Cipher is ECDHE-ECDSA/);
  assert.match(await ask(both.port, '-tls1_3'), /New, TLSv1.3, Cipher is TLS_/);
  assert.match(await ask(newest.port, '-tls1_3'), /New, TLSv1.3, Cipher is TLS_/);
  assert.match(await ask(newest.port, '-tls1_2'), /alert protocol version/);
  assert.match(await ask(both.port, '-tls1_1', '-cipher', 'ALL:@SECLEVEL=0'), /alert protocol version|no protocols available/);
});

test('the protocols of the listener are offered before those of its routes, in the order of the config', async (t) => {
  const routes = [
    { sni: undefined, alpn: 'postgresql', targetGroup: 'web' },
    { sni: undefined, alpn: 'h2', targetGroup: 'web' },
  ];
  assert.deepEqual(offeredAlpn({ alpn: ['h2', 'http/1.1'], routes }), ['h2', 'http/1.1', 'postgresql']);
  const ca = await createTestCa();
  const { port } = await serveFront(t, { material: await materialOf(ca), alpn: ['h2', 'http/1.1', 'postgresql'] });
  const certificate = await ca.issue({ cn: 'alice' });
  const chosen = async (...alpn: string[]) => {
    const client = tlsClient(t, { port, ca: ca.caPem, certificate, alpn });
    await client.secured;
    return client.socket.alpnProtocol;
  };
  assert.equal(await chosen('postgresql', 'http/1.1'), 'http/1.1');
  assert.equal(await chosen('postgresql', 'strange'), 'postgresql');
  const none = tlsClient(t, { port, ca: ca.caPem, certificate });
  await none.secured;
  assert.equal(none.socket.alpnProtocol, false);
  const strange = tlsClient(t, { port, ca: ca.caPem, certificate, alpn: ['strange'] });
  assert.deepEqual(await strange.ending, { how: 'alert', code: 'ERR_SSL_TLSV1_ALERT_NO_APPLICATION_PROTOCOL' });
});

test('a listener with protocols and no routes agrees on one, and logs and explains it', async (t) => {
  const upstream = await echoServer(t);
  const balancer = await startBalancer(t, {
    config: {
      listenAddress: undefined,
      listeners: [{ name: 'web', address: '127.0.0.1:0', alpn: ['h2', 'http/1.1'] }],
      targetGroups: [uncheckedGroup('web', [upstream.address])],
      clients: [{ clientId: 'alice', allowedTargetGroup: 'web' }],
    },
  });
  const client = balancer.connect(t, { certificate: await balancer.ca.issue({ cn: 'alice' }), alpn: ['http/1.1'] });
  await client.secured;
  assert.equal(client.socket.alpnProtocol, 'http/1.1');
  client.socket.end('x');
  await client.readAll();
  assert.equal((await balancer.nextLine()).alpn, 'http/1.1');

  const identity = { commonName: 'alice', dnsNames: [], uriNames: [], organizationalUnits: [], fingerprint: 'ab'.repeat(32) };
  const explained = (alpn: string) =>
    balancer.lb.explain({ peer: { kind: 'identity', identity }, listener: 'web', sni: undefined, alpn }).then((answer) => answer?.refusal);
  assert.equal(await explained('h2'), undefined);
  assert.equal(await explained('strange'), 'handshake_failed');
  balancer.assertIdle();
});
