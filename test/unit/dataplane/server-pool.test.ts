import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { PoolFollower, ServerPool } from '../../../src/dataplane/server-pool.ts';
import { ServerView } from '../../../src/dataplane/server-view.ts';
import { SILENT_AGENT } from '../../../src/domain/agent-report.ts';
import { DEFAULT_GROUP, DEFAULT_SERVER } from '../../../src/domain/defaults.ts';
import { ALGORITHMS, type TargetGroup, type UpstreamServer } from '../../../src/domain/model.ts';
import { monotonicMs } from '../../../src/shared/clock.ts';
import { LaneWriter } from '../../../src/shared/memory/lane-writer.ts';
import { CHANGE_LOG_ENTRIES, createSharedBuffers, type HealthCode } from '../../../src/shared/memory/layout.ts';
import { SharedLedger } from '../../../src/shared/memory/ledger.ts';

/** A group as two workers see it, in shared memory as the real ones have it; slots are places in the list. */
class Ground {
  readonly ledger: SharedLedger;
  readonly workers: readonly { readonly lane: LaneWriter; readonly pool: ServerPool; readonly servers: readonly ServerView[] }[];
  readonly #held: { readonly slot: number; readonly worker: number }[] = [];

  constructor(servers: readonly Partial<UpstreamServer>[], group: Partial<TargetGroup> = {}, healthy: HealthCode = 'healthy') {
    const buffers = createSharedBuffers(2);
    this.ledger = new SharedLedger(buffers);
    for (const slot of servers.keys()) this.ledger.setHealth(slot, healthy);
    this.workers = [0, 1].map((number) => {
      const lane = new LaneWriter(buffers, number);
      const views = servers.map((changes, slot) => {
        const target = { host: '10.0.0.1', port: 1 + slot };
        return new ServerView({ address: `10.0.0.1:${target.port}`, ...DEFAULT_SERVER, ...changes }, target, slot, 0, lane);
      });
      const whole: TargetGroup = { ...DEFAULT_GROUP, name: 'g', servers: [], ...group };
      const pool = new ServerPool(whole, new PoolFollower(lane));
      pool.update(whole, views);
      return { lane, pool, servers: views };
    });
  }

  get counts(): number[] {
    return (this.workers[0]?.servers ?? []).map((server) => server.active());
  }

  /** The slot that the worker chooses; undefined: none. */
  choose(worker: number, caller = 0): number | undefined {
    return this.workers[worker]?.pool.choose({ clientId: `c${caller}`, source: BigInt(caller) })?.slot;
  }

  open(worker: number, caller = 0): number | undefined {
    const slot = this.choose(worker, caller);
    if (slot === undefined) return undefined;
    assert.ok(this.workers[worker]?.lane.reserveServer(slot, this.counts[slot] ?? 0));
    this.#held.push({ slot, worker });
    return slot;
  }

  end(which: number): void {
    const [held] = this.#held.splice(which % Math.max(1, this.#held.length), 1);
    if (held !== undefined) this.workers[held.worker]?.lane.releaseServer(held.slot);
  }
}

const step = fc.oneof(
  { weight: 6, arbitrary: fc.record({ kind: fc.constant('open' as const), worker: fc.nat({ max: 1 }), caller: fc.nat({ max: 9 }) }) },
  { weight: 3, arbitrary: fc.record({ kind: fc.constant('end' as const), which: fc.nat() }) },
  {
    weight: 2,
    arbitrary: fc.record({
      kind: fc.constant('health' as const),
      slot: fc.nat({ max: 7 }),
      to: fc.constantFrom<HealthCode>('healthy', 'unhealthy'),
    }),
  },
  {
    weight: 1,
    arbitrary: fc.record({
      kind: fc.constant('agent' as const),
      slot: fc.nat({ max: 7 }),
      percent: fc.constantFrom(0, 50, 100),
      maxConnections: fc.option(fc.nat({ max: 3 }), { nil: undefined }),
    }),
  },
);

for (const algorithm of ALGORITHMS) {
  test(`${algorithm} never chooses a server that takes no connection, and finds one while there is one`, () => {
    const anyServer = fc.record({
      weight: fc.integer({ min: 0, max: 4 }),
      backup: fc.boolean(),
      maxConnections: fc.option(fc.integer({ min: 1, max: 3 }), { nil: undefined }),
      mode: fc.constantFrom<UpstreamServer['mode']>('ready', 'ready', 'ready', 'drain'),
    });
    fc.assert(
      fc.property(fc.array(anyServer, { minLength: 1, maxLength: 8 }), fc.array(step, { maxLength: 80, size: 'max' }), (servers, steps) => {
        const ground = new Ground(servers, { algorithm });
        const down = new Set<number>();
        const agents = new Map<number, { percent: number; maxConnections: number | undefined }>();
        const takes = (slot: number) => {
          const { weight = 1, mode, maxConnections } = servers[slot] ?? assert.fail('there is one');
          const agent = agents.get(slot);
          const most = (agent?.maxConnections ?? maxConnections) || Number.POSITIVE_INFINITY;
          return weight > 0 && mode === 'ready' && !down.has(slot) && agent?.percent !== 0 && (ground.counts[slot] ?? 0) < most;
        };
        for (const one of steps) {
          if (one.kind === 'end') ground.end(one.which);
          if (one.kind === 'health' && one.slot < servers.length) {
            ground.ledger.setHealth(one.slot, one.to);
            if (one.to === 'healthy') down.delete(one.slot);
            else down.add(one.slot);
          }
          if (one.kind === 'agent' && one.slot < servers.length) {
            const { percent, maxConnections } = one;
            agents.set(one.slot, { percent, maxConnections });
            ground.ledger.setAgent(one.slot, { percent, maxConnections, standing: 'up' });
          }
          if (one.kind !== 'open') continue;
          const open = [...servers.keys()].filter(takes);
          const slot = ground.open(one.worker, one.caller);
          if (slot === undefined) assert.deepEqual(open, []);
          else {
            assert.ok(open.includes(slot), `${slot} is not one of ${open}`);
            if (servers[slot]?.backup === true)
              assert.ok(
                open.every((other) => servers[other]?.backup === true),
                'no regular one is left',
              );
          }
        }
      }),
      { numRuns: 60 },
    );
  });
}

