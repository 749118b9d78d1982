import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import type { KeyAndCertificate } from '../../certs/issuing.ts';
import type { TargetGroup, UpstreamServer } from '../../src/domain/model.ts';
import type { LoadBalancer } from '../../src/load-balancer.ts';
import { createTestCa, type TestCa } from '../support/certificates.ts';
import { echoServer } from '../support/echo-servers.ts';
import { type RunningBalancer, startBalancer, uncheckedGroup } from '../support/running-balancer.ts';
import type { TlsClient } from '../support/tls-client.ts';

const PATIENT = { maxLength: 200, timeout: '10m' };
const CLIENTS = ['greedy', 'modest', 'third'] as const;
type Name = (typeof CLIENTS)[number];

interface Scene {
  readonly balancer: RunningBalancer;
  readonly server: string;
  /** Connects and says its first word, which comes back when it is served. */
  come(t: TestContext, as: Name): TlsClient;
  /** Comes, and waits until it is counted among those who wait. */
  queueUp(t: TestContext, as: Name, count?: number): Promise<TlsClient[]>;
  waiting(): number;
}

let ca: TestCa | undefined;

async function scene(t: TestContext, { maxConnections = 1, queue = PATIENT as object | undefined, ...group } = {}): Promise<Scene> {
  ca ??= await createTestCa();
  const server = (await echoServer(t)).address;
  const certificates = new Map<Name, KeyAndCertificate>();
  for (const name of CLIENTS) certificates.set(name, await ca.issue({ cn: name }));
  const balancer = await startBalancer(t, {
    ca,
    config: {
      targetGroups: [uncheckedGroup('web', [{ address: server, maxConnections }], { queue, ...group })],
      clients: CLIENTS.map((clientId) => ({ clientId, allowedTargetGroup: 'web' })),
    },
  });
  const waiting = () => balancer.lb.stats.waiting('web');
  const come = (test: TestContext, as: Name) => {
    const client = balancer.connect(test, { certificate: certificates.get(as) });
    client.socket.write('hello');
    return client;
  };
  const queueUp = async (test: TestContext, as: Name, count = 1) => {
    const before = waiting();
    const clients = Array.from({ length: count }, () => come(test, as));
    await balancer.until(() => waiting() === before + count);
    return clients;
  };
  return { balancer, server, come, queueUp, waiting };
}

async function change(lb: LoadBalancer, changes: Partial<TargetGroup>): Promise<void> {
  const group = lb.snapshot.targetGroups.get('web') ?? assert.fail();
  await lb.execute({ kind: 'updateTargetGroup', group: { ...group, ...changes } });
}

/** Changes the one server that there is. */
async function setServer(lb: LoadBalancer, changes: Partial<UpstreamServer>): Promise<void> {
  const server = lb.snapshot.targetGroups.get('web')?.servers[0] ?? assert.fail();
  await lb.execute({ kind: 'setUpstreamServer', group: 'web', server: { ...server, ...changes } });
}

/** Resolves with the first of them that is served. */
function nextServed(clients: readonly TlsClient[]): Promise<TlsClient> {
  return Promise.any(clients.map((client) => client.readUntil('hello').then(() => client)));
}

test('clients take turns for places, however many connections one of them has waiting, over both workers', async (t) => {
  const { balancer, come, queueUp, waiting } = await scene(t);
  let held = come(t, 'greedy');
  await held.readUntil('hello');
  const greedy = await queueUp(t, 'greedy', 50);
  // Both workers have some of them.
  const modest = await queueUp(t, 'modest', 2);
  const names = new Map([...greedy.map((client) => [client, 'greedy'] as const), ...modest.map((client) => [client, 'modest'] as const)]);
  const order: string[] = [];
  while (names.size > 0) {
    held.socket.end();
    held = await nextServed([...names.keys()]);
    order.push(names.get(held) ?? '');
    names.delete(held);
    assert.equal(waiting(), names.size, 'one place wakes one');
  }
  assert.deepEqual(order, ['greedy', 'modest', 'greedy', 'modest', ...Array.from({ length: 48 }, () => 'greedy')]);
  held.socket.end();
  const lines = await balancer.nextLines(53);
  assert.equal(new Set(lines.map(({ id }) => id.split('-')[0])).size, 2, 'both workers served');
  assert.equal(
    balancer.lb.stats.latencies().queued.counts.reduce((sum, count) => sum + count),
    52,
  );
  balancer.assertIdle();
});

