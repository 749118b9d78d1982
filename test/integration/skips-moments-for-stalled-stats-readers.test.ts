import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { AdminServiceService as rpc, WatchStatsRequest, type WatchStatsResponse } from '../../src/gen/lb/admin/v1/admin.ts';
import { startAdmin, type TestAdmin, watch } from '../support/admin-server.ts';
import { sampleClient } from '../support/sample-state.ts';
import { StalledSession } from '../support/stalled-reader.ts';

const INTERVAL_MS = 100;
const REQUEST = WatchStatsRequest.fromPartial({ interval: { seconds: 0n, nanos: INTERVAL_MS * 1e6 } });
/** How many moments a reader that keeps up is told while the other one stalls. */
const MISSED = 12;
/** What was under way when it stalled, and what had been put together by then. */
const STALE_AT_MOST = 2;

async function openSession(t: TestContext, { target, ca, certificate }: TestAdmin): Promise<StalledSession> {
  return StalledSession.open(t, { target, ca: ca.caPem, as: await certificate('operator'), windowBytes: 0 });
}

/** Resolves when a reader that keeps up has been told so many whole moments. */
async function momentsPass(admin: TestAdmin, count: number): Promise<void> {
  const quick = watch(await admin.as('viewer'), rpc.watchStats, REQUEST);
  for (let told = 0; told < count; ) if (!(await quick.next()).more) told++;
  await quick.cancel();
}

/** The next so many whole moments, as the messages of each. */
async function takeMoments(messages: AsyncIterator<WatchStatsResponse>, count: number): Promise<WatchStatsResponse[][]> {
  const moments: WatchStatsResponse[][] = [];
  for (let moment: WatchStatsResponse[] = []; moments.length < count; ) {
    const { value } = await messages.next();
    if (value === undefined) assert.fail('the stream ended');
    moment.push(value);
    if (value.more) continue;
    moments.push(moment);
    moment = [];
  }
  return moments;
}

for (const { title, clients } of [
  { title: 'of one message each', clients: 1 },
  { title: 'of several messages each', clients: 1_200 },
]) {
  test(`a reader that stalls misses moments ${title}, and is told of now when it reads again`, async (t) => {
    const admin = await startAdmin(t);
    for (let added = 1; added < clients; added++) {
      await admin.authority.execute({ kind: 'addClient', client: sampleClient(`client${added}`, ['web']) }, { actor: 'test' });
    }
    const session = await openSession(t, admin);
    const messages = (await session.watch(rpc.watchStats, REQUEST)).messages();
    await session.read();
    await takeMoments(messages, 2);
    await session.stall();
    await momentsPass(admin, MISSED);
    admin.worker.countReason('rate_limited');

    await session.read();
    const moments = await takeMoments(messages, STALE_AT_MOST + MISSED);
    for (const moment of moments) assert.equal(moment.flatMap((message) => message.clients).length, clients, 'a moment is whole');
    const fresh = moments.filter(([first]) => first?.refused === 1n);
    assert.ok(fresh.length >= MISSED, `${moments.length - fresh.length} moments were kept from before`);
    const [since = 0, until = 0] = [fresh.at(0), fresh.at(-1)].map((moment) => moment?.[0]?.at?.getTime());
    assert.ok(until - since > (INTERVAL_MS * MISSED) / 2, `${fresh.length} moments in ${until - since} ms make up for the missed ones`);
  });
}