describe('two workers', () => {
  test('fill no server beyond the least filled by more than one, under churn', () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: 50 }),
        fc.array(fc.tuple(fc.nat({ max: 2 }), fc.nat()), { maxLength: 300, size: 'max' }),
        (size, steps) => {
          const ground = new Ground(Array.from({ length: size }, () => ({})));
          for (const [what, which] of steps) {
            if (what === 2) {
              ground.end(which);
              continue;
            }
            const least = Math.min(...ground.counts);
            const slot = ground.open(what);
            assert.equal(ground.counts[slot ?? -1], least + 1);
          }
        },
      ),
      { numRuns: 50 },
    );
  });

  test('take turns together', () => {
    for (const algorithm of ['leastConnections', 'roundRobin'] as const) {
      const ground = new Ground([{}, {}, {}], { algorithm });
      const order = [0, 1, 1, 0, 0, 1, 0].map((worker) => {
        const slot = ground.open(worker);
        ground.end(0);
        return slot;
      });
      assert.deepEqual(order, [0, 1, 2, 0, 1, 2, 0], algorithm);
    }
  });

  test('one that has slept while the log went round knows how loaded servers are', () => {
    const ground = new Ground([{}, {}, {}]);
    for (let round = 0; round < CHANGE_LOG_ENTRIES; round++) {
      ground.open(0);
      ground.end(0);
    }
    for (let times = 0; times < 4; times++) ground.open(0);
    const [fullest] = [...ground.counts.keys()].filter((slot) => ground.counts[slot] === 2);
    const chosen = ground.choose(1);
    assert.ok(chosen !== undefined && chosen !== fullest);
  });

  test('know at once what a worker that died no longer holds', () => {
    const ground = new Ground([{}, {}]);
    ground.open(0);
    ground.open(1);
    ground.open(1);
    ground.ledger.releaseLane(1);
    assert.deepEqual(ground.counts, [1, 0]);
    assert.equal(ground.choose(0), 1);
  });
});

describe('slow start', () => {
  const recovered = (ground: Ground, slot: number, agoMs: number) => {
    ground.ledger.setHealth(slot, 'unhealthy');
    ground.ledger.setHealth(slot, 'healthy', monotonicMs() - agoMs);
  };

  test('fills a server that has recovered to a part of what the others have, and others to the whole', () => {
    const ground = new Ground([{}, {}, {}], { slowStartMs: 3_600_000 });
    recovered(ground, 0, 900_000);
    for (let connection = 0; connection < 90; connection++) ground.open(connection % 2);
    assert.deepEqual(ground.counts, [10, 40, 40]);
  });

  test('ends when its time is over, and at once when the group has none any more', () => {
    const ground = new Ground([{}, {}], { slowStartMs: 3_600_000 });
    recovered(ground, 0, 3_700_000);
    for (let connection = 0; connection < 10; connection++) ground.open(0);
    assert.deepEqual(ground.counts, [5, 5]);
    recovered(ground, 0, 0);
    for (let connection = 0; connection < 10; connection++) ground.open(0);
    assert.deepEqual(ground.counts, [5, 15]);
    for (const { pool, servers } of ground.workers) pool.update({ ...DEFAULT_GROUP, name: 'g', servers: [] }, servers);
    for (let connection = 0; connection < 10; connection++) ground.open(0);
    assert.deepEqual(ground.counts, [15, 15]);
  });
});

test('a server that nothing is known of yet is chosen only where none is healthy', () => {
  const ground = new Ground([{}, {}], {}, 'unknown');
  assert.notEqual(ground.choose(0), undefined);
  ground.ledger.setHealth(1, 'healthy');
  for (let times = 0; times < 3; times++) assert.equal(ground.open(0), 1);
});

test('full healthy servers, and healthy backups, come before one that nothing is known of yet', () => {
  const ground = new Ground([{}, { maxConnections: 1 }, { backup: true }, { backup: true, maxConnections: 1 }], {}, 'unknown');
  assert.equal(ground.choose(0), 0, 'at the start a regular one is tried first');
  ground.ledger.setHealth(3, 'healthy');
  assert.equal(ground.choose(0), 3, 'a backup that is known to be well');
  ground.ledger.setHealth(1, 'healthy');
  assert.deepEqual([ground.open(0), ground.open(1)], [1, 3]);
  assert.deepEqual([ground.choose(0), ground.choose(1)], [undefined, undefined], 'both are full');
  ground.end(0);
  assert.equal(ground.choose(1), 1);
  ground.ledger.setHealth(1, 'unhealthy');
  ground.ledger.setHealth(3, 'unhealthy');
  assert.equal(ground.choose(0), 0, 'nobody is well');
  ground.ledger.setHealth(0, 'unhealthy');
  assert.equal(ground.choose(0), 2, 'a backup nobody knows is the last of all');
});

test('an agent that is silent again leaves the configured bound', () => {
  const ground = new Ground([{ maxConnections: 2 }]);
  ground.ledger.setAgent(0, { ...SILENT_AGENT, maxConnections: 1 });
  ground.open(0);
  assert.equal(ground.choose(0), undefined);
  ground.ledger.setAgent(0, SILENT_AGENT);
  assert.equal(ground.choose(0), 0);
});
