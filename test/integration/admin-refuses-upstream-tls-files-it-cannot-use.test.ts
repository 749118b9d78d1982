import assert from 'node:assert/strict';
import { writeFile } from 'node:fs/promises';
import path from 'node:path';
import { test } from 'node:test';
import { status as Code } from '@grpc/grpc-js';
import { AddTargetGroupRequest, AdminServiceService, ExplainRequest, UpdateTargetGroupRequest } from '../../src/gen/lb/admin/v1/admin.ts';
import { ask, refused } from '../support/admin-server.ts';
import { createTestCa } from '../support/certificates.ts';
import { startDaemon } from '../support/daemon.ts';
import { adminOf, connectTo, roundTrip } from '../support/daemon-clients.ts';
import { echoServer } from '../support/echo-servers.ts';
import { uncheckedGroup } from '../support/running-balancer.ts';
import { tlsUpstream } from '../support/upstream-tls.ts';

test('TLS to servers is turned on while connections go on, and files that cannot be used change nothing', async (t) => {
  const plain = await echoServer(t);
  const servers = await createTestCa({ name: 'servers CA' });
  const { certPem: cert, keyPem: key } = await servers.issue({ server: true, ips: ['127.0.0.1'] });
  const secure = await tlsUpstream(t, { cert, key }, (socket) => socket.pipe(socket));
  const daemon = await startDaemon(t, {
    config: {
      targetGroups: [uncheckedGroup('web', [plain.address])],
      clients: [{ clientId: 'alice', allowedTargetGroup: 'web' }],
    },
  });
  const admin = adminOf(t, daemon);
  const alice = await daemon.ca.issue({ cn: 'alice' });
  const held = connectTo(t, daemon, alice);
  await roundTrip(held, 'before');
  const ca = path.join(daemon.folder, 'servers.pem');
  await writeFile(ca, 'garbage');
  const update = () =>
    ask(
      admin,
      AdminServiceService.updateTargetGroup,
      UpdateTargetGroupRequest.fromPartial({ targetGroup: { name: 'web', upstreamTls: { ca } }, updateMask: ['upstream_tls'] }),
    );
  const add = (name: string, address: string) =>
    ask(
      admin,
      AdminServiceService.addTargetGroup,
      AddTargetGroupRequest.fromPartial({ targetGroup: { name, servers: [{ address }], upstreamTls: { ca } } }),
    );

  for (const call of [update, () => add('other', secure.address)]) {
    const { code, fields, message } = await refused(call());
    assert.deepEqual([code, fields], [Code.INVALID_ARGUMENT, ['target_group.upstream_tls.ca']]);
    assert.match(message, /upstreamTls\.ca .*servers\.pem: there is no PEM block in it/);
  }
  await roundTrip(connectTo(t, daemon, alice), 'as before');

  await writeFile(ca, servers.caPem);
  await update();
  await roundTrip(held, 'still here');
  const refusedByPlainServer = connectTo(t, daemon, alice);
  assert.equal((await refusedByPlainServer.ending).how, 'reset');
  await daemon.waitForLog(({ reason }) => reason === 'upstream_tls_failed');

  await ask(admin, AdminServiceService.addUpstreamServer, {
    targetGroup: 'web',
    server: { address: secure.address, weight: 1, maxConnections: 0, backup: false, mode: 'SERVER_MODE_READY' },
    expectedRevision: 0n,
    requestId: '',
  });
  await roundTrip(connectTo(t, daemon, alice), 'over TLS');
  await roundTrip(held, 'all the time');

  await writeFile(ca, 'garbage');
  const reload = await refused(ask(admin, AdminServiceService.reloadCertificates, { allowSelf: false }));
  assert.match(
    reload.message,
    /^target group "web": upstreamTls\.ca .*servers\.pem: there is no PEM block in it.*; the certificates in force stay$/,
  );
  await roundTrip(connectTo(t, daemon, alice), 'over TLS as before');
});

test('a server name that no certificate can be for is refused, and an address or a host name is not', async (t) => {
  const daemon = await startDaemon(t, { config: { targetGroups: [uncheckedGroup('web', [])] } });
  const admin = adminOf(t, daemon);
  const update = (serverName: string) =>
    ask(
      admin,
      AdminServiceService.updateTargetGroup,
      UpdateTargetGroupRequest.fromPartial({ targetGroup: { name: 'web', upstreamTls: { serverName } }, updateMask: ['upstream_tls'] }),
    );
  for (const name of ['bad name!', '*.internal', '10.0.0.256', '[::1]']) {
    const { code, fields } = await refused(update(name));
    assert.deepEqual([code, fields], [Code.INVALID_ARGUMENT, ['target_group.upstream_tls.server_name']], name);
  }
  for (const [given, kept] of [
    ['Db_1.Internal.', 'db_1.internal'],
    ['::1', '::1'],
  ] as const) {
    await update(given);
    const { targetGroups } = await ask(admin, AdminServiceService.listTargetGroups, { pageSize: 0, pageToken: '' });
    assert.deepEqual(
      targetGroups.map(({ upstreamTls }) => upstreamTls?.serverName),
      [kept],
    );
  }
});

test('Explain wants an address as the source, and says whose it is on a plain listener', async (t) => {
  const upstream = await echoServer(t);
  const daemon = await startDaemon(t, {
    config: {
      listenAddress: undefined,
      listeners: [{ name: 'private', address: '127.0.0.1:0', plain: true }],
      targetGroups: [uncheckedGroup('web', [upstream.address])],
      clients: [{ clientId: 'lan', match: { cidr: '10.0.0.0/8' }, allowedTargetGroup: 'web' }],
    },
  });
  const admin = adminOf(t, daemon);
  const explain = (source: string) => ask(admin, AdminServiceService.explain, ExplainRequest.fromPartial({ source }));
  const { clientId, pick } = await explain('10.1.2.3');
  assert.deepEqual([clientId, pick], ['lan', upstream.address]);
  assert.equal((await explain('11.1.2.3')).reason, 'unknown_client');
  assert.deepEqual((await refused(explain('here'))).fields, ['source']);
});
