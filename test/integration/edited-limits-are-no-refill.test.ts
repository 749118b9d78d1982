import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import type { ConnectionRate, RateAlgorithm } from '../../src/domain/model.ts';
import { createTestCa } from '../support/certificates.ts';
import { echoServer } from '../support/echo-servers.ts';
import { type RunningBalancer, startBalancer, uncheckedGroup } from '../support/running-balancer.ts';

/** So long that no window ends, and no token comes back, while the test runs. */
const DAY_MS = 86_400_000;
const HALF_A_DAY_MS = DAY_MS / 2;
const CLIENT = 'edited';

/** So many connections at once, over both workers, that no limit of the test has room for them. */
const FLOOD = 40;

interface Step {
  readonly edit: string;
  /** undefined: no limit. */
  readonly rate: readonly [algorithm: RateAlgorithm, limit: number, windowMs: number] | undefined;
  /** How many of a flood are admitted, as one limiter that knew everything would have it. */
  readonly admitted: number;
}

const STEPS: readonly Step[] = [
  { edit: 'none', rate: ['fixedWindow', 12, DAY_MS], admitted: 12 },
  { edit: 'the algorithm', rate: ['slidingWindowLog', 12, DAY_MS], admitted: 0 },
  { edit: 'the limit, up', rate: ['slidingWindowLog', 17, DAY_MS], admitted: 5 },
  { edit: 'the window, shorter', rate: ['slidingWindowLog', 17, HALF_A_DAY_MS], admitted: 0 },
  { edit: 'algorithm, limit and window', rate: ['tokenBucket', 20, DAY_MS], admitted: 3 },
  { edit: 'the limit, down', rate: ['tokenBucket', 6, DAY_MS], admitted: 0 },
  { edit: 'the algorithm, and the limit up', rate: ['slidingWindowCounter', 24, DAY_MS], admitted: 4 },
  { edit: 'the window of a counter', rate: ['slidingWindowCounter', 24, HALF_A_DAY_MS], admitted: 0 },
  { edit: 'the limit, removed', rate: undefined, admitted: FLOOD },
  { edit: 'the limit, set again', rate: ['leakyBucket', 25, DAY_MS], admitted: 1 },
  { edit: 'the limit, up', rate: ['fixedWindow', 31, DAY_MS], admitted: 6 },
];

test('what a client has used up stays used up whatever is edited of its limit', async (t) => {
  const upstream = await echoServer(t);
  const ca = await createTestCa();
  const balancer = await startBalancer(t, {
    ca,
    config: {
      targetGroups: [uncheckedGroup('web', [upstream.address])],
      clients: [{ clientId: CLIENT, allowedTargetGroup: 'web' }],
    },
  });
  const certificate = await ca.issue({ cn: CLIENT });

  for (const { edit, rate, admitted } of STEPS) {
    await t.test(`edited: ${edit}`, async (t) => {
      await setRate(balancer, rate);
      if (rate !== undefined) assert.equal(headroom(balancer), admitted, 'what is left, before anybody came');
      assert.equal(await flood(t, balancer, certificate), admitted);
      if (rate !== undefined) assert.equal(headroom(balancer), 0);
      balancer.assertIdle();
    });
  }

  await t.test('the client, removed and added', async (t) => {
    const client = balancer.lb.snapshot.clients.get(CLIENT) ?? assert.fail();
    await balancer.lb.removeClient(CLIENT);
    await balancer.lb.execute({ kind: 'addClient', client });
    assert.equal(headroom(balancer), 0);
    assert.equal(await flood(t, balancer, certificate), 0);
    await setRate(balancer, ['fixedWindow', 33, DAY_MS]);
    assert.equal(await flood(t, balancer, certificate), 2);
  });
});

test('an edit in the middle of a flood admits no more than the new limit in all', async (t) => {
  const upstream = await echoServer(t);
  const ca = await createTestCa();
  const balancer = await startBalancer(t, {
    ca,
    config: { targetGroups: [uncheckedGroup('web', [upstream.address])], clients: [{ clientId: CLIENT, allowedTargetGroup: 'web' }] },
  });
  const certificate = await ca.issue({ cn: CLIENT });
  await setRate(balancer, ['slidingWindowCounter', 3, DAY_MS]);
  let admitted = 0;
  const edits: readonly (readonly [RateAlgorithm, number, number])[] = [
    ['fixedWindow', 5, DAY_MS],
    ['tokenBucket', 9, DAY_MS],
    ['slidingWindowLog', 30, HALF_A_DAY_MS],
    ['leakyBucket', 44, HALF_A_DAY_MS],
  ];
  for (const edit of edits) {
    const flooding = flood(t, balancer, certificate);
    await setRate(balancer, edit);
    admitted += await flooding;
    assert.ok(admitted <= edit[1], `${admitted} of ${edit}`);
  }
  admitted += await flood(t, balancer, certificate);
  assert.equal(admitted, 44);
  balancer.assertIdle();
});

async function setRate({ lb }: RunningBalancer, rate: Step['rate']): Promise<void> {
  const client = lb.snapshot.clients.get(CLIENT) ?? assert.fail();
  const connectionRate = rate === undefined ? undefined : rateOf(...rate);
  await lb.execute({ kind: 'updateClient', client: { ...client, limits: { ...client.limits, connectionRate } } });
}

function rateOf(algorithm: RateAlgorithm, limit: number, windowMs: number): ConnectionRate {
  return { algorithm, limit, windowMs, burst: limit, action: 'reset', maxDelayMs: 0 };
}

function headroom({ lb }: RunningBalancer): number | undefined {
  return lb.stats.rateHeadroom(lb.snapshot.clients.get(CLIENT) ?? assert.fail());
}

/** How many of a flood of connections are served; the others are reset. */
async function flood(
  t: TestContext,
  balancer: RunningBalancer,
  certificate: Awaited<ReturnType<RunningBalancer['ca']['issue']>>,
): Promise<number> {
  const outcomes = await Promise.all(
    Array.from({ length: FLOOD }, async () => {
      const client = balancer.connect(t, { certificate });
      // It does not end its side: the system tells a client that has ended of an end only, not of a reset.
      client.socket.write('hello');
      const answered = client.readUntil('hello').then(() => 'answered' as const);
      const outcome = await Promise.race([answered, client.ending.then(({ how }) => how)]);
      client.socket.end();
      return outcome;
    }),
  );
  const served = outcomes.filter((outcome) => outcome === 'answered').length;
  assert.equal(outcomes.filter((outcome) => outcome === 'reset').length, FLOOD - served);
  const lines = await balancer.nextLines(FLOOD);
  assert.equal(lines.filter(({ reason }) => reason === 'client_closed').length, served);
  return served;
}
