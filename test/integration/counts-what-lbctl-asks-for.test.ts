import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createTestCa } from '../support/certificates.ts';
import { type LogLine, startDaemon } from '../support/daemon.ts';
import { echoServer } from '../support/echo-servers.ts';
import { freePort } from '../support/free-port.ts';
import { lbctl } from '../support/lbctl.ts';
import { uncheckedGroup } from '../support/running-balancer.ts';
import { tlsClient } from '../support/tls-client.ts';

test('the daemon logs each connection once, and lbctl shows the same in its counters', async (t) => {
  const upstream = await echoServer(t);
  const dead = `127.0.0.1:${await freePort()}`;
  const ca = await createTestCa();
  const daemon = await startDaemon(t, {
    ca,
    config: {
      workers: 2,
      targetGroups: [uncheckedGroup('web', [upstream.address]), uncheckedGroup('dead', [dead])],
      clients: [
        { clientId: 'alice', allowedTargetGroup: 'web', limits: { connectionRate: { limit: 1, window: '1d' }, concurrentConnections: 1 } },
        { clientId: 'bob', allowedTargetGroup: 'dead' },
      ],
    },
  });
  const [alice, bob, mallory] = await Promise.all(['alice', 'bob', 'mallory'].map((cn) => ca.issue({ cn })));
  const connect = (certificate: typeof alice) => tlsClient(t, { port: daemon.port, ca: ca.caPem, certificate });
  const ask = async (...args: string[]) => {
    const credentials = ['--ca', daemon.caCert, '--cert', daemon.operator.certificate, '--key', daemon.operator.privateKey];
    const run = await lbctl([...args, '--addr', daemon.admin, ...credentials, '--output', 'json']);
    assert.equal(run.code, 0, run.stderr);
    return JSON.parse(run.stdout);
  };
  /** The reason in the one line that the next connection leaves. */
  let seen = 0;
  const nextReason = async () => {
    await daemon.waitForLog((line) => isConnection(line) && daemon.logs.filter(isConnection).length > seen);
    return daemon.logs.filter(isConnection)[seen++]?.['reason'];
  };
  const refusedOf = async (certificate: typeof alice) => {
    assert.deepEqual(await connect(certificate).ending, { how: 'reset' });
    return nextReason();
  };

  const holding = connect(alice);
  holding.socket.write('hello');
  await holding.readUntil('hello');
  assert.equal(await refusedOf(alice), 'too_many_connections');
  assert.partialDeepStrictEqual(await ask('get-active-connections', '--target-group', 'web'), { total: 1 });
  holding.socket.end();
  await holding.readAll();
  assert.equal(await nextReason(), 'client_closed');
  assert.equal(await refusedOf(alice), 'rate_limited');
  assert.equal(await refusedOf(bob), 'upstream_connect_failed');
  assert.equal(await refusedOf(mallory), 'unknown_client');

  const [ofAlice, ofAll, failed, state] = await Promise.all([
    ask('get-dropped-requests', '--client', 'alice'),
    ask('get-dropped-requests'),
    ask('get-failed-connections', '--server', dead),
    ask('get-state'),
  ]);
  const once = (...reasons: string[]) => ({
    total: reasons.length,
    byReason: reasons.map((reason) => ({ reason, count: 1, refused: true })),
  });
  assert.deepEqual(ofAlice, once('rate_limited', 'too_many_connections'));
  assert.deepEqual(ofAll, once('rate_limited', 'too_many_connections', 'unknown_client', 'upstream_connect_failed'));
  assert.deepEqual(failed, { total: 1, servers: [{ targetGroup: 'dead', server: dead, count: 1 }] });
  assert.partialDeepStrictEqual(state.servers[1].counters, { active: 0, connected: 1, bytesToUpstream: 5, bytesFromUpstream: 5 });
  assert.partialDeepStrictEqual(state.clients[0].counters, { active: 0, accepted: 1, refused: 2, bytesFromClient: 5, bytesToClient: 5 });
  assert.equal(daemon.logs.filter(isConnection).length, 5, 'five connections, five lines');
});

function isConnection({ msg }: LogLine): boolean {
  return msg === 'connection refused' || msg === 'connection closed';
}
