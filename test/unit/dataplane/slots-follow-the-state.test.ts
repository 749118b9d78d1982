import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Slots } from '../../../src/controlplane/slots.ts';
import { mergeSlots } from '../../../src/dataplane/view.ts';
import { NO_LIMITS } from '../../../src/domain/defaults.ts';
import { EMPTY_SNAPSHOT } from '../../../src/domain/model.ts';
import { apply, type Command } from '../../../src/domain/state.ts';
import { createSharedBuffers } from '../../../src/shared/memory/layout.ts';
import { SharedLedger } from '../../../src/shared/memory/ledger.ts';
import { changeThatMakes } from '../../support/change-stream.ts';
import { sampleClient, sampleGroup, sampleListener } from '../../support/sample-state.ts';

test('a worker that merges the assignments of each change has those that the main thread has', () => {
  const slots = new Slots(new SharedLedger(createSharedBuffers(1)));
  let snapshot = EMPTY_SNAPSHOT;
  let worker = slots.all();
  const change = (command: Command) => {
    const next = apply(snapshot, command);
    const before = { servers: [...worker.servers], clients: [...worker.clients], groups: [...worker.groups] };
    const merged = mergeSlots(worker, slots.follow(next), snapshot, next);
    assert.deepEqual(merged, slots.all(), `after ${command.kind}`);
    // An older view may still be in use by a connection.
    assert.deepEqual({ servers: [...worker.servers], clients: [...worker.clients], groups: [...worker.groups] }, before);
    [snapshot, worker] = [next, merged];
  };
  for (let revision = 1; revision <= 80; revision++) change(changeThatMakes(revision));
  change({ kind: 'setListeners', listeners: ['a', 'b'].map((name) => sampleListener(name)) });
  change({ kind: 'setListeners', listeners: ['b', 'c'].map((name) => sampleListener(name)) });
  assert.deepEqual([...worker.listeners.keys()].sort(), ['b', 'c']);
  const connectionRate = { algorithm: 'fixedWindow', limit: 5, windowMs: 1000, burst: 5, action: 'reset', maxDelayMs: 0 } as const;
  const limited = sampleClient('limited', ['group-9'], { limits: { ...NO_LIMITS, connectionRate } });
  change({ kind: 'addClient', client: limited });
  assert.ok(worker.limiters.has('limited'));
  change({ kind: 'updateClient', client: sampleClient('limited', ['group-9']) });
  assert.ok(!worker.limiters.has('limited'));
  change({ kind: 'updateClient', client: limited });
  assert.ok(worker.limiters.has('limited'));
  change({ kind: 'removeClient', clientId: 'limited' });
  const targetGroups = [sampleGroup('group-9', ['10.0.0.1:8009', '10.9.9.9:1']), sampleGroup('other', ['10.0.0.1:1'])];
  change({ kind: 'replaceAll', listeners: [], targetGroups, clients: [limited], revocations: [] });
  assert.deepEqual([...worker.groups.keys()].sort(), ['group-9', 'other']);
});
