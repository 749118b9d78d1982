import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { Slots } from '../../src/controlplane/slots.ts';
import { Workers } from '../../src/controlplane/workers.ts';
import { NO_LIMITS } from '../../src/domain/defaults.ts';
import { EMPTY_SNAPSHOT, type Snapshot } from '../../src/domain/model.ts';
import { apply, type Command } from '../../src/domain/state.ts';
import { createSharedBuffers } from '../../src/shared/memory/layout.ts';
import { SharedLedger } from '../../src/shared/memory/ledger.ts';
import { collectLog, type LogLines } from '../support/log-lines.ts';
import { sampleClient, sampleGroup, sampleListener } from '../support/sample-state.ts';
import { DIES_AT_BIRTH, type Order } from '../support/scripted-worker.ts';

const RATE = { algorithm: 'fixedWindow', limit: 10, windowMs: 1000, burst: 10, action: 'reset', maxDelayMs: 0 } as const;

const SEED: Command = {
  kind: 'replaceAll',
  listeners: [],
  targetGroups: [sampleGroup('web', ['127.0.0.1:8081'])],
  clients: [sampleClient('clientA', ['web'], { limits: { ...NO_LIMITS, connectionRate: RATE } })],
  revocations: [],
};
const STATE = apply(EMPTY_SNAPSHOT, SEED);

interface Crew {
  readonly workers: Workers;
  readonly ledger: SharedLedger;
  readonly slots: Slots;
  readonly log: LogLines;
  /** Tells every worker. */
  order(order: Order): Promise<number>;
  /** How many were born so far. */
  births(): number;
}

/** `stateAt` is the state that the nth worker, from 0, is born into. */
async function startCrew(t: TestContext, count: number, stateAt: (birth: number) => Snapshot = () => STATE): Promise<Crew> {
  const ledger = new SharedLedger(createSharedBuffers(count));
  const slots = new Slots(ledger);
  slots.follow(STATE);
  const log = collectLog();
  let births = 0;
  const workers = new Workers({
    program: new URL('../support/scripted-worker.ts', import.meta.url),
    count,
    upbringing: {
      memory: ledger.buffers,
      timeouts: { handshakeMs: 1, idleMs: 1, halfCloseMs: 1, maxDurationMs: undefined, drainMs: 1 },
      maxPendingHandshakes: 1,
      maxConnections: 1,
    },
    slots,
    snapshot: () => stateAt(births++),
    listenerTls: () => new Map(),
    upstreamTls: () => new Map(),
    hosts: () => new Map(),
    onFailing: () => undefined,
    logLevel: 'info',
    writeLines: log.write,
    log: log.log,
  });
  t.after(() => workers.stop());
  await workers.start();
  return {
    workers,
    ledger,
    slots,
    log,
    order: async (clientId) => (await workers.close({ clientId }, 'killed_by_admin')).served,
    births: () => births,
  };
}

const born = ({ msg }: { readonly msg?: unknown }) => msg === 'the worker was replaced';
const died = ({ msg }: { readonly msg?: unknown }) => String(msg).startsWith('a worker died');

test('a worker that dies again and again is born later each time', async (t) => {
  const doomed = { ...STATE, listeners: [sampleListener(DIES_AT_BIRTH)] };
  const crew = await startCrew(t, 1, (birth) => (birth >= 1 && birth <= 3 ? doomed : STATE));
  assert.equal(await crew.order('throw'), 0);
  await crew.log.waitFor(born);
  const deaths = crew.log.lines.filter(died);
  assert.deepEqual(
    deaths.map(({ respawnInMs, worker }) => ({ respawnInMs, worker })),
    [50, 100, 200, 400].map((respawnInMs) => ({ respawnInMs, worker: 0 })),
  );
  assert.match(JSON.stringify(deaths[0]?.['err']), /told to/);
  assert.match(JSON.stringify(deaths[1]?.['err']), /born to die/);
  assert.equal(crew.births(), 5);
});

test('places and locks that a dead worker held are free again', async (t) => {
  const crew = await startCrew(t, 2);
  const server = crew.slots.serverSlot('web', '127.0.0.1:8081') ?? assert.fail('the server has no slot');
  assert.equal(await crew.order('hold the server'), 1, 'the one that was quicker holds it');
  assert.equal(crew.ledger.serverActive(server), 1);

  // Both are told; the first dies holding the lock, and the second can have it only because that is noticed.
  const replaced = Promise.all([0, 1].map((worker) => crew.log.waitFor((line) => born(line) && line['worker'] === worker)));
  assert.equal(await crew.order('die in the lock'), 0);
  await replaced;
  assert.equal(crew.ledger.serverActive(server), 0);
  assert.equal(await crew.order('take the lock'), 2);
});

test('a change and a close wait neither for one that dies of them nor for one that is not there', async (t) => {
  const crew = await startCrew(t, 1);
  const change = { command: SEED, previous: STATE, next: apply(STATE, SEED) };
  await crew.workers.publish(change, crew.slots.all());
  await crew.log.waitFor(died);
  assert.equal(crew.births(), 1, 'its successor is not born yet');
  await crew.workers.publish(change, crew.slots.all());
  await crew.workers.reloadTls(new Map(), new Map());
  assert.deepEqual(await crew.workers.close({}, 'killed_by_admin'), { served: 0, waiting: 0 });
  assert.equal(crew.births(), 1);
});

test('nobody is born after the end', async (t) => {
  for (const end of [(crew: Crew) => crew.workers.stop(), (crew: Crew) => crew.workers.drain(60_000)]) {
    // Of one: where another died later, the first could be replaced before the end.
    const [crew, witness] = await Promise.all([startCrew(t, 1), startCrew(t, 1)]);
    await crew.order('throw');
    assert.equal(crew.log.lines.filter(died).length, 1);
    await end(crew);
    // Its worker dies later and is replaced after as long: those of the crew would have been by then.
    await witness.order('throw');
    await witness.log.waitFor(born);
    assert.equal(crew.births(), 1);
  }
});
