import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { Slots } from '../../../src/controlplane/slots.ts';
import { Stats } from '../../../src/controlplane/stats.ts';
import { SILENT_AGENT } from '../../../src/domain/agent-report.ts';
import { NO_LIMITS } from '../../../src/domain/defaults.ts';
import { type ConnectionRate, EMPTY_SNAPSHOT, serverKey } from '../../../src/domain/model.ts';
import { joinLine } from '../../../src/domain/ratelimit/byte-line.ts';
import { apply, type Command } from '../../../src/domain/state.ts';
import { monotonicMs } from '../../../src/shared/clock.ts';
import { ByteLines } from '../../../src/shared/memory/byte-lines.ts';
import { LaneWriter } from '../../../src/shared/memory/lane-writer.ts';
import { createSharedBuffers } from '../../../src/shared/memory/layout.ts';
import { SharedLedger } from '../../../src/shared/memory/ledger.ts';
import { sampleClient, sampleGroup, sampleListener, sampleServer } from '../../support/sample-state.ts';

const RATE: ConnectionRate = { algorithm: 'fixedWindow', limit: 10, windowMs: 1000, burst: 10, action: 'reset', maxDelayMs: 0 };

const anyState = fc
  .record({
    groups: fc.uniqueArray(fc.tuple(fc.constantFrom('a', 'b', 'c'), fc.uniqueArray(fc.constantFrom('h:1', 'h:2', 'h:3'))), {
      selector: ([name]) => name,
      minLength: 1,
    }),
    clients: fc.uniqueArray(fc.tuple(fc.constantFrom('x', 'y', 'z'), fc.boolean()), { selector: ([id]) => id }),
  })
  .map(({ groups, clients }) => ({
    targetGroups: groups.map(([name, addresses]) => sampleGroup(name, addresses)),
    clients: clients.map(([id, isLimited]) =>
      sampleClient(id, [groups[0]?.[0] ?? ''], {
        limits: { ...NO_LIMITS, connectionRate: isLimited ? RATE : undefined },
      }),
    ),
  }));

test('after any changes each server, group and client has a row of its own, and each limited client its cells', () => {
  fc.assert(
    fc.property(fc.array(anyState, { minLength: 1, maxLength: 6 }), (states) => {
      const slots = new Slots(new SharedLedger(createSharedBuffers(1)));
      let snapshot = EMPTY_SNAPSHOT;
      let known = slots.all();
      for (const state of states) {
        snapshot = apply(snapshot, { kind: 'replaceAll', listeners: [], revocations: [], ...state });
        const added = slots.follow(snapshot);
        const all = slots.all();
        const keys = state.targetGroups.flatMap(({ name, servers }) => servers.map(({ address }) => serverKey(name, address)));
        assert.deepEqual(new Set(all.servers.keys()), new Set(keys));
        assert.deepEqual(new Set(all.groups.keys()), new Set(snapshot.targetGroups.keys()));
        assert.deepEqual(new Set(all.clients.keys()), new Set(snapshot.clients.keys()));
        for (const rows of [all.servers, all.groups, all.clients]) assert.equal(new Set(rows.values()).size, rows.size);
        const limited = state.clients.filter(({ limits }) => limits.connectionRate !== undefined);
        assert.deepEqual(new Set(all.limiters.keys()), new Set(limited.map(({ clientId }) => clientId)));
        for (const [key, slot] of all.servers) assert.equal(added.servers.get(key) ?? known.servers.get(key), slot);
        for (const [key, cells] of all.limiters) assert.equal(added.limiters.get(key) ?? known.limiters.get(key), cells);
        known = all;
      }
    }),
    { numRuns: 60 },
  );
});

test('a server that is added again has its old connections, and nothing else of what it had', () => {
  const buffers = createSharedBuffers(2);
  const ledger = new SharedLedger(buffers);
  const [one, other] = [new LaneWriter(buffers, 0), new LaneWriter(buffers, 1)];
  const slots = new Slots(ledger);
  const stats = new Stats(ledger, slots);
  const slotOf = (address: string) => slots.serverSlot('web', address) ?? assert.fail(`${address} has no row`);
  let snapshot = EMPTY_SNAPSHOT;
  const change = (command: Command) => {
    snapshot = apply(snapshot, command);
    slots.follow(snapshot);
  };
  change({ kind: 'addTargetGroup', group: sampleGroup('web', ['h:1', 'h:2']) });
  const slot = slotOf('h:1');
  for (const worker of [one, one, other]) {
    assert.ok(worker.reserveServer(slot, worker.serverActive(slot)));
    worker.countConnected(slot);
    worker.countFailed(slot);
    worker.countBytesUp(0, slot, 10);
    worker.observeLatency(slot, 5, 1000);
    worker.outliers.countFailure(slot);
  }
  ledger.setHealth(slot, 'healthy', 1000);
  ledger.setAgent(slot, { percent: 50, maxConnections: 1, standing: 'up' });
  ledger.setEjected(slot, 5000);

  change({ kind: 'removeUpstreamServer', group: 'web', address: 'h:1' });
  one.releaseServer(slot);
  change({ kind: 'addUpstreamServer', group: 'web', server: sampleServer('h:3') });
  assert.deepEqual(stats.server('web', 'h:3').active, 0);
  change({ kind: 'addUpstreamServer', group: 'web', server: sampleServer('h:1') });
  assert.deepEqual(stats.server('web', 'h:1'), { active: 2, connected: 0, failed: 0, bytesToUpstream: 0, bytesFromUpstream: 0 });
  assert.equal(ledger.health(slotOf('h:1')), 'unknown');
  assert.deepEqual(stats.balance('web', 'h:1', 1000), {
    connectMs: undefined,
    agent: SILENT_AGENT,
    slowStartShare: 1,
    isEjected: false,
    ejections: 0,
  });
  assert.equal(ledger.outliers.failures(slotOf('h:1')), 0);

  other.countBytesUp(0, slot, 7);
  one.countConnected(slot);
  one.releaseServer(slot);
  const counted = stats.server('web', 'h:1');
  assert.deepEqual([counted.active, counted.connected, counted.bytesToUpstream], [1, 1, 7]);
  ledger.releaseLane(1);
  assert.equal(stats.activeOn('web', 'h:1'), 0, 'what a dead worker held is given back');
});

