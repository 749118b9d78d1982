import assert from 'node:assert/strict';
import path from 'node:path';
import { test } from 'node:test';
import { applyConfig, configWith } from '../support/apply-config.ts';
import { createTestCa } from '../support/certificates.ts';
import { startDaemon } from '../support/daemon.ts';
import { adminOf } from '../support/daemon-clients.ts';
import { hashSinkServer } from '../support/echo-servers.ts';
import { freePort } from '../support/free-port.ts';
import { startHashedStreams } from '../support/hashed-streams.ts';

/** Half of them apply a configuration, half of them reload certificates. RELOADS=100 makes it a long run. */
const RELOADS = Number(process.env['RELOADS'] ?? 16);
/** Short streams that come through between two reloads, at least. */
const BETWEEN = 4;

test(`across ${RELOADS} reloads under load every connection is served and every byte arrives`, async (t) => {
  const ca = await createTestCa();
  const clientA = await ca.issue({ cn: 'clientA' });
  const sinks = [await hashSinkServer(t), await hashSinkServer(t)];
  const servers = sinks.map(({ address }) => address);
  const port = await freePort();
  const main = { name: 'main', address: `127.0.0.1:${port}` };
  const group = (name: string, upstreamServers: readonly string[]) => ({ name, upstreamServers, healthCheck: { type: 'none' } });
  const daemon = await startDaemon(t, {
    ca,
    config: {
      listenAddress: undefined,
      listeners: [{ ...main, targetGroup: 'web' }],
      workers: 2,
      targetGroups: [group('web', servers), group('other', servers)],
      clients: [{ clientId: 'clientA', allowedTargetGroups: ['web', 'other'], limits: { concurrentConnections: 1000 } }],
    },
  });
  const admin = adminOf(t, daemon);
  const extra = { name: 'extra', address: `127.0.0.1:${await freePort()}`, targetGroup: 'web' };
  /** Each differs from the one before in listeners, servers and limits. */
  const configs = [
    { listeners: [{ ...main, targetGroup: 'other' }, extra], targetGroups: [group('web', servers.slice(0, 1)), group('other', servers)] },
    {
      listeners: [{ ...main, routes: [{ sni: 'localhost', targetGroup: 'web' }], alpn: ['h2'] }],
      targetGroups: [group('web', servers), group('other', servers.slice(1))],
    },
    {
      listeners: [{ ...main, name: 'renamed', targetGroup: 'web', perAddress: { concurrentConnections: 1000 } }],
      clients: [{ clientId: 'clientA', allowedTargetGroups: ['web', 'other'], limits: { concurrentConnections: 500 } }],
    },
  ];
  const streams = await startHashedStreams(
    t,
    () => daemon,
    () => clientA,
    { short: 4, long: 4 },
  );
  let reloaded = 0;
  for (let round = 0; round < RELOADS; round++) {
    await streams.finishedMore(BETWEEN);
    if (round % 2 === 0) {
      const { differences } = await applyConfig(admin, configWith(daemon, configs[(round / 2) % configs.length] ?? {}));
      assert.ok(differences.some(({ path: at }) => at.startsWith('listeners/')));
    } else {
      await ca.writeTo(path.join(daemon.folder, 'certs'), { loadbalancer: await ca.issueServer() });
      daemon.signal('SIGHUP');
      reloaded++;
      let seen = 0;
      await daemon.waitForLog(({ msg }) => msg === 'certificates reloaded' && ++seen === reloaded);
    }
  }
  await streams.finishedMore(BETWEEN);
  const { failures, finished } = await streams.stop();
  t.diagnostic(`${finished} streams`);
  assert.deepEqual(failures, []);
  assert.deepEqual(
    daemon.logs.filter(({ msg }) => msg === 'connection refused'),
    [],
  );
});