test('the queue is bounded over both workers, and in time', async (t) => {
  const { balancer, come, queueUp, waiting } = await scene(t, { queue: { maxLength: 6, timeout: '10m' } });
  const held = come(t, 'greedy');
  await held.readUntil('hello');
  const queued = await queueUp(t, 'greedy', 6);
  const tooMany = Array.from({ length: 6 }, () => come(t, 'modest'));
  for (const line of await balancer.nextLines(6)) {
    assert.partialDeepStrictEqual(line, {
      reason: 'queue_full',
      client: 'modest',
      detail: 'web: every server is full, and 6 connections wait, as many as may',
    });
  }
  for (const client of tooMany) assert.equal((await client.ending).how, 'reset');
  await change(balancer.lb, { queue: { maxLength: 6, timeoutMs: 1 } });
  for (const line of await balancer.nextLines(6))
    assert.partialDeepStrictEqual(line, { reason: 'queue_timeout', detail: 'web: no server had a place within 1 ms' });
  for (const client of queued) assert.equal((await client.ending).how, 'reset');
  assert.equal(waiting(), 0);
  held.socket.end();
  await balancer.nextLine();
  balancer.assertIdle();
});

test('a client that leaves while it waits leaves the queue, and those behind it are served', async (t) => {
  const { balancer, come, queueUp, waiting } = await scene(t);
  const held = come(t, 'greedy');
  await held.readUntil('hello');
  const [leaver] = await queueUp(t, 'modest');
  const [stayer] = await queueUp(t, 'third');
  leaver?.tcp.resetAndDestroy();
  assert.partialDeepStrictEqual(await balancer.nextLine(), { reason: 'client_gone', client: 'modest' });
  assert.equal(waiting(), 1);
  held.socket.end();
  await stayer?.readUntil('hello');
  stayer?.socket.end();
  await balancer.nextLines(2);
  balancer.assertIdle();
});

const NOTICED: readonly {
  readonly what: string;
  readonly apply: (s: Scene, t: TestContext) => Promise<unknown>;
  readonly reason?: string;
}[] = [
  { what: 'more places on the server', apply: ({ balancer: { lb } }) => setServer(lb, { maxConnections: 40 }) },
  { what: 'no bound on the server', apply: ({ balancer: { lb } }) => setServer(lb, { maxConnections: undefined }) },
  {
    what: 'another server',
    apply: async ({ balancer: { lb } }, t) => lb.addUpstreamServer('web', (await echoServer(t)).address),
  },
  {
    what: 'the queue taken away',
    apply: ({ balancer: { lb } }) => change(lb, { queue: undefined }),
    reason: 'no_healthy_upstream',
  },
  {
    what: 'no server that is usable',
    apply: ({ balancer: { lb } }) => setServer(lb, { mode: 'maintenance' }),
    reason: 'no_healthy_upstream',
  },
  { what: 'the client removed', apply: ({ balancer: { lb } }) => lb.removeClient('modest'), reason: 'unknown_client' },
];

for (const { what, apply, reason } of NOTICED) {
  test(`those who wait notice at once: ${what}`, async (t) => {
    const now = await scene(t);
    const { balancer, come, queueUp, waiting } = now;
    const held = come(t, 'greedy');
    await held.readUntil('hello');
    const queued = await queueUp(t, 'modest', 8);
    await apply(now, t);
    if (reason === undefined) {
      for (const client of queued) await client.readUntil('hello');
      for (const client of queued) client.socket.end();
      await balancer.nextLines(8);
    } else {
      for (const line of await balancer.nextLines(8)) assert.partialDeepStrictEqual(line, { reason, client: 'modest' });
    }
    assert.equal(waiting(), 0);
    held.socket.end();
    await balancer.nextLine();
    balancer.assertIdle();
  });
}

test('Explain says how many would be served before', async (t) => {
  const { balancer, come, queueUp } = await scene(t, { queue: { maxLength: 5, timeout: '7m' } });
  const explain = (as: Name) =>
    balancer.lb.explain({
      peer: {
        kind: 'identity',
        identity: { commonName: as, dnsNames: [], uriNames: [], organizationalUnits: [], fingerprint: '' },
      },
      listener: balancer.lb.listeners()[0]?.name ?? '',
      sni: undefined,
      alpn: undefined,
    });
  const held = come(t, 'greedy');
  await held.readUntil('hello');
  await queueUp(t, 'greedy', 4);
  const ahead = async (as: Name) => (await explain(as))?.steps.at(-1);
  const says = (count: number) => `every server is full: it would wait for at most 420000 ms, ${count} before it; 4 of 5 wait`;
  assert.deepEqual(await ahead('greedy'), { name: 'server', passed: true, detail: says(4) });
  assert.deepEqual(await ahead('modest'), { name: 'server', passed: true, detail: says(1) });
  assert.equal((await explain('modest'))?.pick, undefined);
  await queueUp(t, 'third');
  const full = await explain('modest');
  assert.equal(full?.refusal, 'queue_full');
});
