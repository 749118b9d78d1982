import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { wholeStats } from '../../../cli/paging.ts';
import { paintFor } from '../../../cli/render.ts';
import { topFrame } from '../../../cli/top/frame.ts';
import { counted, FIRST_MODEL, pressed, type TopModel, VIEWS } from '../../../cli/top/model.ts';
import { HealthState, WatchStatsResponse } from '../../../src/gen/lb/admin/v1/admin.ts';

const ADDR = '127.0.0.1:9000';
const noPaint = (text: string) => text;
const colours = paintFor({ stdout: { write: () => true, isTTY: true }, env: {} });

interface Shape {
  readonly servers: number;
  readonly clients: number;
  readonly name?: (kind: string, index: number) => string;
}

/** Counters `second` seconds after the start: everything grows by its index every second. */
function stats(second: number, { servers, clients, name = (kind, index) => `${kind}${index}` }: Shape): WatchStatsResponse {
  const grown = (index: number) => BigInt(index * second);
  return WatchStatsResponse.fromPartial({
    at: new Date(Date.UTC(2030, 0, 1, 12, 0, second)),
    revision: 7n,
    activeConnections: 42n,
    accepted: BigInt(100 * second),
    refused: BigInt(3 * second),
    byReason: [
      { reason: 'client_closed', count: 9n, refused: false },
      { reason: 'idle_timeout', count: 0n, refused: false },
      { reason: 'rate_limited', count: 5n, refused: true },
    ],
    servers: Array.from({ length: servers }, (_, index) => ({
      targetGroup: name('group', index % 3),
      server: `10.0.0.1:${index + 1}`,
      health: index % 4 === 3 ? HealthState.UNHEALTHY : HealthState.HEALTHY,
      counters: { active: BigInt(index), connected: grown(index), failed: BigInt(index % 2), bytesToUpstream: grown(index * 1_000) },
    })),
    clients: Array.from({ length: clients }, (_, index) => ({
      clientId: name('client', index),
      counters: { active: BigInt(index), accepted: grown(index), refused: 0n, rateHeadroom: index === 0 ? 0 : undefined },
    })),
  });
}

const modelOf = (shape: Shape, change: Partial<TopModel> = {}): TopModel => ({
  ...counted(counted(FIRST_MODEL, stats(1, shape)), stats(2, shape)),
  ...change,
});

const frame = (model: TopModel, columns = 80, rows = 24) => topFrame(model, ADDR, { columns, rows }, noPaint);

test('fills exactly the screen, whatever its size, its view, and how much there is to show', () => {
  for (const [columns, rows] of [
    [80, 24],
    [200, 50],
    [20, 5],
    [1, 1],
  ] as const) {
    for (const shape of [
      { servers: 0, clients: 0 },
      { servers: 2, clients: 2 },
      { servers: 1_000, clients: 1_000 },
    ]) {
      for (const view of VIEWS) {
        const lines = frame(modelOf(shape, { view }), columns, rows);
        assert.equal(lines.length, rows, `${columns}x${rows} ${view}`);
        for (const line of lines) assert.ok(line.length <= columns, `${columns}x${rows} ${view}: ${line}`);
      }
    }
  }
});

test('shows totals, rates, groups and clients in 80 by 24', () => {
  const lines = frame(modelOf({ servers: 4, clients: 2 }));
  assert.equal(lines[0], 'lbctl top  127.0.0.1:9000  revision 7  12:00:02Z');
  assert.equal(lines[1], '42 active  100 new/s  3.0 refused/s  up 6.0 KB/s  down 0 B/s  3/4 healthy');
  assert.equal(lines[2], 'since the start, refused: rate_limited 5; ended: client_closed 9');
  const text = lines.join('\n');
  assert.match(text, /^TARGET GROUP +HEALTHY +ACTIVEv +NEW\/S +FAILED +UP\/S +DOWN\/S$/m);
  assert.match(text, /^group0 +1\/2 +3 +3\.0 +1 +3\.0 KB +0 B$/m);
  assert.match(text, /^client1 +- +1 +1\.0 +0 +0 B +0 B$/m);
  assert.match(text, /^client0 +0 new +0 +0\.0 +0 +0 B +0 B$/m);
  assert.match(lines.at(-2) ?? '', /^q quit .*up\/down scroll$/);
  assert.match(lines.at(-1) ?? '', /^sort: n name .*again: reverse$/);
});

