import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer } from 'node:net';
import { type TestContext, test } from 'node:test';
import type { KeyAndCertificate } from '../../certs/issuing.ts';
import { DEFAULT_GROUP } from '../../src/domain/defaults.ts';
import { createTestCa } from '../support/certificates.ts';
import { echoServer } from '../support/echo-servers.ts';
import { type RunningBalancer, startBalancer, uncheckedGroup } from '../support/running-balancer.ts';
import type { TlsClient } from '../support/tls-client.ts';

/** An agent that says what it is told to say to whoever connects; undefined: it says nothing and holds on. */
async function agentOn(t: TestContext, host: string, port: number): Promise<{ readonly port: number; says: string | undefined }> {
  const agent = { port, says: 'up\n' as string | undefined };
  const server = createServer((socket) => {
    socket.on('error', () => undefined);
    if (agent.says !== undefined) socket.end(agent.says);
    t.after(() => socket.destroy());
  });
  server.listen(port, host);
  await once(server, 'listening');
  t.after(() => server.close());
  const address = server.address();
  if (typeof address === 'object' && address !== null) agent.port = address.port;
  return agent;
}

async function hold(t: TestContext, balancer: RunningBalancer, certificate: KeyAndCertificate, count: number): Promise<TlsClient[]> {
  const clients = Array.from({ length: count }, () => balancer.connect(t, { certificate }));
  for (const { socket } of clients) socket.write('hello');
  await Promise.all(clients.map((client) => client.readUntil('hello')));
  return clients;
}

async function letGo(balancer: RunningBalancer, clients: readonly TlsClient[]): Promise<void> {
  for (const { socket } of clients) socket.end();
  for (const line of await balancer.nextLines(clients.length)) assert.equal(line.reason, 'client_closed');
}

test('servers get connections as their agents say, from the answer on, with any algorithm', async (t) => {
  const ca = await createTestCa();
  // Agents of one group share a port: two servers need two addresses.
  const [here, there] = [await echoServer(t), await echoServer(t, { host: '127.0.0.2' })];
  const agents = { here: await agentOn(t, '127.0.0.1', 0), there: { port: 0, says: '' as string | undefined } };
  agents.there = await agentOn(t, '127.0.0.2', agents.here.port);
  const agentCheck = { port: agents.here.port, interval: '10ms', timeout: '1s' };
  const addresses = [here.address, there.address];
  const balancer = await startBalancer(t, {
    ca,
    config: {
      targetGroups: [
        uncheckedGroup('free', addresses, { algorithm: 'resource', agentCheck }),
        uncheckedGroup('least', addresses, { agentCheck, onUnhealthy: 'close' }),
      ],
      clients: [
        { clientId: 'free', allowedTargetGroup: 'free' },
        { clientId: 'least', allowedTargetGroup: 'least' },
      ],
    },
  });
  const [free, least] = [await ca.issue({ cn: 'free' }), await ca.issue({ cn: 'least' })];
  const active = (group: string) => addresses.map((address) => balancer.lb.stats.server(group, address).active);
  const tell = async (says: string) => {
    agents.there.says = `${says}\n`;
    await balancer.until((lb) => ['free', 'least'].every((group) => lb.agents.answerOf(group, there.address)?.said === says));
  };
  const explained = async () => {
    const answer = await balancer.lb.explain({
      peer: { kind: 'certificate', chainPem: [least.certPem] },
      listener: 'default',
      sni: undefined,
      alpn: undefined,
    });
    return answer?.candidates.find(({ server }) => server === there.address);
  };

  await t.test('resource goes by the free capacity', async (t) => {
    await tell('up 25%');
    const held = await hold(t, balancer, free, 20);
    assert.deepEqual(active('free'), [16, 4]);
    await letGo(balancer, held);
  });

  await t.test('no new connections while it drains, also when it says "up" in between, until it is ready', async (t) => {
    for (const [says, expected] of [
      ['drain', [4, 0]],
      ['up 100%', [4, 0]],
      ['ready', [2, 2]],
      ['0%', [4, 0]],
      ['100%', [2, 2]],
      ['maint', [4, 0]],
      ['ready', [2, 2]],
    ] as const) {
      await tell(says);
      const held = await hold(t, balancer, least, 4);
      assert.deepEqual(active('least'), expected, says);
      await letGo(balancer, held);
    }
  });

  await t.test('maxconn bounds its connections', async (t) => {
    await tell('maxconn:1');
    const held = await hold(t, balancer, least, 6);
    assert.deepEqual(active('least'), [5, 1]);
    assert.equal((await explained())?.why, 'full (1 of 1)');
    await letGo(balancer, held);
    await tell('maxconn:0 50%');
    assert.partialDeepStrictEqual(await explained(), { usable: true, why: 'healthy, agent says 50 %' });
    await tell('100%');
  });

  await t.test('down takes it out and ends its connections where the group says so, up brings it back', async (t) => {
    const held = await hold(t, balancer, least, 4);
    agents.there.says = 'down # on fire\n';
    for (const line of await balancer.nextLines(2))
      assert.partialDeepStrictEqual(line, { reason: 'upstream_unhealthy', server: there.address });
    assert.deepEqual(active('least'), [2, 0]);
    assert.partialDeepStrictEqual(await explained(), { usable: false, why: 'agent says down' });
    await tell('up');
    held.push(...(await hold(t, balancer, least, 2)));
    assert.deepEqual(active('least'), [2, 2]);
    for (const { socket } of held) socket.end();
    await balancer.nextLines(4);
  });

  await t.test('an agent that does not answer changes nothing; one that is not asked any more has said nothing', async (t) => {
    await tell('drain');
    agents.there.says = undefined;
    await balancer.until((lb) => lb.agents.answerOf('least', there.address)?.said === 'no answer in time');
    const answer = balancer.lb.agents.answerOf('least', there.address);
    assert.partialDeepStrictEqual(answer, { ok: false, state: { standing: 'drain' } });
    assert.equal((await explained())?.why, 'agent says drain');
    const group = balancer.lb.snapshot.targetGroups.get('least');
    assert.ok(group !== undefined);
    await balancer.lb.execute({ kind: 'updateTargetGroup', group: { ...DEFAULT_GROUP, ...group, agentCheck: undefined } });
    assert.equal(balancer.lb.agents.answerOf('least', there.address), undefined);
    const held = await hold(t, balancer, least, 4);
    assert.deepEqual(active('least'), [2, 2]);
    await letGo(balancer, held);
  });
});
