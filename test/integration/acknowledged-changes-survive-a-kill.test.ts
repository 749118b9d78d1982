import assert from 'node:assert/strict';
import { test } from 'node:test';
import {
  AddClientRequest,
  type AdminServiceClient,
  ListClientsRequest,
  RemoveClientRequest,
  AdminServiceService as rpc,
} from '../../src/gen/lb/admin/v1/admin.ts';
import { ask } from '../support/admin-server.ts';
import { createTestCa } from '../support/certificates.ts';
import { startDaemon } from '../support/daemon.ts';
import { adminOf } from '../support/daemon-clients.ts';
import { temporaryFolder } from '../support/temp-dir.ts';

const ROUNDS = 12;
/** Sent without waiting for the answers, so that some are under way whenever the kill comes. */
const CHANGES_IN_A_ROUND = 40;

const add = (clientId: string) => AddClientRequest.fromPartial({ client: { clientId, allowedTargetGroups: ['web'] } });

async function clientIds(admin: AdminServiceClient): Promise<Set<string>> {
  const { clients } = await ask(admin, rpc.listClients, ListClientsRequest.create());
  return new Set(clients.map(({ client }) => client?.clientId ?? assert.fail('a client without its settings')));
}

test('what was acknowledged before a kill is there after it, round after round', async (t) => {
  const [folder, ca] = await Promise.all([temporaryFolder(t), createTestCa()]);
  const options = {
    folder,
    ca,
    config: { workers: 2, store: { kind: 'sqlite' }, targetGroups: [{ name: 'web', upstreamServers: [] }] },
  };
  const added = new Set<string>();
  const removed = new Set<string>();
  let revision = 0n;
  let interrupted = 0;
  for (let round = 0; round < ROUNDS; round++) {
    const daemon = await startDaemon(t, options);
    const admin = adminOf(t, daemon);
    const found = await clientIds(admin);
    for (const clientId of added) assert.ok(found.has(clientId), `${clientId} was acknowledged and is lost`);
    for (const clientId of removed) assert.ok(!found.has(clientId), `${clientId} is back`);

    const acknowledge = (answer: { readonly revision: bigint }) => {
      assert.ok(answer.revision > revision, `revision ${answer.revision} after ${revision}`);
      revision = answer.revision;
    };
    const killAfter = 1 + Math.floor(Math.random() * (CHANGES_IN_A_ROUND - 10));
    let answers = 0;
    const answered = (answer: { readonly revision: bigint }) => {
      acknowledge(answer);
      if (++answers === killAfter) daemon.signal('SIGKILL');
    };
    const changes = Array.from({ length: CHANGES_IN_A_ROUND }, async (_, index) => {
      const clientId = `client-${round}-${index}`;
      // Every fifth change takes one away that an earlier round added.
      const [victim] = index % 5 === 4 ? added : [];
      try {
        if (victim === undefined) {
          answered(await ask(admin, rpc.addClient, add(clientId)));
          added.add(clientId);
        } else {
          added.delete(victim);
          answered(await ask(admin, rpc.removeClient, RemoveClientRequest.fromPartial({ clientId: victim })));
          removed.add(victim);
        }
      } catch {
        interrupted++;
      }
    });
    await Promise.all(changes);
    assert.deepEqual(await daemon.exited, { code: null, signal: 'SIGKILL' });
  }
  assert.ok(interrupted > ROUNDS, `the kills interrupted ${interrupted} changes`);
});
