import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { apportion, beginEpisode, excesses, nextStep, type ServerLoad } from '../../../src/domain/rebalance.ts';

function load(server: string, active: number, changes: Partial<ServerLoad> = {}): ServerLoad {
  return { server, active, weight: 1, maxConnections: Number.POSITIVE_INFINITY, ...changes };
}

/** The one that holds the least for its weight, of those with room, as weightedLeastConnections has it. */
function leastLoaded(loads: readonly ServerLoad[]): ServerLoad {
  const open = loads.filter(({ weight, active, maxConnections }) => weight > 0 && active < maxConnections);
  const [first, ...rest] = open;
  return rest.reduce(
    (best, each) => ((each.active + 1) / each.weight < (best.active + 1) / best.weight ? each : best),
    first ?? assert.fail(),
  );
}

/** Closes as the steps say; of those closed, every one comes back to the server that `choose` names. */
function run(start: readonly ServerLoad[], most: number, choose: (loads: readonly ServerLoad[]) => ServerLoad | undefined) {
  let loads = start;
  let episode = beginEpisode(loads);
  const change = (server: string, by: number) => {
    loads = loads.map((each) => (each.server === server ? { ...each, active: each.active + by } : each));
  };
  for (let second = 0; second < 10_000; second++) {
    const step = nextStep(episode, loads, loads, most);
    if (step.kind === 'end') return { loads, why: step.why, closed: episode.closed, seconds: second };
    const count = [...step.closings.values()].reduce((sum, each) => sum + each, 0);
    assert.ok(count > 0 && count <= most, `${count} in one second`);
    const tooMuch = excesses(loads);
    for (const [server, closings] of step.closings) {
      assert.ok(closings <= (tooMuch.get(server) ?? 0), 'never below even');
      change(server, -closings);
    }
    for (let back = 0; back < count; back++) {
      const chosen = choose(loads);
      if (chosen !== undefined) change(chosen.server, 1);
    }
    episode = step.episode;
  }
  assert.fail('it does not end');
}

const servers = fc
  .array(fc.record({ active: fc.nat(60), weight: fc.integer({ min: 1, max: 5 }) }), { minLength: 2, maxLength: 6 })
  .map((each) => each.map(({ active, weight }, index) => load(`s${index}`, active, { weight })));

test('with an algorithm that looks at load it ends even by weight, having closed little more than what was too much', () => {
  fc.assert(
    fc.property(servers, fc.integer({ min: 1, max: 20 }), (start, most) => {
      const tooMuch = beginEpisode(start).budget;
      const { loads, why, closed } = run(start, most, leastLoaded);
      // With weights the algorithm may round otherwise than shares do.
      assert.ok(
        [...excesses(loads).values()].every((excess) => excess <= 2),
        `${why}: ${[...excesses(loads)]}`,
      );
      assert.ok(closed <= tooMuch * 2, `${closed} of ${tooMuch}`);
    }),
  );
});

test('equal servers end within one of each other', () => {
  fc.assert(
    fc.property(fc.array(fc.nat(60), { minLength: 2, maxLength: 6 }), (actives) => {
      const { loads } = run(
        actives.map((active, index) => load(`s${index}`, active)),
        7,
        leastLoaded,
      );
      const after = loads.map(({ active }) => active);
      assert.ok(Math.max(...after) - Math.min(...after) <= 1, `${actives} -> ${after}`);
    }),
  );
});

test('clients that do not come back do not drag the others along', () => {
  const { loads, why, closed } = run([load('old', 100), load('new', 0)], 10, () => undefined);
  assert.deepEqual([closed, why], [50, 'spent']);
  assert.deepEqual(
    loads.map(({ active }) => active),
    [50, 0],
  );
});

test('with an algorithm that does not look at load it goes on while clients come back, and no connection is closed twice on average', () => {
  let turn = 0;
  const { closed } = run([load('old', 100), load('new', 0)], 10, (loads) => loads[turn++ % 2]);
  assert.ok(closed > 50 && closed <= 100, `${closed}`);
});

test('a server takes no more than its maxConnections, a backup none, and where nobody has room nothing is closed', () => {
  assert.deepEqual(excesses([load('old', 30), load('new', 0, { maxConnections: 5 })]), new Map([['old', 5]]));
  assert.deepEqual(excesses([load('backup', 6, { weight: 0 }), load('new', 0)]), new Map([['backup', 6]]));
  assert.deepEqual(excesses([load('old', 30, { maxConnections: 30 }), load('new', 5, { maxConnections: 4 })]), new Map());
  assert.deepEqual(excesses([load('only', 30, { weight: 0 })]), new Map());
});

test('a server in slow start gets its present share only, and it is waited for', () => {
  const loads = [load('old', 100), load('new', 0)];
  const episode = beginEpisode(loads);
  const step = nextStep(episode, loads, [load('old', 100, { weight: 1 }), load('new', 0, { weight: 0.25 })], 1000);
  assert.deepEqual(step, { kind: 'close', closings: new Map([['old', 20]]), episode: { held: 100, budget: 50, excess: 50, closed: 20 } });
});

test('what is divided is given whole, and to nobody more than it has', () => {
  fc.assert(
    fc.property(fc.nat(200), fc.array(fc.nat(50), { maxLength: 8 }), (total, list) => {
      const sizes = new Map(list.entries());
      const parts = apportion(total, sizes);
      const given = [...parts.values()].reduce((sum, part) => sum + part, 0);
      assert.equal(
        given,
        Math.min(
          total,
          list.reduce((sum, size) => sum + size, 0),
        ),
      );
      for (const [key, part] of parts) assert.ok(part <= (sizes.get(key) ?? 0));
    }),
  );
});