test('a queue, an ejection and the scarcest limit with its unit are shown in 80 columns', () => {
  const shown = WatchStatsResponse.fromPartial({
    ...stats(2, { servers: 2, clients: 0 }),
    groups: [{ targetGroup: 'group0', waiting: 12 }],
    clients: [
      { clientId: 'a', counters: { rateHeadroom: 40, connectionsHeadroom: 3, downloadHeadroom: 5n } },
      { clientId: 'b', counters: { rateHeadroom: 40, downloadHeadroom: 0n } },
      { clientId: 'c', counters: { uploadHeadroom: 99_400_000n, downloadHeadroom: 123_400_000_000n } },
    ],
  });
  const [first] = shown.servers;
  if (first !== undefined) first.ejected = true;
  const lines = frame(counted(FIRST_MODEL, shown));
  const text = lines.join('\n');
  assert.ok(lines.every((line) => line.length <= 80));
  assert.match(text, /^TARGET GROUP .* DOWN\/S WAITING$/m);
  assert.match(text, /^group0 .* 12$/m);
  assert.match(text, /^group1 .* -$/m);
  assert.match(text, /^a +3 open /m);
  assert.match(text, /^b +0 B down /m);
  assert.match(text, /^c +99\.4 MB up /m);
  assert.match(frame({ ...counted(FIRST_MODEL, shown), view: 'servers' }).join('\n'), /^group0 10\.0\.0\.1:1 +ejected /m);
  assert.doesNotMatch(frame(modelOf({ servers: 2, clients: 0 })).join('\n'), /WAITING/);
});

test('clients whose connections wait for their turn are shown, in every view that has them', () => {
  const clients = [
    { clientId: 'slowed', counters: { active: 9n, delayed: 7n } },
    { clientId: 'other', counters: { active: 1n } },
  ];
  const shown = counted(FIRST_MODEL, WatchStatsResponse.fromPartial({ ...stats(2, { servers: 1, clients: 0 }), clients }));
  for (const view of ['overview', 'clients'] as const) {
    const lines = frame({ ...shown, view });
    assert.ok(lines.every((line) => line.length <= 80));
    const text = lines.join('\n');
    assert.match(text, /^CLIENT .* DOWN\/S WAITING$/m);
    assert.match(text, /^slowed .* 7$/m);
    assert.match(text, /^other .* -$/m);
    assert.doesNotMatch(text, /^TARGET GROUP .* WAITING$/m);
  }
});

test('a moment that came in several messages is put together whole', async () => {
  const part = (more: boolean, targetGroup: string) => WatchStatsResponse.fromPartial({ more, groups: [{ targetGroup, waiting: 1 }] });
  async function* messages() {
    yield part(true, 'a');
    yield part(false, 'b');
  }
  const [whole] = await Array.fromAsync(wholeStats(messages()));
  assert.deepEqual(
    whole?.groups.map(({ targetGroup }) => targetGroup),
    ['a', 'b'],
  );
});

test('a low screen keeps its lines for the tables', () => {
  const lines = frame(modelOf({ servers: 4, clients: 2 }), 80, 11);
  assert.match(lines.at(-1) ?? '', /^q quit/);
});

test('says that it waits, and that the connection is lost', () => {
  assert.match(frame(FIRST_MODEL)[1] ?? '', /waiting for the first counters/);
  assert.match(
    frame(modelOf({ servers: 1, clients: 1 }, { notice: 'lost the connection; trying again' }))[3] ?? '',
    /lost the connection; trying again/,
  );
});

