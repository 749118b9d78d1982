import assert from 'node:assert/strict';
import path from 'node:path';
import { type TestContext, test } from 'node:test';
import {
  ConfigError,
  createLoadBalancer,
  DomainError,
  type HealthEvent,
  ListenError,
  type LoadBalancer,
  type LoadBalancerOptions,
  TlsFileError,
} from '../../src/index.ts';
import { createTestCa } from '../support/certificates.ts';
import { echoServer } from '../support/echo-servers.ts';
import { collectLog } from '../support/log-lines.ts';
import { temporaryFolder } from '../support/temp-dir.ts';
import { tlsClient } from '../support/tls-client.ts';

const ca = await createTestCa();
const [clientA, clientB] = await Promise.all([ca.issue({ cn: 'clientA' }), ca.issue({ cn: 'clientB' })]);

async function tlsParamsIn(folder: string) {
  const { caCert, loadbalancer } = await ca.writeTo(folder, { loadbalancer: await ca.issueServer() });
  return { ...loadbalancer, caCert };
}

/** One group, `web`, that clientA may reach. */
async function startLibrary(t: TestContext, upstreamServers: string[], options?: LoadBalancerOptions): Promise<LoadBalancer> {
  const config = {
    listenAddress: '127.0.0.1:0',
    workers: 2,
    tlsParams: await tlsParamsIn(await temporaryFolder(t)),
    targetGroups: [{ name: 'web', upstreamServers }],
    clients: [{ clientId: 'clientA', allowedTargetGroup: 'web' }],
  };
  const lb = await createLoadBalancer(config, options);
  t.after(() => lb.stop(0));
  return lb;
}

function connect(t: TestContext, lb: LoadBalancer, certificate = clientA) {
  return tlsClient(t, { port: portOf(lb), ca: ca.caPem, certificate });
}

/** The start, and the addition of a server, wait for the first probe for a second only. */
async function untilHealthy(lb: LoadBalancer, address: string): Promise<void> {
  if (lb.serverHealth().some(({ server, health }) => server === address && health === 'healthy')) return;
  await new Promise<void>((resolve) => {
    lb.journal.subscribe(({ server, to }) => {
      if (server === address && to === 'healthy') resolve();
    });
  });
}

function portOf(lb: LoadBalancer): number {
  return Number(lb.listeners()[0]?.address.split(':').at(-1));
}

async function roundTrip(client: ReturnType<typeof connect>, text: string): Promise<void> {
  client.socket.write(text);
  await client.readUntil(text);
}

test('it serves a configuration given as an object, and keeps nothing on disk', async (t) => {
  const echo = await echoServer(t);
  const lb = await startLibrary(t, [echo.address]);
  await untilHealthy(lb, echo.address);
  await roundTrip(connect(t, lb), 'hello');
  assert.deepEqual(lb.config.store, { kind: 'memory' });
  assert.equal(lb.stats.totals().accepted, 1);
  assert.equal(lb.stats.client('clientA').active, 1);
  assert.deepEqual(
    lb.serverHealth().map(({ group, server, health }) => ({ group, server, health })),
    [{ group: 'web', server: echo.address, health: 'healthy' }],
  );
});

test('its log goes to the logger that it is given, such as a child of one', async (t) => {
  const [echo, { log, waitFor }] = [await echoServer(t), collectLog()];
  await startLibrary(t, [echo.address], { log: log.child({ part: 'balancer' }) });
  const told = await waitFor(({ server }) => server === echo.address);
  assert.deepEqual([told['part'], told['msg']], ['balancer', 'upstream server is healthy']);
});

test('servers and clients come and go while it runs', async (t) => {
  const [first, second] = await Promise.all([echoServer(t), echoServer(t)]);
  const lb = await startLibrary(t, [first.address]);
  await untilHealthy(lb, first.address);
  const events: HealthEvent[] = [];
  const unsubscribe = lb.journal.subscribe((event) => events.push(event));

  await lb.addUpstreamServer('web', second.address, { weight: 2 });
  await untilHealthy(lb, second.address);
  await lb.removeUpstreamServer('web', first.address);
  await roundTrip(connect(t, lb), 'hello');
  assert.deepEqual([lb.stats.server('web', second.address).active, lb.stats.server('web', first.address).active], [1, 0]);
  assert.deepEqual(
    events.map(({ kind, server, to }) => ({ kind, server, to })),
    [
      { kind: 'changed', server: second.address, to: 'healthy' },
      { kind: 'removed', server: first.address, to: 'unknown' },
    ],
  );
  unsubscribe();

  const { revision } = await lb.addClient({ clientId: 'clientB', allowedTargetGroup: 'web', requests_per_second: 50 });
  assert.equal(lb.snapshot.revision, revision);
  assert.equal(lb.snapshot.clients.get('clientB')?.limits.connectionRate?.limit, 50);
  const live = connect(t, lb, clientB);
  await roundTrip(live, 'hello');
  assert.equal((await lb.removeClient('clientB')).connectionsClosed, 1);
  assert.deepEqual(await live.ending, { how: 'reset' });
  await assert.rejects(lb.removeClient('clientB'), DomainError);
});

