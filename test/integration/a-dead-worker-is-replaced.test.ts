import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import type { Worker } from 'node:worker_threads';
import { createLoadBalancer } from '../../src/index.ts';
import { createTestCa } from '../support/certificates.ts';
import { roundTrip } from '../support/daemon-clients.ts';
import { echoServer } from '../support/echo-servers.ts';
import { collectLog } from '../support/log-lines.ts';
import { temporaryFolder } from '../support/temp-dir.ts';
import { type TlsClient, tlsClient } from '../support/tls-client.ts';

/** Enough to be sure that each of two workers has some. */
const MANY = 20;

const ca = await createTestCa();
const certificate = await ca.issue({ cn: 'clientA' });

/** Two workers, and as many places for clientA as {@link MANY}. The threads are in the order of their birth. */
async function startWithThreads(t: TestContext) {
  const threads: Worker[] = [];
  const onWorker = (worker: Worker) => threads.push(worker);
  process.on('worker', onWorker);
  t.after(() => process.off('worker', onWorker));
  const echo = await echoServer(t);
  const { caCert, loadbalancer } = await ca.writeTo(await temporaryFolder(t), { loadbalancer: await ca.issueServer() });
  const log = collectLog();
  const lb = await createLoadBalancer(
    {
      listenAddress: '127.0.0.1:0',
      workers: 2,
      tlsParams: { ...loadbalancer, caCert },
      targetGroups: [{ name: 'web', upstreamServers: [echo.address] }],
      clients: [{ clientId: 'clientA', allowedTargetGroup: 'web', limits: { concurrentConnections: MANY } }],
    },
    { log: log.log, writeLogLines: log.write },
  );
  t.after(() => lb.stop(0));
  const port = Number(lb.listeners()[0]?.address.split(':').at(-1));
  const gauges = () => [lb.stats.totals().active, lb.stats.client('clientA').active, lb.stats.server('web', echo.address).active];
  return { lb, log, threads, gauges, connect: () => tlsClient(t, { port, ca: ca.caPem, certificate }) };
}

/** Those that still get through to the server. */
async function survivors(clients: readonly TlsClient[]): Promise<TlsClient[]> {
  const alive = await Promise.all(
    clients.map((client) =>
      roundTrip(client, 'still there').then(
        () => true,
        () => false,
      ),
    ),
  );
  return clients.filter((_, index) => alive[index]);
}

const deaths = [
  { how: 'is ended', kill: (worker: Worker) => worker.terminate() },
  // No such message exists: applying it throws, as a defect would.
  { how: 'throws', kill: (worker: Worker) => worker.postMessage({ kind: 'publish' }) },
];

for (const { how, kill } of deaths) {
  test(`a worker that ${how} takes its own connections with it, gives back their places, and is replaced`, async (t) => {
    const { log, threads, gauges, connect } = await startWithThreads(t);
    const clients = Array.from({ length: MANY }, connect);
    await Promise.all(clients.map((client) => roundTrip(client, 'hello')));
    assert.deepEqual(gauges(), [MANY, MANY, MANY]);

    const [victim] = threads;
    assert.ok(victim);
    await kill(victim);
    await log.waitFor(({ msg }) => msg === 'the worker was replaced');
    const left = await survivors(clients);
    assert.ok(left.length > 0 && left.length < MANY, `${left.length} of ${MANY} were on the other worker`);
    assert.deepEqual(gauges(), [left.length, left.length, left.length]);
    assert.equal(log.lines.filter(({ msg }) => String(msg).startsWith('a worker died')).length, 1);

    const again = Array.from({ length: MANY - left.length }, connect);
    await Promise.all(again.map((client) => roundTrip(client, 'hello')));
    assert.deepEqual(gauges(), [MANY, MANY, MANY]);
    assert.deepEqual(await connect().ending, { how: 'reset' });
    await log.waitFor(({ reason }) => reason === 'too_many_connections');
    assert.equal(threads.length, 3);
  });
}

test('changes made while a worker is missing are in force in its successor', async (t) => {
  const { lb, log, threads, connect } = await startWithThreads(t);
  const [first, second] = threads;
  assert.ok(first && second);
  await first.terminate();
  const { revision } = await lb.removeClient('clientA');
  assert.equal(revision, 2);
  await log.waitFor(({ msg }) => msg === 'the worker was replaced');
  // Only the successor is left to answer.
  await second.terminate();
  assert.notEqual((await connect().ending).how, 'failed');
  await log.waitFor(({ reason }) => reason === 'unknown_client');
  await assert.rejects(lb.removeClient('clientA'), /there is no client "clientA"/);
});
