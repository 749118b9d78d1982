import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createTestCa } from '../support/certificates.ts';
import { startBalancer, uncheckedGroup } from '../support/running-balancer.ts';
import { temporaryFolder } from '../support/temp-dir.ts';

test('Explain names the certificate for the name that is asked for, and what the server is sent first', async (t) => {
  const [ca, folder] = [await createTestCa(), await temporaryFolder(t)];
  const issued = { lb: await ca.issueServer(), db: await ca.issue({ cn: 'db', dns: ['*.db.test'], server: true }) };
  const { caCert, lb, db } = await ca.writeTo(folder, issued);
  const opening = { sendProxyProtocol: 'v2', upstreamTls: { insecureSkipVerify: true } };
  const balancer = await startBalancer(t, {
    ca,
    config: {
      listenAddress: undefined,
      listeners: [
        { name: 'named', address: '127.0.0.1:0', tls: { ...lb, caCert, certificates: [db] }, targetGroup: 'web' },
        { name: 'single', address: '127.0.0.1:0', tls: { ...lb, caCert }, targetGroup: 'plain' },
      ],
      tlsParams: { ...lb, caCert },
      targetGroups: [uncheckedGroup('web', ['127.0.0.1:1'], opening), uncheckedGroup('plain', ['127.0.0.1:1'])],
      clients: [{ clientId: 'alice', allowedTargetGroups: ['web', 'plain'] }],
    },
  });
  const steps = async (listener: string, sni: string | undefined) => {
    const identity = { commonName: 'alice', dnsNames: [], uriNames: [], organizationalUnits: [], fingerprint: '' };
    const told = await balancer.lb.explain({ peer: { kind: 'identity', identity }, source: undefined, listener, sni, alpn: undefined });
    return new Map(told?.steps.map(({ name, detail }) => [name, detail]));
  };
  assert.equal((await steps('named', 'one.db.test')).get('serverCertificate'), 'certificates[0]: DNS:*.db.test');
  for (const sni of ['two.one.db.test', undefined])
    assert.match((await steps('named', sni)).get('serverCertificate') ?? '', /^the main one: DNS:localhost/);
  assert.equal((await steps('single', 'one.db.test')).has('serverCertificate'), false, 'where there is no choice nothing is said');
  assert.equal(
    (await steps('named', undefined)).get('server'),
    '127.0.0.1:1 for alice, by leastConnections; a PROXY v2 header is sent; TLS to the server, whose certificate is not verified',
  );
  assert.equal((await steps('single', undefined)).get('server'), '127.0.0.1:1 for alice, by leastConnections');
});
