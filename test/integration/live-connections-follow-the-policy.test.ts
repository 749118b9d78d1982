import assert from 'node:assert/strict';
import { X509Certificate } from 'node:crypto';
import { writeFile } from 'node:fs/promises';
import path from 'node:path';
import { type TestContext, test } from 'node:test';
import type { KeyAndCertificate } from '../../certs/issuing.ts';
import type { Client, Listener } from '../../src/domain/model.ts';
import type { Reason } from '../../src/domain/reasons.ts';
import type { TlsParams } from '../../src/domain/tls-material.ts';
import { certificate, type Issued, KeyUsageFlags, revocationList, root } from '../support/certificate-chains.ts';
import { createTestCa } from '../support/certificates.ts';
import { echoServer } from '../support/echo-servers.ts';
import { type RunningBalancer, startBalancer, uncheckedGroup } from '../support/running-balancer.ts';
import { temporaryFolder } from '../support/temp-dir.ts';
import type { TlsClient } from '../support/tls-client.ts';

const NAMES = ['alice', 'bob', 'ivy', 'olga'] as const;
type Name = (typeof NAMES)[number];
const LISTENERS = ['open', 'strict'] as const;
type ListenerName = (typeof LISTENERS)[number];
/** Enough that both workers have some. */
const EACH = 4;

/** alice and bob are certified by the top CA, ivy by an intermediate of it, olga by another CA. */
interface Pki {
  readonly top: Issued;
  readonly middle: Issued;
  readonly other: Issued;
  readonly leaf: Readonly<Record<Name, Issued>>;
}

interface Scene {
  readonly pki: Pki;
  readonly balancer: RunningBalancer;
  readonly server: string;
  /** Writes the CAs that the listener trusts, or the certificates that the listener's list revokes. Both are read at a reload. */
  trust(listener: ListenerName, cas: readonly Issued[]): Promise<void>;
  revoke(certificates: { readonly top?: readonly Issued[]; readonly other?: readonly Issued[] }): Promise<void>;
}

async function makePki(): Promise<Pki> {
  const [top, other] = [await root('top'), await root('other')];
  const signs = KeyUsageFlags.keyCertSign | KeyUsageFlags.cRLSign;
  const middle = await certificate({ name: 'middle', issuer: top, ca: true, keyUsage: signs });
  const leaf = (name: Name, issuer: Issued) => certificate({ name, issuer });
  const leaves = {
    alice: await leaf('alice', top),
    bob: await leaf('bob', top),
    ivy: await leaf('ivy', middle),
    olga: await leaf('olga', other),
  };
  return { top, middle, other, leaf: leaves };
}

async function scene(t: TestContext, pki: Pki, group: object = {}): Promise<Scene> {
  const ca = await createTestCa();
  const folder = await temporaryFolder(t);
  const { loadbalancer } = await ca.writeTo(folder, { loadbalancer: await ca.issueServer() });
  const { top, middle, other } = pki;
  const file = (name: string) => path.join(folder, name);
  const trust: Scene['trust'] = (listener, cas) => writeFile(file(`${listener}.pem`), cas.map(({ certPem }) => certPem).join(''));
  const revoke: Scene['revoke'] = async (revoked) => {
    const lists = [await revocationList(top, top, revoked.top ?? []), await revocationList(other, other, revoked.other ?? [])];
    await writeFile(file('strict.crl'), [...lists, await revocationList(middle, middle, [])].join(''));
  };
  await trust('open', [top, other]);
  // Each CA that may revoke has to be named.
  await trust('strict', [top, other, middle]);
  await revoke({});
  const server = (await echoServer(t)).address;
  const tlsOf = (listener: ListenerName) => ({ ...loadbalancer, caCert: file(`${listener}.pem`) });
  const balancer = await startBalancer(t, {
    ca,
    config: {
      listeners: [
        { name: 'open', address: '127.0.0.1:0', targetGroup: 'web', tls: tlsOf('open') },
        { name: 'strict', address: '127.0.0.1:0', targetGroup: 'web', tls: { ...tlsOf('strict'), crl: file('strict.crl') } },
      ],
      targetGroups: [uncheckedGroup('web', [server], group), uncheckedGroup('db', [server])],
      clients: NAMES.map((clientId) => ({ clientId, allowedTargetGroups: ['web', 'db'] })),
    },
  });
  return { pki, balancer, server, trust, revoke };
}

