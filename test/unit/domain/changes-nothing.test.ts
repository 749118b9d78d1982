import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { changesNothing } from '../../../src/domain/changes-nothing.ts';
import { EMPTY_SNAPSHOT, type Snapshot } from '../../../src/domain/model.ts';
import { planOf } from '../../../src/domain/plan.ts';
import type { Command } from '../../../src/domain/state.ts';
import { sampleClient, sampleGroup, sampleListener, sampleServer } from '../../support/sample-state.ts';

const client = sampleClient('ann', ['web']);
const server = sampleServer('10.0.0.1:80');
const web = sampleGroup('web', [], { servers: [server, sampleServer('10.0.0.2:80')] });
const revocation = { fingerprint: 'ab'.repeat(32), comment: '', atMs: 1 };
const state: Snapshot = {
  ...EMPTY_SNAPSHOT,
  targetGroups: new Map([['web', web]]),
  clients: new Map([['ann', client]]),
  revocations: new Map([[revocation.fingerprint, revocation]]),
};

describe('nothing is changed by', () => {
  for (const [name, command] of [
    ['a group as it is, whatever servers are given', { kind: 'updateTargetGroup', group: { ...web, servers: [] } }],
    ['a server as it is', { kind: 'setUpstreamServer', group: 'web', server: { ...server } }],
    ['a client as it is', { kind: 'updateClient', client: { ...client, allowedTargetGroups: ['web'] } }],
    ['another revocation of what is revoked', { kind: 'revokeCertificate', revocation: { ...revocation, comment: 'again', atMs: 2 } }],
  ] as const satisfies readonly (readonly [string, Command])[]) {
    test(name, () => assert.equal(changesNothing(state, command), true));
  }

  test('the plan of a state for itself', () => assert.equal(changesNothing(state, planOf(state, wanted()).command), true));
});

describe('something is changed by', () => {
  for (const [name, command] of [
    ['a field of a group', { kind: 'updateTargetGroup', group: { ...web, retries: web.retries + 1 } }],
    ['a field of a server', { kind: 'setUpstreamServer', group: 'web', server: { ...server, weight: 9 } }],
    ['a field of a client', { kind: 'updateClient', client: { ...client, match: { ...client.match, ou: 'x' } } }],
    ['a limit in shadow', { kind: 'updateClient', client: { ...client, limits: { ...client.limits, shadow: true } } }],
    ['a group that is not there', { kind: 'updateTargetGroup', group: sampleGroup('db') }],
    ['a server that is not there', { kind: 'setUpstreamServer', group: 'web', server: sampleServer('10.0.0.9:80') }],
    ['a client that is not there', { kind: 'updateClient', client: sampleClient('bob', ['web']) }],
    ['a new revocation', { kind: 'revokeCertificate', revocation: { ...revocation, fingerprint: 'cd'.repeat(32) } }],
    ['a removal', { kind: 'removeClient', clientId: 'ann' }],
    ['a plan with a listener', planOf(state, { ...wanted(), listeners: [sampleListener('more')] }).command],
    ['a plan without the client', planOf(state, { ...wanted(), clients: [] }).command],
  ] as const satisfies readonly (readonly [string, Command])[]) {
    test(name, () => assert.equal(changesNothing(state, command), false));
  }
});

function wanted() {
  return { targetGroups: [...state.targetGroups.values()], clients: [...state.clients.values()], revocations: [] };
}
