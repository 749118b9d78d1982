import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { Slots } from '../../../src/controlplane/slots.ts';
import { NO_LIMITS } from '../../../src/domain/defaults.ts';
import { type ConnectionRate, EMPTY_SNAPSHOT, serverKey } from '../../../src/domain/model.ts';
import { apply } from '../../../src/domain/state.ts';
import { createSharedBuffers } from '../../../src/shared/memory/layout.ts';
import { SharedLedger } from '../../../src/shared/memory/ledger.ts';
import { sampleClient, sampleGroup } from '../../support/sample-state.ts';

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