test('a client that is added again has its old connections and the bytes that they are owed, and nothing else', () => {
  const buffers = createSharedBuffers(1);
  const ledger = new SharedLedger(buffers);
  const worker = new LaneWriter(buffers, 0);
  const slots = new Slots(ledger);
  const stats = new Stats(ledger, slots);
  const limits = { ...NO_LIMITS, concurrentConnections: 2, bandwidth: { uploadBytesPerSecond: 2000, downloadBytesPerSecond: undefined } };
  const client = sampleClient('x', ['web'], { limits });
  let snapshot = EMPTY_SNAPSHOT;
  const change = (command: Command) => {
    snapshot = apply(snapshot, command);
    slots.follow(snapshot);
  };
  change({ kind: 'addTargetGroup', group: sampleGroup('web', ['h:1']) });
  change({ kind: 'addClient', client });
  const slot = slots.clientSlot('x') ?? assert.fail();
  for (const _held of [1, 2]) {
    assert.ok(worker.reserveClient(slot, 2));
    worker.countAccepted(slot);
  }
  worker.countRefused(slot, 'rate_limited');
  worker.countShadow(slot, 'delayed');
  worker.countHeld(slot, 'upload', 4000);
  const line = new ByteLines(buffers.byteLines).line(0, slot, 'upload');
  const rule = { revision: snapshot.revision, bytesPerSecond: 2000 };
  line.withLock((cells) => joinLine(cells, rule, 1_000_000, monotonicMs()));

  change({ kind: 'removeClient', clientId: 'x' });
  change({ kind: 'addClient', client: sampleClient('y', ['web'], { limits }) });
  change({ kind: 'addClient', client });
  const nothing = { accepted: 0, bytesFromClient: 0, bytesToClient: 0, refused: new Map(), delayed: 0, queued: 0, shadow: new Map() };
  assert.deepEqual(stats.client('x'), { active: 2, ...nothing, paced: { upload: 0, download: 0 } });
  assert.equal(stats.headroom(client).connections, 0);
  assert.equal(stats.headroom(client).upload, 0);
  assert.equal(worker.reserveClient(slots.clientSlot('x') ?? assert.fail(), 2), false);
  assert.equal(stats.client('y').active, 0);
  worker.releaseClient(slot);
  assert.equal(stats.client('x').active, 1);
});

test('a listener that is added again has its old connections, and nothing else of what it had', () => {
  const buffers = createSharedBuffers(2);
  const ledger = new SharedLedger(buffers);
  const [one, other] = [new LaneWriter(buffers, 0).listeners, new LaneWriter(buffers, 1).listeners];
  const slots = new Slots(ledger);
  const stats = new Stats(ledger, slots);
  let snapshot = EMPTY_SNAPSHOT;
  const listen = (...names: readonly string[]) => {
    snapshot = apply(snapshot, { kind: 'setListeners', listeners: names.map((name) => sampleListener(name)) });
    slots.follow(snapshot);
  };
  listen('a', 'b');
  const slot = slots.listenerSlot('a');
  for (const worker of [one, one, other]) worker.countAccepted(slot);
  for (const worker of [one, other]) worker.countRefused(slot);
  one.countRefused(slots.listenerSlot('gone'));
  assert.deepEqual(stats.listener('a'), { active: 3, accepted: 3, refused: 2 });
  assert.deepEqual(stats.listener('b'), { active: 0, accepted: 0, refused: 0 });

  listen('b');
  one.countEnded(slot);
  assert.deepEqual(stats.listener('a'), { active: 0, accepted: 0, refused: 0 });
  listen('b', 'c', 'a');
  assert.deepEqual(stats.listener('a'), { active: 2, accepted: 0, refused: 0 });
  other.countAccepted(slots.listenerSlot('a'));
  assert.deepEqual(stats.listener('a'), { active: 3, accepted: 1, refused: 0 });
  ledger.releaseLane(1);
  assert.deepEqual(stats.listener('a'), { active: 1, accepted: 1, refused: 0 }, 'what a dead worker served is over');
  assert.equal(stats.listener('c').active, 0);
});