function presented(pki: Pki, name: Name): KeyAndCertificate {
  const { certPem, keyPem } = pki.leaf[name];
  return { certPem: name === 'ivy' ? certPem + pki.middle.certPem : certPem, keyPem };
}

interface Held {
  readonly name: Name;
  readonly listener: ListenerName;
  readonly client: TlsClient;
}

async function hold(t: TestContext, { pki, balancer }: Scene): Promise<readonly Held[]> {
  const held = LISTENERS.flatMap((listener) =>
    NAMES.flatMap((name) =>
      Array.from({ length: EACH }, (): Held => {
        const client = balancer.connect(t, { port: balancer.port(listener), certificate: presented(pki, name) });
        client.socket.write('hello');
        return { name, listener, client };
      }),
    ),
  );
  for (const { client } of held) await client.readUntil('hello');
  return held;
}

function clientNamed({ balancer }: Scene, name: Name): Client {
  return balancer.lb.snapshot.clients.get(name) ?? assert.fail();
}

function withListeners({ balancer: { lb } }: Scene, change: (listener: Listener) => Listener) {
  return lb.execute({ kind: 'setListeners', listeners: lb.snapshot.listeners.map(change) });
}

interface Row {
  readonly what: string;
  readonly apply: (scene: Scene) => Promise<unknown>;
  /** Whose connections are closed: `alice@strict`, or `alice` for both listeners. */
  readonly closed: readonly string[];
  readonly reason?: Reason;
}

const TABLE: readonly Row[] = [
  { what: 'a reload of the same files', apply: ({ balancer }) => balancer.lb.reloadCertificates(), closed: [] },
  {
    what: 'a list that revokes one certificate',
    apply: async ({ pki, revoke, balancer }) => {
      await revoke({ top: [pki.leaf.alice] });
      assert.equal(await balancer.lb.reloadCertificates(), EACH);
    },
    closed: ['alice@strict'],
    reason: 'certificate_withdrawn',
  },
  {
    what: 'a list that revokes an intermediate',
    apply: async ({ pki, revoke, balancer }) => {
      await revoke({ top: [pki.middle] });
      await balancer.lb.reloadCertificates();
    },
    closed: ['ivy@strict'],
    reason: 'certificate_withdrawn',
  },
  {
    what: 'a CA that one listener trusts no longer',
    apply: async ({ pki, trust, balancer }) => {
      await trust('open', [pki.top]);
      await balancer.lb.reloadCertificates();
    },
    closed: ['olga@open'],
    reason: 'certificate_withdrawn',
  },
  {
    what: 'another CA altogether',
    apply: async ({ pki, trust, balancer }) => {
      await trust('open', [pki.other]);
      assert.equal(await balancer.lb.reloadCertificates(), 3 * EACH);
    },
    closed: ['alice@open', 'bob@open', 'ivy@open'],
    reason: 'certificate_withdrawn',
  },
  {
    what: 'other TLS settings of a listener, with another CA',
    apply: async (now) => {
      await now.trust('open', [now.pki.other]);
      const open = now.balancer.lb.snapshot.listeners.find(({ name }) => name === 'open');
      const caCert = open?.tls?.caCert ?? assert.fail();
      const changed = (tls: TlsParams) => ({ ...tls, caCert, crl: undefined });
      await withListeners(now, (each) => (each.name === 'open' || each.tls === undefined ? each : { ...each, tls: changed(each.tls) }));
    },
    closed: ['alice@strict', 'bob@strict', 'ivy@strict'],
    reason: 'certificate_withdrawn',
  },
  { what: 'a route that leads elsewhere', apply: (now) => withListeners(now, (each) => ({ ...each, targetGroup: 'db' })), closed: [] },
  {
    what: 'a permission taken away',
    apply: (now) => now.balancer.lb.execute({ kind: 'updateClient', client: { ...clientNamed(now, 'bob'), allowedTargetGroups: ['db'] } }),
    closed: ['bob'],
    reason: 'permission_removed',
  },
  {
    what: 'another network that a client must come from',
    apply: (now) => {
      const alice = clientNamed(now, 'alice');
      const match = { ...alice.match, cn: 'alice', cidr: '10.0.0.0/8' };
      return now.balancer.lb.execute({ kind: 'updateClient', client: { ...alice, match } });
    },
    closed: ['alice'],
    reason: 'permission_removed',
  },
  { what: 'a client removed', apply: ({ balancer }) => balancer.lb.removeClient('olga'), closed: ['olga'], reason: 'client_removed' },
  {
    what: 'a certificate revoked at run time',
    apply: ({ pki, balancer }) => {
      const fingerprint = new X509Certificate(pki.leaf.bob.certPem).fingerprint256.replaceAll(':', '').toLowerCase();
      return balancer.lb.execute({ kind: 'revokeCertificate', revocation: { fingerprint, comment: 'lost', atMs: 0 } });
    },
    closed: ['bob'],
    reason: 'revoked',
  },
  ...(['drain', 'maintenance'] as const).map(
    (mode): Row => ({
      what: `a server in ${mode}`,
      apply: ({ balancer: { lb } }) => {
        const server = lb.snapshot.targetGroups.get('web')?.servers[0] ?? assert.fail();
        return lb.execute({ kind: 'setUpstreamServer', group: 'web', server: { ...server, mode } });
      },
      closed: [],
    }),
  ),
  { what: 'a server removed', apply: ({ balancer, server }) => balancer.lb.removeUpstreamServer('web', server), closed: [] },
];