test('nothing is counted backwards after a restart of lbd', () => {
  const shape = { servers: 2, clients: 2 };
  const restarted = counted(counted(FIRST_MODEL, stats(50, shape)), { ...stats(51, shape), accepted: 1n });
  assert.match(frame(restarted)[1] ?? '', /^42 active {2}- new\/s/);
});

test('what does not fit is counted', () => {
  const lines = frame(modelOf({ servers: 3, clients: 1_000 }, { view: 'clients' }));
  const [more] = lines.slice(-3);
  assert.match(more ?? '', /^\.\.\. \d+ more$/);
  const shown = lines.filter((line) => line.startsWith('client')).length;
  assert.equal(more, `... ${1_000 - shown} more`);
});

const firstColumn = (model: TopModel) =>
  frame(model)
    .filter((line) => /^client\d/.test(line))
    .map((line) => line.split(' ')[0]);
const press = (model: TopModel, ...keys: readonly string[]) =>
  keys.reduce((now, key) => {
    const next = pressed(now, key, 10);
    assert.notEqual(next, 'quit');
    return next === 'quit' ? now : next;
  }, model);

test('keys sort, the same key again turns the order round', () => {
  const model = press(modelOf({ servers: 1, clients: 3 }), 'c');
  assert.deepEqual(firstColumn(model), ['client2', 'client1', 'client0']);
  assert.deepEqual(firstColumn(press(model, 'a')), ['client0', 'client1', 'client2']);
  assert.deepEqual(firstColumn(press(model, 'n')), ['client0', 'client1', 'client2']);
  assert.deepEqual(firstColumn(press(model, 'n', 'n')), ['client2', 'client1', 'client0']);
  assert.deepEqual(firstColumn(press(model, 'r')), ['client2', 'client1', 'client0']);
  assert.deepEqual(firstColumn(press(model, 't')), ['client0', 'client1', 'client2']);
});

test('keys choose the view and scroll, and never past the end', () => {
  const model = press(modelOf({ servers: 1, clients: 30 }), 'c', 'n');
  assert.equal(firstColumn(press(model, '\u001b[B', 'j'))[0], 'client10');
  assert.equal(firstColumn(press(model, '\u001b[A'))[0], 'client0');
  assert.equal(press(model, ...Array.from({ length: 20 }, () => '\u001b[6~')).scroll, 29);
  assert.equal(press(FIRST_MODEL, '\t', '\t').view, 'servers');
  assert.equal(press(FIRST_MODEL, '\u001b[Z', 'x').view, 'overview');
  for (const key of ['q', '\u0003']) assert.equal(pressed(model, key, 10), 'quit');
});

test('a hostile name cannot steer the terminal or widen the line', () => {
  const hostile = fc.string({
    unit: fc.oneof(fc.constantFrom('\u001b[2J', '\u009b', '\u202e', '世', '🙂', '\n', '\r'), fc.string({ unit: 'binary' })),
  });
  fc.assert(
    fc.property(hostile, fc.integer({ min: 1, max: 120 }), (name, columns) => {
      const shape: Shape = { servers: 3, clients: 3, name: (kind, index) => `${name}${kind}${index}` };
      for (const view of VIEWS) {
        for (const line of frame(modelOf(shape, { view }), columns)) assert.match(line, new RegExp(`^[\\x20-\\x7e]{0,${columns}}$`));
      }
    }),
    { numRuns: 50 },
  );
});

test('colours say what is well, and take no room', () => {
  const model = modelOf({ servers: 4, clients: 2 });
  const plain = topFrame(model, ADDR, { columns: 80, rows: 24 }, noPaint);
  const painted = topFrame(model, ADDR, { columns: 80, rows: 24 }, colours);
  assert.ok(painted.join('').includes('\u001b[33m3/4 healthy\u001b[0m'));
  const bare = (line: string) => line.replace(/\p{Cc}\[\d+m/gu, '').trimEnd();
  assert.deepEqual(painted.map(bare), plain);
});
