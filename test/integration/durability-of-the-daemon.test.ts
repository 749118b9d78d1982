import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { test } from 'node:test';
import * as proto from '../../src/gen/lb/admin/v1/admin.ts';
import { ask } from '../support/admin-server.ts';
import { createTestCa } from '../support/certificates.ts';
import { type ReadyDaemon, startDaemon } from '../support/daemon.ts';
import { adminOf } from '../support/daemon-clients.ts';
import { temporaryFolder } from '../support/temp-dir.ts';

const { AdminServiceService: rpc } = proto;
/** A round takes about two seconds: set DURABILITY_ROUNDS=200 for the long run. */
const ROUNDS = Number(process.env['DURABILITY_ROUNDS'] ?? 10);
/** Administrators that make changes at the same time, each one after the other. */
const AT_ONCE = 6;
const LONGEST_LIFE_MS = 400;

type Admin = proto.AdminServiceClient;

/** One change, which can be sent again under its request id. `settle` notes in `wanted` what it has made of the state. */
interface Change {
  send(admin: Admin): Promise<{ readonly revision: bigint }>;
  settle(wanted: Wanted): void;
}

/** What must be there: client id -> its limit, server -> its weight. */
interface Wanted {
  readonly clients: Map<string, number>;
  readonly servers: Map<string, number>;
}

test('kills at random moments of a stream of changes lose nothing that was acknowledged', {
  timeout: 60_000 + ROUNDS * 20_000,
}, async (t) => {
  const [folder, ca] = await Promise.all([temporaryFolder(t), createTestCa()]);
  const groups = Array.from({ length: AT_ONCE }, (_, index) => ({ name: `g${index}`, upstreamServers: [], healthCheck: { type: 'none' } }));
  const config = { workers: 1, logLevel: 'info', store: { kind: 'sqlite' }, targetGroups: groups };
  const wanted: Wanted = { clients: new Map(), servers: new Map() };
  let interrupted: Change[] = [];
  let newest = 0n;
  const counts = { acknowledged: 0, interrupted: 0 };
  for (let round = 0; round < ROUNDS; round++) {
    // What one round needs is given back at its end, however many there are.
    const cleanup: (() => unknown)[] = [];
    const scope = { after: (clean: () => unknown) => void cleanup.push(clean) };
    t.after(() => Promise.all(cleanup.map((clean) => clean())));
    const daemon = await startDaemon(scope, { folder, ca, config });
    const admin = adminOf(scope, daemon);
    // Whether these were made before the kill is not known. Each must be accepted now, once.
    for (const change of interrupted) {
      await change.send(admin);
      change.settle(wanted);
    }
    const { revision } = await assertState(admin, wanted, round);
    assert.ok(revision >= newest, `revision ${newest} was acknowledged, and it is ${revision} now`);

    const run = await changeUntilKilled(daemon, admin, wanted, revision);
    interrupted = run.interrupted;
    newest = run.newest;
    counts.acknowledged += run.acknowledged;
    counts.interrupted += interrupted.length;
    await Promise.all(cleanup.splice(0).map((clean) => clean()));
  }
  t.diagnostic(`${ROUNDS} kills, ${counts.acknowledged} changes acknowledged, ${counts.interrupted} interrupted`);
  assert.ok(counts.acknowledged > ROUNDS && counts.interrupted > ROUNDS / 2, JSON.stringify(counts));
});

async function assertState(admin: Admin, wanted: Wanted, round: number): Promise<{ readonly revision: bigint }> {
  const { clients, servers, revision } = await ask(admin, rpc.getState, proto.GetStateRequest.create());
  const limits = clients.map(({ client }) => [client?.clientId, client?.limits?.concurrentConnections] as const);
  assert.deepEqual(new Map(limits), wanted.clients, `the clients of round ${round}`);
  const weights = servers.map(({ targetGroup, server }) => [`${targetGroup} ${server?.address}`, server?.weight] as const);
  assert.deepEqual(new Map(weights), wanted.servers, `the servers of round ${round}`);
  return { revision };
}

/** Resolves with what was not answered, and the newest revision that was acknowledged. */
async function changeUntilKilled(daemon: ReadyDaemon, admin: Admin, wanted: Wanted, revision: bigint) {
  const interrupted: Change[] = [];
  let newest = revision;
  let acknowledged = 0;
  let killed = false;
  const administer = async (index: number) => {
    while (!killed) {
      const change = nextChange(`g${index}`, wanted);
      try {
        const made = await change.send(admin);
        if (made.revision > newest) newest = made.revision;
        acknowledged++;
        change.settle(wanted);
      } catch (error) {
        assert.ok(killed, `refused before the kill: ${error}`);
        interrupted.push(change);
      }
    }
  };
  setTimeout(() => {
    killed = true;
    daemon.signal('SIGKILL');
  }, Math.random() * LONGEST_LIFE_MS);
  await Promise.all(Array.from({ length: AT_ONCE }, (_, index) => administer(index)));
  assert.deepEqual(await daemon.gone, { code: null, signal: 'SIGKILL' });
  return { interrupted, newest, acknowledged };
}

/** A change to this group's servers or clients that fits what is there. */
function nextChange(targetGroup: string, { clients, servers }: Wanted): Change {
  const requestId = randomUUID();
  const value = 1 + Math.floor(Math.random() * 200);
  const pick = <T>(choices: readonly T[]) => choices[Math.floor(Math.random() * choices.length)];
  const mine = (names: Iterable<string>) =>
    [...names].filter((name) => name.startsWith(`${targetGroup} `) || name.startsWith(`${targetGroup}-`));
  const clientId = pick(mine(clients.keys()));
  const known = pick(mine(servers.keys()));
  const kind = Math.random();
  if (kind < 0.2 && clientId !== undefined) {
    const request = proto.RemoveClientRequest.fromPartial({ clientId, requestId });
    return { send: (admin) => ask(admin, rpc.removeClient, request), settle: (wanted) => void wanted.clients.delete(clientId) };
  }
  if (kind < 0.4 && clientId !== undefined) {
    const client = { clientId, limits: { concurrentConnections: value } };
    const request = proto.UpdateClientRequest.fromPartial({ client, updateMask: ['limits.concurrent_connections'], requestId });
    return { send: (admin) => ask(admin, rpc.updateClient, request), settle: (wanted) => void wanted.clients.set(clientId, value) };
  }
  if (kind < 0.6 && known !== undefined) {
    const request = proto.SetUpstreamServerRequest.fromPartial({
      targetGroup,
      server: known.slice(targetGroup.length + 1),
      weight: value,
      requestId,
    });
    return { send: (admin) => ask(admin, rpc.setUpstreamServer, request), settle: (wanted) => void wanted.servers.set(known, value) };
  }
  if (kind < 0.7) {
    const address = `10.${value}.${Math.floor(Math.random() * 250)}.${Math.floor(Math.random() * 250)}:80`;
    const request = proto.AddUpstreamServerRequest.fromPartial({ targetGroup, server: { address, weight: value }, requestId });
    const settle = (wanted: Wanted) => void wanted.servers.set(`${targetGroup} ${address}`, value);
    return { send: (admin) => ask(admin, rpc.addUpstreamServer, request), settle };
  }
  const added = `${targetGroup}-${requestId}`;
  const client = { clientId: added, allowedTargetGroups: [targetGroup], limits: { concurrentConnections: value } };
  const request = proto.AddClientRequest.fromPartial({ client, requestId });
  return { send: (admin) => ask(admin, rpc.addClient, request), settle: (wanted) => void wanted.clients.set(added, value) };
}
