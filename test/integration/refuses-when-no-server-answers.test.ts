import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { createTestCa } from '../support/certificates.ts';
import { echoServer } from '../support/echo-servers.ts';
import { freePort } from '../support/free-port.ts';
import { type ConnectionLine, startBalancer, uncheckedGroup } from '../support/running-balancer.ts';
import { stalledServer } from '../support/stalled-server.ts';

test('a client whose group has no server for it is refused with a reset, and told apart why', async (t) => {
  const [echo, stalled] = await Promise.all([echoServer(t), stalledServer(t)]);
  const refusing = `127.0.0.1:${await freePort()}`;
  const alsoRefusing = `127.0.0.1:${await freePort()}`;
  const ca = await createTestCa();
  const targetGroups = [
    uncheckedGroup('empty', []),
    { name: 'unhealthy', upstreamServers: [refusing, alsoRefusing], healthCheck: { interval: '1h', maxInterval: '1h' } },
    uncheckedGroup('unweighted', [{ address: echo.address, weight: 0 }]),
    uncheckedGroup('resting', [echo.address, refusing, { address: alsoRefusing, weight: 0 }]),
    uncheckedGroup('refusing', [refusing]),
    uncheckedGroup('all-refusing', [refusing, alsoRefusing]),
    uncheckedGroup('not-retried', [refusing, alsoRefusing], { retries: 0 }),
    uncheckedGroup('stalled', [stalled], { connectTimeout: '100ms' }),
    uncheckedGroup('stalled-for-long', [stalled], { connectTimeout: '10m' }),
  ];
  const groups = ['empty', 'unhealthy', 'unweighted', 'resting', 'refusing', 'all-refusing', 'not-retried', 'stalled', 'stalled-for-long'];
  const balancer = await startBalancer(t, {
    ca,
    config: { targetGroups, clients: groups.map((name) => ({ clientId: name, allowedTargetGroup: name })) },
  });

  // The start waits for first probes for a second only.
  await balancer.until(({ health }) => [refusing, alsoRefusing].every((at) => health.statusOf('unhealthy', at)?.health === 'unhealthy'));

  const refusedOf = async (t: TestContext, group: string): Promise<ConnectionLine> => {
    const client = balancer.connect(t, { certificate: await ca.issue({ cn: group }) });
    client.socket.write('hello');
    assert.deepEqual(await client.ending, { how: 'reset' });
    const line = await balancer.nextLine();
    assert.partialDeepStrictEqual(line, { msg: 'connection refused', client: group, group, bytesUp: 0, bytesDown: 0 });
    balancer.assertIdle();
    return line;
  };
  const failed = (group: string, address: string) => balancer.lb.stats.server(group, address).failed;

  for (const address of [echo.address, refusing]) {
    const server = { address, weight: 1, maxConnections: undefined, backup: false, mode: 'maintenance' } as const;
    await balancer.lb.execute({ kind: 'setUpstreamServer', group: 'resting', server });
  }
  for (const [group, detail] of [
    ['empty', 'empty has no servers'],
    ['unhealthy', 'unhealthy: no server takes a connection: 2 unhealthy'],
    ['unweighted', 'unweighted: no server takes a connection: 1 of weight 0'],
    ['resting', 'resting: no server takes a connection: 2 in maintenance, 1 of weight 0'],
  ] as const) {
    await t.test(`no healthy upstream: ${group}`, async (t) => {
      assert.partialDeepStrictEqual(await refusedOf(t, group), { reason: 'no_healthy_upstream', detail });
    });
  }

  await t.test('the only server refuses', async (t) => {
    const line = await refusedOf(t, 'refusing');
    assert.partialDeepStrictEqual(line, { reason: 'upstream_connect_failed', detail: `${refusing}: ECONNREFUSED` });
    assert.equal(failed('refusing', refusing), 1);
  });

  await t.test('every server refuses: each is tried once', async (t) => {
    const line = await refusedOf(t, 'all-refusing');
    assert.equal(line.reason, 'upstream_connect_failed');
    assert.match(line.detail ?? '', /^127\.0\.0\.1:\d+: ECONNREFUSED \(the last of 2 tried\)$/);
    assert.deepEqual([failed('all-refusing', refusing), failed('all-refusing', alsoRefusing)], [1, 1]);
  });

  await t.test('the first server refuses and there are no retries', async (t) => {
    assert.equal((await refusedOf(t, 'not-retried')).reason, 'upstream_connect_failed');
    assert.equal(failed('not-retried', refusing) + failed('not-retried', alsoRefusing), 1);
  });

  await t.test('the server does not accept in time', async (t) => {
    const line = await refusedOf(t, 'stalled');
    assert.partialDeepStrictEqual(line, { reason: 'upstream_timeout', detail: `${stalled}: no answer in 100 ms` });
    assert.equal(failed('stalled', stalled), 1);
  });

  await t.test('the client leaves while the server lets it wait', async (t) => {
    // With TLS 1.3 the balancer sends session tickets now; a reset that meets them looks like an end, and an end is not a farewell.
    const tls = { maxVersion: 'TLSv1.2' } as const;
    const client = balancer.connect(t, { certificate: await ca.issue({ cn: 'stalled-for-long' }), tls });
    await client.secured;
    await balancer.until(({ stats }) => stats.server('stalled-for-long', stalled).active === 1);
    client.tcp.resetAndDestroy();
    assert.partialDeepStrictEqual(await balancer.nextLine(), {
      reason: 'client_gone',
      client: 'stalled-for-long',
      detail: `${stalled}: the client left`,
    });
    assert.equal(failed('stalled-for-long', stalled), 0, 'that is not the fault of the server');
    balancer.assertIdle();
  });

  assert.equal(echo.accepted, 0);
});