test('each change closes the connections that it forbids, and no other', async (t) => {
  const pki = await makePki();
  for (const { what, apply, closed, reason } of TABLE) {
    await t.test(what, async (t) => {
      const now = await scene(t, pki);
      const held = await hold(t, now);
      const isMeant = ({ name, listener }: Held) => closed.includes(name) || closed.includes(`${name}@${listener}`);
      await apply(now);
      const meant = held.filter(isMeant);
      for (const line of await now.balancer.nextLines(meant.length)) {
        assert.equal(line.reason, reason);
        assert.ok(
          closed.includes(line.client ?? '') || closed.includes(`${line.client}@${line.listener}`),
          `${line.client}@${line.listener}`,
        );
      }
      for (const { client } of meant) assert.equal((await client.ending).how, 'reset');
      const others = held.filter((each) => !isMeant(each));
      for (const { client } of others) client.socket.write('still here');
      for (const { client } of others) await client.readUntil('still here');
      for (const { client } of others) client.socket.end();
      for (const line of await now.balancer.nextLines(others.length)) assert.equal(line.reason, 'client_closed');
      now.balancer.assertIdle();
    });
  }
});

test('a certificate that was revoked while its connection waited for a place is not served', async (t) => {
  const now = await scene(t, await makePki(), { queue: { maxLength: 10, timeout: '10m' } });
  const { balancer, pki } = now;
  const [server] = balancer.lb.snapshot.targetGroups.get('web')?.servers ?? [];
  await balancer.lb.execute({ kind: 'setUpstreamServer', group: 'web', server: { ...(server ?? assert.fail()), maxConnections: 1 } });
  const connect = (name: Name) => {
    const client = balancer.connect(t, { port: balancer.port('strict'), certificate: presented(pki, name) });
    client.socket.write('hello');
    return client;
  };
  const first = connect('bob');
  await first.readUntil('hello');
  const revoked = connect('alice');
  await balancer.until(({ stats }) => stats.waiting('web') === 1);
  await now.revoke({ top: [pki.leaf.alice] });
  assert.equal(await balancer.lb.reloadCertificates(), 1);
  first.socket.end();
  const lines = await balancer.nextLines(2);
  const line = lines.find(({ client }) => client === 'alice');
  assert.partialDeepStrictEqual(line, { reason: 'certificate_revoked', detail: 'CERT_REVOKED: CN=alice' });
  assert.equal((await revoked.ending).how, 'reset');
  balancer.assertIdle();
});
