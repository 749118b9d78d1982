import assert from 'node:assert/strict';
import { X509Certificate } from 'node:crypto';
import type { Socket } from 'node:net';
import { type TestContext, test } from 'node:test';
import { createSecureContext, TLSSocket } from 'node:tls';
import { plainFingerprint } from '../../src/domain/fingerprint.ts';
import {
  CloseConnectionsRequest,
  type Connection,
  type ConnectionFilter,
  WatchConnectionsResponse_Kind as Kind,
  ListConnectionsRequest,
  RemoveUpstreamServerRequest,
  AdminServiceService as rpc,
  Wait_Kind,
  WatchConnectionsRequest,
} from '../../src/gen/lb/admin/v1/admin.ts';
import { ask, watch } from '../support/admin-server.ts';
import { applyConfig, configWith } from '../support/apply-config.ts';
import { createTestCa } from '../support/certificates.ts';
import { startDaemon } from '../support/daemon.ts';
import { adminOf, connectTo, roundTrip } from '../support/daemon-clients.ts';
import { echoServer, startUpstream, type TestUpstream } from '../support/echo-servers.ts';
import { freePort } from '../support/free-port.ts';
import { lbctl, lbctlEnv } from '../support/lbctl.ts';
import { startBalancer, uncheckedGroup } from '../support/running-balancer.ts';

const ca = await createTestCa();
const CERTIFICATES = {
  alice: await ca.issue({ cn: 'alice' }),
  bob: await ca.issue({ cn: 'bob' }),
  carol: await ca.issue({ cn: 'carol' }),
};
const OWN = await ca.issueServer();
type Name = keyof typeof CERTIFICATES;

interface SilentServer extends TestUpstream {
  /** Completes the handshake of the first connection after all, and echoes. */
  answerFirst(): void;
  /** Resolves once the load balancer has given up all connections. */
  left(): Promise<void>;
}

/** It accepts, and says no word of TLS until it is told to. */
async function silentServer(t: TestContext): Promise<SilentServer> {
  const unanswered: Socket[] = [];
  const upstream = await startUpstream(t, (raw) => unanswered.push(raw.once('end', () => raw.destroy())));
  return Object.assign(upstream, {
    answerFirst: () => {
      const raw = unanswered.shift() ?? assert.fail('nobody is there');
      const secureContext = createSecureContext({ cert: OWN.certPem, key: OWN.keyPem });
      const secure = new TLSSocket(raw, { isServer: true, secureContext });
      secure.on('error', () => raw.destroy()).pipe(secure);
    },
    left: () => {
      // What was said before the end has to be read first.
      for (const raw of unanswered) raw.resume();
      return upstream.idle();
    },
  });
}

/** A group of servers that are dialled for as long as a test takes. */
function slowGroup(name: string, servers: readonly unknown[], changes: object = {}): object {
  return uncheckedGroup(name, servers, { connectTimeout: '10m', upstreamTls: { insecureSkipVerify: true }, ...changes });
}

