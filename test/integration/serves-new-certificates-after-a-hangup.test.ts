import assert from 'node:assert/strict';
import { rm, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { type TestContext, test } from 'node:test';
import { AdminServiceClient, AdminServiceService as rpc } from '../../src/gen/lb/admin/v1/admin.ts';
import { ask } from '../support/admin-server.ts';
import { createTestCa, type TestCa } from '../support/certificates.ts';
import { type ReadyDaemon, startDaemon } from '../support/daemon.ts';
import { connectTo, grpcClient, roundTrip } from '../support/daemon-clients.ts';
import { echoServer } from '../support/echo-servers.ts';

/** Enough to be sure that each of two workers gets some. */
const MANY = 16;

async function startWithEcho(t: TestContext, ca: TestCa): Promise<ReadyDaemon> {
  const echo = await echoServer(t);
  return startDaemon(t, {
    ca,
    config: {
      workers: 2,
      targetGroups: [{ name: 'web', upstreamServers: [echo.address], healthCheck: { type: 'none' } }],
      clients: [{ clientId: 'clientA', allowedTargetGroup: 'web' }],
    },
  });
}

async function hangUp(daemon: ReadyDaemon, said: string, times: number): Promise<void> {
  daemon.signal('SIGHUP');
  let seen = 0;
  await daemon.waitForLog(({ msg }) => msg === said && ++seen === times);
}

test('new connections get the new certificate and are held to the new CA, on every worker and on the admin port', async (t) => {
  const [before, after] = await Promise.all([createTestCa({ name: 'before' }), createTestCa({ name: 'after' })]);
  const daemon = await startWithEcho(t, before);
  const oldClient = await before.issue({ cn: 'clientA' });
  const live = connectTo(t, daemon, oldClient);
  await roundTrip(live, 'before');

  await after.writeTo(path.join(daemon.folder, 'certs'), { loadbalancer: await after.issueServer() });
  await hangUp(daemon, 'certificates reloaded', 1);

  const newClient = await after.issue({ cn: 'clientA' });
  const served = Array.from({ length: MANY }, () => connectTo(t, { ...daemon, ca: after }, newClient));
  await Promise.all(served.map((client) => roundTrip(client, 'hello')));
  const refused = Array.from({ length: MANY }, () => connectTo(t, { ...daemon, ca: after }, oldClient));
  for (const client of refused) assert.notEqual((await client.ending).how, 'failed');
  assert.equal(refused.filter((client) => client.received().length > 0).length, 0);
  for (let count = 0; count < MANY; count++) {
    let seen = 0;
    await daemon.waitForLog(({ reason }) => reason === 'certificate_untrusted' && ++seen > count);
  }
  await assert.rejects(connectTo(t, daemon, newClient).secured, 'a client that trusts the old CA alone does not trust the new certificate');

  const operator = await after.issue({ cn: 'admin', ou: 'admin' });
  const admin = grpcClient(t, AdminServiceClient, daemon, { as: operator, caPem: after.caPem });
  assert.equal((await ask(admin, rpc.getLogLevel, {})).level, 'debug');
  const former = grpcClient(t, AdminServiceClient, daemon, { caPem: after.caPem });
  await assert.rejects(ask(former, rpc.getLogLevel, {}), /UNAVAILABLE/);

  assert.equal((await live.ending).how, 'reset', 'the new CA knows nothing of the certificate that let it in');
  await daemon.waitForLog(({ reason }) => reason === 'certificate_withdrawn');
});

test('broken files leave the old ones serving, each with one line that names the file', async (t) => {
  const ca = await createTestCa();
  const daemon = await startWithEcho(t, ca);
  const client = await ca.issue({ cn: 'clientA' });
  const folder = path.join(daemon.folder, 'certs');
  const file = (name: string) => path.join(folder, name);
  const whole = { loadbalancer: await ca.issueServer() };
  const breakages = [
    { name: 'rootCA.pem', breakIt: () => writeFile(file('rootCA.pem'), 'garbage'), says: /rootCA\.pem: there is no PEM block/ },
    {
      name: 'loadbalancer.key',
      breakIt: async () => writeFile(file('loadbalancer.key'), (await ca.issueServer()).keyPem),
      says: /loadbalancer\.key: the key does not match the certificate/,
    },
    {
      name: 'an ended certificate',
      breakIt: async () => {
        await ca.writeTo(folder, { loadbalancer: await ca.issue({ cn: 'ended', server: true, expired: true }) });
      },
      says: /loadbalancer\.crt: "CN=ended" ended at \S+: with it every client would refuse lbd; renew it/,
    },
    { name: 'loadbalancer.crt', breakIt: () => rm(file('loadbalancer.crt')), says: /loadbalancer\.crt: there is no such file/ },
  ];
  for (const [index, { name, breakIt, says }] of breakages.entries()) {
    await breakIt();
    await hangUp(daemon, 'certificates not reloaded: the ones in force stay', index + 1);
    const lines = daemon.logs.filter(({ level }) => level === 'error');
    assert.equal(lines.length, index + 1, name);
    assert.match(String(lines.at(-1)?.['why']), says);
    const served = Array.from({ length: MANY }, () => connectTo(t, daemon, client));
    await Promise.all(served.map((each) => roundTrip(each, 'hello')));
    await ca.writeTo(folder, whole);
  }
  await hangUp(daemon, 'certificates reloaded', 1);
});
