/** A daemon with two workers, whose clients hold connections to two groups: for tests of which of them are ended. */
import assert from 'node:assert/strict';
import type { TestContext } from 'node:test';
import type { KeyAndCertificate } from '../../certs/issuing.ts';
import type { AdminServiceClient } from '../../src/gen/lb/admin/v1/admin.ts';
import { createTestCa, type TestCa } from './certificates.ts';
import { type ReadyDaemon, startDaemon } from './daemon.ts';
import { adminOf, connectTo, roundTrip } from './daemon-clients.ts';
import { echoServer, type TestUpstream } from './echo-servers.ts';
import type { TlsClient } from './tls-client.ts';

/** Enough to be sure that each of two workers gets some. */
export const MANY = 12;

type Group = 'web' | 'db';

export interface TwoGroupDaemon {
  readonly daemon: ReadyDaemon;
  readonly ca: TestCa;
  readonly admin: AdminServiceClient;
  readonly servers: Readonly<Record<Group, TestUpstream>>;
  certificate(commonName: string): Promise<KeyAndCertificate>;
  /** So many connections that are served, to the group that the SNI asks for. */
  hold(as: string, group: Group, count?: number): Promise<readonly TlsClient[]>;
  /** One connection, served or not. */
  knock(as: string, group: Group): Promise<TlsClient>;
}

/** clientA may reach web and db, clientB web; groups are chosen by the SNI. */
export async function startTwoGroups(t: TestContext, config: Readonly<Record<string, unknown>> = {}): Promise<TwoGroupDaemon> {
  const ca = await createTestCa();
  const servers = { web: await echoServer(t), db: await echoServer(t) };
  const unchecked = { healthCheck: { type: 'none' } };
  const daemon = await startDaemon(t, {
    ca,
    config: {
      workers: 2,
      listenAddress: undefined,
      listeners: [
        {
          name: 'main',
          address: '127.0.0.1:0',
          routes: [
            { sni: 'web.test', targetGroup: 'web' },
            { sni: 'db.test', targetGroup: 'db' },
          ],
        },
      ],
      targetGroups: [
        { name: 'web', upstreamServers: [servers.web.address], ...unchecked },
        { name: 'db', upstreamServers: [servers.db.address], ...unchecked },
      ],
      clients: [
        { clientId: 'clientA', allowedTargetGroups: ['web', 'db'] },
        { clientId: 'clientB', allowedTargetGroups: ['web'] },
      ],
      ...config,
    },
  });
  const issued = new Map<string, Promise<KeyAndCertificate>>();
  const certificate = (commonName: string) => {
    const known = issued.get(commonName) ?? ca.issue({ cn: commonName });
    issued.set(commonName, known);
    return known;
  };
  const knock = async (as: string, group: Group) =>
    connectTo(t, daemon, await certificate(as), { servername: `${group}.test`, tls: { checkServerIdentity: () => undefined } });
  return {
    daemon,
    ca,
    admin: adminOf(t, daemon),
    servers,
    certificate,
    knock,
    hold: async (as, group, count = MANY) => {
      const clients = await Promise.all(Array.from({ length: count }, () => knock(as, group)));
      await Promise.all(clients.map((client) => roundTrip(client, 'hello')));
      return clients;
    },
  };
}

/** Fails unless every one of them still answers. */
export async function assertServed(clients: readonly TlsClient[], text: string): Promise<void> {
  await Promise.all(clients.map((client) => roundTrip(client, text)));
}

/** Waits until every one of them has been reset. */
export async function assertReset(clients: readonly TlsClient[]): Promise<void> {
  for (const client of clients) assert.equal((await client.ending).how, 'reset');
}
