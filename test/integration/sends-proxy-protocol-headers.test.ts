import assert from 'node:assert/strict';
import { test } from 'node:test';
import { TLV, type Tlv } from '../../src/domain/proxy-protocol.ts';
import { startBalancer, uncheckedGroup } from '../support/running-balancer.ts';
import { proxiedEchoServer } from '../support/upstream-tls.ts';

const textOf = (tlvs: readonly Tlv[], type: number) => {
  const found = tlvs.find((tlv) => tlv.type === type);
  return found === undefined ? undefined : Buffer.from(found.value).toString();
};

for (const version of ['v1', 'v2'] as const) {
  test(`servers are told of the client in ${version} before its first byte`, async (t) => {
    const upstream = await proxiedEchoServer(t);
    const balancer = await startBalancer(t, {
      config: {
        listeners: [{ name: 'main', address: '127.0.0.1:0', routes: [{ alpn: 'echo', targetGroup: 'web' }] }],
        listenAddress: undefined,
        targetGroups: [uncheckedGroup('web', [upstream.address], { sendProxyProtocol: version })],
        clients: [{ clientId: 'alice', allowedTargetGroups: ['web'] }],
      },
    });
    const certificate = await balancer.ca.issue({ cn: 'alice' });
    const client = balancer.connect(t, { certificate, alpn: ['echo'], halfOpen: true });
    await client.secured;
    const { localPort } = client.tcp;
    client.socket.end('hello');
    assert.equal(String(await client.readAll()), 'hello');
    const line = await balancer.nextLine();
    const [header] = upstream.headers;
    assert.deepEqual(header?.ends, {
      source: { host: '127.0.0.1', port: localPort },
      destination: { host: '127.0.0.1', port: balancer.port() },
    });
    const { tlvs = [] } = header ?? {};
    if (version === 'v1') assert.deepEqual(tlvs, []);
    else {
      assert.equal(textOf(tlvs, TLV.alpn), 'echo');
      assert.equal(textOf(tlvs, TLV.authority), 'localhost');
      assert.equal(textOf(tlvs, TLV.uniqueId), line.id);
      const ssl = Buffer.from(tlvs.find(({ type }) => type === TLV.ssl)?.value ?? []);
      assert.equal(ssl.readUInt8(0), 7, 'TLS, with a certificate on this connection');
      assert.equal(ssl.readUInt32BE(1), 0, 'verified');
      assert.match(
        ssl
          .subarray(5)
          .toString('latin1')
          .replace(/[^ -~]/g, '?'),
        /^!\?\?TLSv1\.3"\?\?alice#\?\?TLS_AES_/,
      );
    }
    assert.equal(line.bytesUp, 5, 'the header is not counted as the client’s');
    balancer.assertIdle();
  });
}

test('a change of sendProxyProtocol at run time holds for the next connection', async (t) => {
  const upstream = await proxiedEchoServer(t);
  const balancer = await startBalancer(t, {
    config: {
      targetGroups: [uncheckedGroup('web', [upstream.address])],
      clients: [{ clientId: 'alice', allowedTargetGroups: ['web'] }],
    },
  });
  const certificate = await balancer.ca.issue({ cn: 'alice' });
  const exchange = async () => {
    const client = balancer.connect(t, { certificate, halfOpen: true });
    client.socket.end('hello');
    assert.equal(String(await client.readAll()), 'hello');
    await balancer.nextLine();
  };
  await exchange();
  const group = balancer.lb.snapshot.targetGroups.get('web') ?? assert.fail();
  await balancer.lb.execute({ kind: 'updateTargetGroup', group: { ...group, sendProxyProtocol: 'v2' } });
  await exchange();
  assert.deepEqual(
    upstream.headers.map((header) => header?.ends?.source.host),
    [undefined, '127.0.0.1'],
  );
  balancer.assertIdle();
});