test('what cannot be is refused in a word', async (t) => {
  const echo = await echoServer(t);
  const lb = await startLibrary(t, [echo.address]);
  await assert.rejects(lb.addUpstreamServer('db', echo.address), /there is no target group "db"; there are: web/);
  await assert.rejects(lb.addUpstreamServer('web', echo.address), /is in target group "web" already/);
  await assert.rejects(lb.addClient({ clientId: 'clientB', allowedTargetGroup: 'db' }), /there is no target group "db"/);
  await assert.rejects(lb.addClient({ clientId: 'clientB' }), ConfigError);
  assert.equal(lb.snapshot.revision, 1);
});

test('every problem of a configuration is told by its key', async () => {
  const starting = createLoadBalancer({
    listenAddress: 'nowhere',
    tlsParams: { certificate: 'a', privateKey: 'b', caCert: 'c' },
    clients: [{ clientId: 'clientA', allowedTargetGroup: 'web' }],
  });
  await assert.rejects(starting, (error) => {
    assert.ok(error instanceof ConfigError);
    assert.match(
      error.message,
      /^config: listenAddress: expected host:port .*\nconfig: clients\[0\]\.allowedTargetGroup: expected the name of a target group, found "web"; there are none$/,
    );
    return true;
  });
});

test('what is no configuration at all is refused with what it should be', async () => {
  for (const nothing of [[], [null], ['lb.yaml']]) {
    const called: Promise<unknown> = Reflect.apply(createLoadBalancer, undefined, nothing);
    await assert.rejects(called, { name: 'TypeError', message: /^createLoadBalancer takes a configuration: what loadConfigFile/ });
  }
});