for (const workers of [1, 2]) {
  test(`connections that are being connected are listed, counted, told of and closed: ${workers} workers`, async (t) => {
    const silent = await silentServer(t);
    const groups = [slowGroup('slow', [silent.address]), uncheckedGroup('free', [(await echoServer(t)).address])];
    const clients = [
      { clientId: 'alice', allowedTargetGroup: 'slow' },
      { clientId: 'bob', allowedTargetGroup: 'slow' },
      { clientId: 'carol', allowedTargetGroup: 'free' },
    ];
    const daemon = await startDaemon(t, { ca, config: { workers, targetGroups: groups, clients } });
    const admin = adminOf(t, daemon);
    const come = (as: Name) => connectTo(t, daemon, CERTIFICATES[as]);
    const list = async (filter: Partial<ConnectionFilter> = {}): Promise<readonly Connection[]> =>
      (await ask(admin, rpc.listConnections, ListConnectionsRequest.fromPartial({ filter }))).connections;
    const close = (filter: Partial<ConnectionFilter>) => ask(admin, rpc.closeConnections, CloseConnectionsRequest.fromPartial({ filter }));
    const run = async (...args: readonly string[]) => {
      const { stdout, stderr } = await lbctl(args, { env: lbctlEnv(daemon.admin, daemon.caCert, daemon.operator) });
      return stdout + stderr;
    };

    const alices = [come('alice'), come('alice'), come('alice'), come('alice'), come('alice')];
    const [bob, carol] = [come('bob'), come('carol')];
    await roundTrip(carol, 'hello');
    await silent.acceptedAtLeast(6);
    const listed = await list({ clientId: 'alice' });
    assert.deepEqual(
      listed.map(({ waiting, openedAt, server, targetGroup, identity }) => [waiting?.kind, openedAt, server, targetGroup, identity]),
      alices.map(() => [Wait_Kind.CONNECTING, undefined, silent.address, 'slow', 'alice']),
    );
    const since = listed.map(({ waiting }) => waiting?.since?.getTime() ?? assert.fail());
    assert.deepEqual(since, since.toSorted(), 'oldest first');
    assert.equal((await list({ server: silent.address })).length, 6);
    const table = await run('list-connections', '--client', 'alice');
    assert.equal(table.split('\n').filter((line) => line.includes(`connecting to ${silent.address}`)).length, 5, table);

    const stream = watch(admin, rpc.watchConnections, WatchConnectionsRequest.fromPartial({ filter: { clientId: 'alice' } }));
    for (const _ of alices) assert.partialDeepStrictEqual(await stream.next(), { kind: Kind.WAITING });
    assert.equal((await stream.next()).kind, Kind.SYNCED);
    const connectionId = listed[1]?.id ?? '';
    assert.deepEqual(await close({ connectionId }), { connectionsClosed: 1n, waitingRefused: 1n });
    const told = await stream.next();
    assert.deepEqual([told.kind, told.reason, told.connection?.id], [Kind.REFUSED, 'refused_by_admin', connectionId]);
    const line = await daemon.waitForLog(({ id }) => id === connectionId);
    const detail = `an administrator closed it while ${silent.address} was dialled`;
    assert.partialDeepStrictEqual(line, { msg: 'connection refused', reason: 'refused_by_admin', client: 'alice', detail });

    await assert.rejects(close({ server: '127.0.0.1:1', clientId: 'alice' }), 'a server that there is not');
    assert.equal(await run('close-connections', '--client', 'alice'), '4 connections closed (4 waited)\n');
    for (const client of alices) assert.equal((await client.ending).how, 'reset');
    assert.deepEqual(await list({ clientId: 'alice' }), []);
    assert.equal((await list({ clientId: 'bob' })).length, 1);

    const removal = watch(
      admin,
      rpc.removeUpstreamServer,
      RemoveUpstreamServerRequest.fromPartial({
        targetGroup: 'slow',
        server: silent.address,
        deadline: { nanos: 1 },
        resetAtDeadline: true,
      }),
    );
    let progress = await removal.next();
    while (!progress.done) progress = await removal.next();
    assert.deepEqual([progress.connectionsLeft, progress.connectionsReset], [1n, 0n], 'it may get another server');
    assert.deepEqual(await close({ server: silent.address }), { connectionsClosed: 1n, waitingRefused: 1n });
    assert.equal((await bob.ending).how, 'reset');
    await silent.left();
    await roundTrip(carol, 'still here');
    assert.deepEqual(
      (await list()).map(({ clientId }) => clientId),
      ['carol'],
    );
  });
}

interface SceneOptions {
  /** Addresses of servers that are named before the silent one. */
  readonly before?: readonly string[];
  /** Of the silent server. */
  readonly settings?: object;
  /** Of its group. */
  readonly changes?: object;
}

/** The balancer in this process with two workers, in which every client gets a server that is silent. */
async function scene(t: TestContext, { before = [], settings = {}, changes = {} }: SceneOptions = {}) {
  const silent = await silentServer(t);
  const servers = [...before, { address: silent.address, ...settings }];
  const balancer = await startBalancer(t, {
    ca,
    crl: await ca.crl([]),
    config: {
      targetGroups: [slowGroup('slow', servers, changes), uncheckedGroup('other', ['127.0.0.1:1'])],
      clients: Object.keys(CERTIFICATES).map((clientId) => ({ clientId, allowedTargetGroup: 'slow' })),
    },
  });
  const come = (name: Name) => balancer.connect(t, { certificate: CERTIFICATES[name] });
  const list = async () => (await balancer.lb.listConnections({}, [], 100)).connections;
  return { balancer, silent, come, list };
}

type Scene = Awaited<ReturnType<typeof scene>>;

interface Withdrawal {
  readonly what: string;
  /** Takes something from alice, and says how many connections that has ended. */
  readonly apply: (scene: Scene) => Promise<number>;
  readonly reason: string;
}

const WITHDRAWALS: readonly Withdrawal[] = [
  {
    what: 'the client',
    apply: async ({ balancer: { lb } }) => (await lb.removeClient('alice')).connectionsClosed,
    reason: 'unknown_client',
  },
  {
    what: 'the permission',
    apply: async ({ balancer: { lb } }) => {
      await lb.authority.execute(
        {
          kind: 'updateClient',
          client: { ...(lb.snapshot.clients.get('alice') ?? assert.fail()), allowedTargetGroups: ['other'] },
        },
        { actor: 'test' },
      );
      return (await lb.enforce('drain', 600_000)).waiting;
    },
    reason: 'not_authorized',
  },
  {
    what: 'the certificate, at run time',
    apply: async ({ balancer: { lb } }) => {
      const fingerprint = plainFingerprint(new X509Certificate(CERTIFICATES.alice.certPem).fingerprint256);
      await lb.authority.execute({ kind: 'revokeCertificate', revocation: { fingerprint, comment: 'lost', atMs: 0 } }, { actor: 'test' });
      return (await lb.enforce('reset')).waiting;
    },
    reason: 'certificate_revoked',
  },
  {
    what: 'the certificate, by a list',
    apply: async ({ balancer }) => balancer.reloadWith(await ca.crl([CERTIFICATES.alice])),
    reason: 'certificate_revoked',
  },
];

