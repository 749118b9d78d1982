import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ClientIndex, type Identity } from '../../../src/domain/identity.ts';
import type { Client } from '../../../src/domain/model.ts';
import { sampleClient } from '../../support/sample-state.ts';

const named = (commonName: string): Identity => ({
  commonName,
  dnsNames: [],
  uriNames: [],
  organizationalUnits: [],
  fingerprint: 'ab'.repeat(32),
  twins: [],
});

/** Enough that what changed does not fit beside what was there, and is gathered with it, several times. */
const CLIENTS = 2500;

test('an index of many clients follows each of them in, through a change and out, and leaves those before as they were', () => {
  const states: { readonly clients: ReadonlyMap<string, Client>; readonly index: ClientIndex; readonly changed: string }[] = [];
  let clients: ReadonlyMap<string, Client> = new Map(
    Array.from({ length: CLIENTS }, (_, n) => [`old-${n}`, sampleClient(`old-${n}`, ['web'])]),
  );
  let index = new ClientIndex(clients.values());
  const change = (changed: string, edit: (next: Map<string, Client>) => void) => {
    const after = new Map(clients);
    edit(after);
    index = index.following(clients, after);
    clients = after;
    states.push({ clients, index, changed });
  };
  for (let n = 0; n < CLIENTS; n += 5) {
    change(`old-${n}`, (next) => next.delete(`old-${n}`));
    change(`old-${n + 1}`, (next) => next.set(`old-${n + 1}`, sampleClient(`old-${n + 1}`, ['db'])));
    change(`new-${n}`, (next) => next.set(`new-${n}`, sampleClient(`new-${n}`, ['web'])));
  }
  for (const [at, state] of states.entries()) {
    const nearby = [state.changed, states[at - 1]?.changed, states[at + 1]?.changed, `old-${at}`];
    for (const name of nearby) {
      if (name !== undefined)
        assert.equal(state.index.find(named(name)), state.clients.get(name) ?? 'unknown', `${name} after ${state.changed}`);
    }
  }
  for (const client of clients.values()) assert.equal(index.find(named(client.clientId)), client);
});