test('what callers without types give wrongly is refused with what to give', async (t) => {
  const lb = await startLibrary(t, []);
  const call =
    (method: object, ...given: readonly unknown[]) =>
    async (): Promise<unknown> =>
      Reflect.apply(Object(method), lb, given);
  const ask = (peer: object, others: object = {}) => call(lb.explain, { peer, listener: 'default', ...others });
  const cases: readonly (readonly [() => Promise<unknown>, RegExp])[] = [
    [call(createLoadBalancer, lb.config, null), /^createLoadBalancer takes its options as an object with any of log, .*, not null$/],
    [call(createLoadBalancer, lb.config, { stroe: 1 }), /^createLoadBalancer has no option "stroe"; there are: log, .*store/],
    [
      call(createLoadBalancer, lb.config, { log: 3 }),
      /^createLoadBalancer takes log as a logger of pino's, with the functions error, warn, info, not 3$/,
    ],
    [call(createLoadBalancer, lb.config, { log: 'x' }), /^createLoadBalancer takes log as a logger of pino's, .*, not "x"$/],
    [call(createLoadBalancer, lb.config, { log: null }), /^createLoadBalancer takes log as a logger of pino's, .*, not null$/],
    [
      call(createLoadBalancer, lb.config, { log: {} }),
      /^createLoadBalancer takes log as a logger of pino's, .*, not an object without error, warn, info$/,
    ],
    [
      call(createLoadBalancer, lb.config, { log: { error: console.error, warn: 'console', info: console.info } }),
      /^createLoadBalancer takes log as a logger of pino's, .*, not an object without warn$/,
    ],
    [
      call(createLoadBalancer, lb.config, { store: new Map() }),
      /^createLoadBalancer takes store as a Store, .*, not an object without load,/,
    ],
    [call(createLoadBalancer, lb.config, { writeLogLines: [] }), /^createLoadBalancer takes writeLogLines as a function, not a list$/],
    [call(createLoadBalancer, lb.config, { resolve: 'dns' }), /^createLoadBalancer takes resolve as a function, not "dns"$/],
    [call(createLoadBalancer, lb.config, { sharesPorts: 'no' }), /^createLoadBalancer takes sharesPorts as a boolean, not "no"$/],
    [
      call(createLoadBalancer, lb.config, { allowInsecureKeyPermissions: 1 }),
      /^createLoadBalancer takes allowInsecureKeyPermissions as a boolean, not 1$/,
    ],
    [call(lb.addClient), /^addClient takes a client in the shape of the YAML file, such as \{ clientId: .*\}, not undefined$/],
    [
      call(lb.addClient, { clientId: 'b', allowedTargetGroups: 5 }),
      /^config: clients\[0\]\.allowedTargetGroups: expected a list of target/,
    ],
    [call(lb.addUpstreamServer), /^addUpstreamServer takes group as a text, not undefined$/],
    [call(lb.addUpstreamServer, 'web', 8081), /^addUpstreamServer takes address as a text, not 8081$/],
    [
      call(lb.addUpstreamServer, 'web', '127.0.0.1:1', { wieght: 1 }),
      /^addUpstreamServer has no option "wieght"; there are: weight, maxConnections, backup, mode$/,
    ],
    [call(lb.addUpstreamServer, 'web', '127.0.0.1:1', { weight: '2' }), /^addUpstreamServer takes weight as a number, not "2"$/],
    [
      call(lb.addUpstreamServer, 'web', '127.0.0.1:1', { mode: 'off' }),
      /^addUpstreamServer takes a mode, one of ready, drain, .*, not "off"$/,
    ],
    [call(lb.addUpstreamServer, 'web', '127.0.0.1:1', { backup: 'no' }), /^addUpstreamServer takes backup as a boolean, not "no"$/],
    [call(lb.removeUpstreamServer, 'web'), /^removeUpstreamServer takes address as a text, not undefined$/],
    [call(lb.removeClient), /^removeClient takes clientId as a text, not undefined$/],
    [call(lb.execute, { kind: 'addEverything' }), /^this is no command: command\.kind: expected one of replaceAll, /],
    [call(lb.setLogLevel, 'loud'), /^setLogLevel takes a level, one of trace, .*, not "loud"$/],
    [call(lb.explain), /^explain takes its options as an object with any of peer, source, listener, sni, alpn, not undefined$/],
    [ask({ kind: 'somebody' }), /^explain takes peer as \{ kind: 'certificate', chainPem \}, .*, not "somebody"$/],
    [ask({ kind: 'certificate', chainPem: ['garbage'] }), /^explain takes peer\.chainPem as a list of certificates in PEM/],
    [ask({ kind: 'certificate', chainPem: clientA.certPem }), /^explain takes peer\.chainPem as a list of certificates in PEM/],
    [
      ask({ kind: 'identity', identity: { commonName: 'clientA', fingerprint: '' } }),
      /^explain takes dnsNames as a list of texts, not undef/,
    ],
    [ask({ kind: 'identity' }), /^explain takes peer\.identity as an object, not undefined$/],
    [ask({ kind: 'nobody' }, { source: '10.0.0.1' }), /^explain takes source as the 128 bits of an address in a bigint, not "10/],
    [ask({ kind: 'nobody' }, { source: 1n << 128n }), /^explain takes source as the 128 bits of an address in a bigint, not 3402/],
    [ask({ kind: 'nobody' }, { sni: 5 }), /^explain takes sni as a text, not 5$/],
    [ask({ kind: 'nobody' }, { listener: 'nowhere' }), /^there is no listener "nowhere"$/],
    [call(lb.closeConnections), /^closeConnections takes its selectors as an object with any of id, clientId, .*, not undefined$/],
    [call(lb.closeConnections, { client: 'clientA' }, 'killed_by_admin'), /^closeConnections has no selector "client"; there are: id, /],
    [call(lb.closeConnections, { clientId: 5 }, 'killed_by_admin'), /^closeConnections takes clientId as a text, not 5$/],
    [call(lb.closeConnections, {}), /^closeConnections takes a reason, one of client_closed, .*, not undefined$/],
    [call(lb.closeConnections, {}, 'rate_limited'), /^closeConnections takes a reason, one of client_closed, .*, not "rate_limited"$/],
    [call(lb.listConnections, 'clientA', [], 10), /^listConnections takes its selectors as an object with .*, not "clientA"$/],
    [call(lb.listConnections, {}, 0, 10), /^listConnections takes after as a list of whole numbers, \[\] to begin with, not 0$/],
    [call(lb.listConnections, {}, [-1], 10), /^listConnections takes after as a list of whole numbers, .*, not a list$/],
    [call(lb.listConnections, {}, []), /^listConnections takes limit as a whole number from 1, not undefined$/],
    [call(lb.listConnections, {}, [], 0), /^listConnections takes limit as a whole number from 1, not 0$/],
    [call(lb.watchConnections, {}), /^watchConnections takes its selectors as an object with any of id, .*, not undefined$/],
    [call(lb.watchConnections, { selector: {}, reason: 'bored' }), /^watchConnections takes a reason, one of .*, not "bored"$/],
    [call(lb.enforce, 'kindly'), /^enforce takes a mode, one of reset, drain, not "kindly"$/],
    [call(lb.enforce, 'drain', -1), /^enforce takes a number of milliseconds from 0 to 86400000, not -1$/],
    [call(lb.enforce, 'drain', 0, { clientID: 'a' }), /^enforce has no selector "clientID"; there are: id, clientId, /],
    [call(lb.stop, 'soon'), /^stop takes a number of milliseconds from 0 to 86400000, not "soon"$/],
  ];
  for (const [refused, message] of cases) await assert.rejects(refused, { message });
  assert.throws(() => Reflect.apply(lb.journal.subscribe, lb.journal, []), {
    name: 'TypeError',
    message: 'subscribe takes a function that is told of each event, not undefined',
  });
  assert.equal(lb.snapshot.revision, 1);
});

test('its connections are listed, explained and closed', async (t) => {
  const echo = await echoServer(t);
  const lb = await startLibrary(t, [echo.address]);
  const client = connect(t, lb);
  await roundTrip(client, 'hello');
  const { connections, next } = await lb.listConnections({ clientId: 'clientA' }, [], 10);
  assert.deepEqual([connections.map(({ server }) => server), next], [[echo.address], undefined]);
  assert.deepEqual((await lb.listConnections({ clientId: 'clientB' }, [], 10)).connections, []);
  const question = { listener: 'default', sni: undefined, alpn: undefined } as const;
  const ofCertificate = await lb.explain({ ...question, peer: { kind: 'certificate', chainPem: [clientB.certPem] } });
  assert.equal(ofCertificate?.refusal, 'unknown_client');
  const identity = { commonName: 'clientA', dnsNames: [], uriNames: [], organizationalUnits: [], fingerprint: '' };
  const ofIdentity = await lb.explain({ ...question, peer: { kind: 'identity', identity } });
  assert.deepEqual([ofIdentity?.refusal, ofIdentity?.pick], [undefined, echo.address]);
  assert.deepEqual(await lb.closeConnections({ clientId: 'clientA' }, 'killed_by_admin'), { served: 1, waiting: 0 });
  assert.deepEqual(await client.ending, { how: 'reset' });
});

test('nothing can be changed once it has stopped', async (t) => {
  const lb = await startLibrary(t, []);
  await lb.stop();
  const refusal = { name: 'StoreUnavailableError', message: /^this balancer has stopped: start another / };
  await assert.rejects(lb.addClient({ clientId: 'clientB', allowedTargetGroup: 'web' }), refusal);
  await assert.rejects(lb.addUpstreamServer('web', '127.0.0.1:1'), refusal);
  assert.equal(lb.snapshot.revision, 1);
});

test('a start that fails leaves nothing behind', async (t) => {
  const tlsParams = await tlsParamsIn(await temporaryFolder(t));
  const taken = await echoServer(t);
  await assert.rejects(createLoadBalancer({ listenAddress: taken.address, tlsParams }), (error) => {
    assert.ok(error instanceof ListenError);
    assert.equal(error.code, 'EADDRINUSE');
    return true;
  });
  const missing = path.join(path.dirname(tlsParams.caCert), 'missing.key');
  await assert.rejects(
    createLoadBalancer({ listenAddress: '127.0.0.1:0', tlsParams: { ...tlsParams, privateKey: missing } }),
    TlsFileError,
  );
});

test('stop lets connections end, and resets what is left at the deadline', async (t) => {
  const echo = await echoServer(t);
  const { write, waitFor } = collectLog();
  const lb = await startLibrary(t, [echo.address], { writeLogLines: write });
  const [short, long] = [connect(t, lb), connect(t, lb)];
  await Promise.all([roundTrip(short, 'short'), roundTrip(long, 'long')]);
  const stopped = lb.stop(600_000);
  short.socket.end();
  assert.equal(String(await short.readAll()), 'short');
  await waitFor(({ reason }) => reason === 'client_closed');
  assert.equal(await lb.stop(50), 1, 'another deadline');
  assert.equal(await stopped, 1);
  assert.deepEqual(await long.ending, { how: 'reset' });
  assert.deepEqual([lb.stats.totals().byReason.get('client_closed'), lb.stats.totals().byReason.get('shutdown')], [1, 1]);
  assert.equal(await lb.stop(), 1, 'a second stop is the first one');
});
