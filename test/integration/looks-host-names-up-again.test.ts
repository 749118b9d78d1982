import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { createTestCa } from '../support/certificates.ts';
import { echoServer, type TestUpstream } from '../support/echo-servers.ts';
import { startNameServer } from '../support/name-server.ts';
import { type RunningBalancer, type RunningBalancerOptions, startBalancer } from '../support/running-balancer.ts';

interface Scene {
  readonly balancer: RunningBalancer;
  readonly here: TestUpstream;
  readonly there: TestUpstream;
  /** `host:port` by name. */
  readonly server: string;
  /** One connection, there and back; why it ended. */
  once(): Promise<string>;
}

/** The server shop.test, which listens on 127.0.0.1 (`here`) and 127.0.0.2 (`there`), on one port. */
async function scene(t: TestContext, resolve: RunningBalancerOptions['resolve'], group: object = {}): Promise<Scene> {
  const ca = await createTestCa();
  const certificate = await ca.issue({ cn: 'app' });
  const here = await echoServer(t);
  const there = await echoServer(t, { host: '127.0.0.2', port: here.port });
  const server = `shop.test:${here.port}`;
  const targetGroups = [{ name: 'web', upstreamServers: [server], resolveInterval: '100ms', healthCheck: { type: 'none' }, ...group }];
  const config = { targetGroups, clients: [{ clientId: 'app', allowedTargetGroup: 'web' }] };
  const balancer = await startBalancer(t, { ca, config, ...(resolve === undefined ? {} : { resolve }) });
  const once = async () => {
    const client = balancer.connect(t, { certificate });
    client.socket.on('error', () => undefined);
    client.socket.end('hello');
    return (await balancer.nextLine()).reason;
  };
  return { balancer, here, there, server, once };
}

test('a server moves with its name, and stays where it was when the name server fails', { timeout: 240_000 }, async (t) => {
  const names = await startNameServer(t, ['127.0.0.1']);
  const { balancer, here, there, server, once } = await scene(t, names.resolve);
  const { hosts } = balancer.lb;
  assert.equal(await once(), 'client_closed');
  assert.deepEqual([here.accepted, there.accepted], [1, 0]);

  names.addresses = ['127.0.0.2'];
  // Both workers are told before it is so.
  await balancer.until(() => hosts.statusOfServer(server)?.addresses[0] === '127.0.0.2');
  for (let times = 0; times < 4; times++) assert.equal(await once(), 'client_closed');
  assert.deepEqual([here.accepted, there.accepted], [1, 4]);

  names.addresses = [];
  await balancer.until(() => hosts.statusOfServer(server)?.error !== undefined);
  const failed = hosts.statusOfServer(server) ?? assert.fail('unknown');
  assert.equal(failed.error, 'the name server failed');
  assert.deepEqual(failed.addresses, ['127.0.0.2'], 'the addresses of before hold');
  assert.ok(failed.resolvedAtMs !== undefined && failed.resolvedAtMs <= Date.now());
  assert.equal(await once(), 'client_closed');

  names.addresses = ['127.0.0.2'];
  await balancer.until(() => hosts.statusOfServer(server)?.error === undefined);
  balancer.assertIdle();
});

test('connections take the addresses in turn, and go on to the next when one does not answer', { timeout: 240_000 }, async (t) => {
  let addresses = ['127.0.0.1', '127.0.0.2'];
  const { balancer, here, there, server, once } = await scene(t, async () => addresses);
  for (let times = 0; times < 16; times++) assert.equal(await once(), 'client_closed');
  // Each of the two workers begins with the first.
  assert.ok(Math.abs(here.accepted - there.accepted) <= 2, `${here.accepted} and ${there.accepted}`);

  addresses = ['127.0.0.3', '127.0.0.2'];
  await balancer.until(({ hosts }) => hosts.statusOfServer(server)?.addresses[0] === '127.0.0.3');
  for (let times = 0; times < 4; times++) assert.equal(await once(), 'client_closed');
  assert.equal(balancer.lb.stats.server('web', server).failed, 0, 'one address that refuses is no failure of the server');
  balancer.assertIdle();
});

test('health checks look where connections go, and a name without an address is down', { timeout: 240_000 }, async (t) => {
  let answer = async (): Promise<readonly string[]> => ['127.0.0.2'];
  const healthCheck = { type: 'tcp', interval: '50ms', healthyThreshold: 1, maxInterval: '50ms' };
  const { balancer, here, there, server, once } = await scene(t, () => answer(), { healthCheck });
  const { lb } = balancer;
  assert.equal(lb.health.statusOf('web', server)?.health, 'healthy');
  await there.acceptedAtLeast(3);
  assert.equal(here.accepted, 0);
  await there.close();
  await balancer.until(() => lb.health.statusOf('web', server)?.health === 'unhealthy');
  assert.equal(await once(), 'no_healthy_upstream');
  answer = async () => ['127.0.0.2', '127.0.0.1'];
  await balancer.until(() => lb.health.statusOf('web', server)?.health === 'healthy');
  assert.equal(await once(), 'client_closed');

  answer = () => Promise.reject(Object.assign(new Error('no such name'), { code: 'ENOTFOUND' }));
  const nowhere = `nowhere.test:${here.port}`;
  await lb.addUpstreamServer('web', nowhere);
  assert.deepEqual(lb.hosts.statusOfServer(nowhere), { addresses: [], resolvedAtMs: undefined, error: 'host name not found' });
  const { health, lastProbe } = lb.health.statusOf('web', nowhere) ?? assert.fail('unknown');
  assert.deepEqual([health, lastProbe], ['unhealthy', 'host name not resolved']);
  await lb.removeUpstreamServer('web', nowhere);
  assert.equal(lb.hosts.statusOfServer(nowhere), undefined);
});