for (const { what, apply, reason } of WITHDRAWALS) {
  test(`connections that are being connected end at once when what let them in is withdrawn: ${what}`, async (t) => {
    const at = await scene(t);
    const { balancer, silent, come, list } = at;
    come('bob');
    await silent.acceptedAtLeast(1);
    const alices = [come('alice'), come('alice'), come('alice')];
    await silent.acceptedAtLeast(4);
    assert.equal(await apply(at), 3);
    for (const client of alices) assert.equal((await client.ending).how, 'reset');
    for (const line of await balancer.nextLines(3)) assert.partialDeepStrictEqual(line, { reason, client: 'alice' });
    const [bob, ...others] = await list();
    assert.deepEqual([bob?.clientId, others], ['bob', []]);
    assert.equal((await balancer.lb.enforce('reset')).waiting, 0, 'nobody is counted twice');

    const reader = balancer.lb.watchConnections({ selector: {}, reason: undefined });
    const opened = new Promise((resolve) => {
      const look = () => {
        for (let item = reader.next(); item !== undefined; item = reader.next()) {
          if (item.kind === 'synced') silent.answerFirst();
          if (item.kind === 'opened') resolve(item.connection.id);
        }
      };
      reader.onNews(look);
      look();
    });
    assert.equal(await opened, bob?.id, 'it is served under the id that it was listed with');
    reader.close();
    assert.deepEqual(await balancer.lb.closeConnections({ id: bob?.id ?? '' }, 'killed_by_admin'), { served: 1, waiting: 0 });
    assert.equal((await balancer.nextLine()).reason, 'killed_by_admin');
    assert.equal(balancer.lb.stats.server('slow', silent.address).failed, 0, 'no failure of the server');
    await silent.left();
    balancer.assertIdle();
  });
}

test('the server of a connection that is being connected is the one that is dialled now, and its loss is no refusal', async (t) => {
  const refusing = `127.0.0.1:${await freePort()}`;
  const { balancer, silent, come, list } = await scene(t, { before: [refusing], changes: { algorithm: 'roundRobin' } });
  const { lb } = balancer;
  const clients = [come('alice'), come('alice'), come('alice'), come('alice')];
  await silent.acceptedAtLeast(4);
  assert.ok(lb.stats.server('slow', refusing).failed > 0, 'some came by the other one');
  assert.deepEqual(
    (await list()).map(({ server }) => server),
    clients.map(() => silent.address),
  );
  assert.deepEqual(await lb.closeConnections({ group: 'slow', server: silent.address }, 'upstream_unhealthy'), { served: 0, waiting: 0 });
  assert.deepEqual(await lb.closeConnections({ server: refusing }, 'killed_by_admin'), { served: 0, waiting: 0 });
  assert.deepEqual(await lb.closeConnections({ group: 'slow', server: silent.address }, 'killed_by_admin'), { served: 0, waiting: 4 });
  for (const { reason } of await balancer.nextLines(4)) assert.equal(reason, 'refused_by_admin');
  await silent.left();
  balancer.assertIdle();
});

test('closing who is being connected and who waits for a server lets nobody take the place that is left', async (t) => {
  const queue = { maxLength: 50, timeout: '10m' };
  const { balancer, silent, come } = await scene(t, { settings: { maxConnections: 1 }, changes: { queue } });
  // Several times: only when the worker of the one that is connected is the faster one could it leave its place too early.
  for (let round = 1; round <= 12; round++) {
    const clients = [come('alice')];
    await silent.acceptedAtLeast(round);
    for (let count = 0; count < 10; count++) clients.push(come('alice'));
    await balancer.until(({ stats }) => stats.waiting('slow') === 10);
    assert.deepEqual(await balancer.lb.closeConnections({ clientId: 'alice' }, 'killed_by_admin'), { served: 0, waiting: 11 });
    for (const client of clients) assert.equal((await client.ending).how, 'reset');
    for (const { reason } of await balancer.nextLines(11)) assert.equal(reason, 'refused_by_admin');
    assert.equal(silent.accepted, round, 'connections that reached the server');
  }
  balancer.assertIdle();
});

test('plan counts connections that are being connected as apply does', async (t) => {
  const silent = await silentServer(t);
  const clients = [
    { clientId: 'alice', allowedTargetGroup: 'slow' },
    { clientId: 'bob', allowedTargetGroup: 'slow' },
  ];
  const daemon = await startDaemon(t, { ca, config: { targetGroups: [slowGroup('slow', [silent.address])], clients } });
  const admin = adminOf(t, daemon);
  const alice = connectTo(t, daemon, CERTIFICATES.alice);
  connectTo(t, daemon, CERTIFICATES.bob);
  await silent.acceptedAtLeast(2);
  const without = configWith(daemon, { clients: clients.slice(1) });
  const { blastRadius } = await ask(admin, rpc.planConfig, { config: without });
  assert.partialDeepStrictEqual(blastRadius, { connectionsDraining: 0n, connectionsClosing: 1n, waitingRefused: 1n });
  assert.partialDeepStrictEqual(await applyConfig(admin, without), { connectionsClosed: 1n, waitingRefused: 1n });
  assert.equal((await alice.ending).how, 'reset');
});
