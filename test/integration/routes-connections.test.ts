import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createTestCa } from '../support/certificates.ts';
import { namedServer } from '../support/echo-servers.ts';
import { startBalancer, uncheckedGroup } from '../support/running-balancer.ts';
import type { TlsClientOptions } from '../support/tls-client.ts';

const GROUPS = ['web', 'db', 'cache', 'mail'];

test('a connection goes to the group that the listener, its routes or the client name', async (t) => {
  const servers = await Promise.all(GROUPS.map((name) => namedServer(t, name)));
  const ca = await createTestCa();
  const [everywhere, webOnly] = await Promise.all([ca.issue({ cn: 'everywhere' }), ca.issue({ cn: 'webOnly' })]);
  const balancer = await startBalancer(t, {
    ca,
    config: {
      listenAddress: undefined,
      listeners: [
        {
          name: 'routed',
          address: '127.0.0.1:0',
          routes: [
            { sni: 'db.example', alpn: 'cache', targetGroup: 'cache' },
            { sni: 'DB.example', targetGroup: 'db' },
            { sni: '*.mail.example', targetGroup: 'mail' },
            { alpn: 'cache', targetGroup: 'cache' },
          ],
        },
        { name: 'fixed', address: '127.0.0.1:0', targetGroup: 'db' },
      ],
      targetGroups: GROUPS.map((name, index) => uncheckedGroup(name, [servers[index]?.address])),
      clients: [
        { clientId: 'everywhere', allowedTargetGroups: GROUPS },
        { clientId: 'webOnly', allowedTargetGroup: 'web' },
      ],
    },
  });

  type Case = readonly [what: string, Partial<TlsClientOptions>, group: string, rule: string];
  const sni = (servername: string) => ({ servername, tls: { checkServerIdentity: () => undefined } });
  const cases: readonly Case[] = [
    ['by the whole server name', sni('db.example'), 'db', 'route 1 of listener routed'],
    ['by the server name in other letters', sni('Db.Example'), 'db', 'route 1 of listener routed'],
    ['by a server name under a wildcard', sni('in.mail.example'), 'mail', 'route 2 of listener routed'],
    ['by the protocol', { ...sni('other.example'), alpn: ['cache'] }, 'cache', 'route 3 of listener routed'],
    ['by the protocol, without a server name', { servername: '', alpn: ['cache'] }, 'cache', 'route 3 of listener routed'],
    ['by both, the first route that matches', { ...sni('db.example'), alpn: ['cache'] }, 'cache', 'route 0 of listener routed'],
    ['by the only group of the client', { ...sni('other.example'), certificate: webOnly }, 'web', 'the only group of webOnly'],
    ['by the listener', { ...sni('web.example'), port: balancer.port('fixed') }, 'db', 'listener fixed serves db'],
  ];
  for (const [what, options, group, rule] of cases) {
    await t.test(what, async (t) => {
      const client = balancer.connect(t, { certificate: everywhere, ...options });
      client.socket.write('GET / HTTP/1.1\r\n\r\n');
      assert.match((await client.readAll()).toString(), new RegExp(`\r\n\r\n${group}$`));
      assert.equal(client.socket.alpnProtocol, options.alpn?.[0] ?? false);
      const line = await balancer.nextLine();
      assert.partialDeepStrictEqual(line, { reason: 'upstream_closed', group, detail: rule });
      assert.equal(line.sni, options.servername === '' ? undefined : options.servername?.toLowerCase());
      assert.equal(line.alpn, options.alpn?.[0]);
      balancer.assertIdle();
    });
  }

  const routeless: readonly [what: string, Partial<TlsClientOptions>][] = [
    ['the bare name below a wildcard', sni('mail.example')],
    ['two labels below a wildcard', sni('a.b.mail.example')],
    ['no server name at all', { servername: '' }],
  ];
  for (const [what, options] of routeless) {
    await t.test(`and nowhere by ${what}`, async (t) => {
      const client = balancer.connect(t, { certificate: everywhere, ...options });
      client.socket.write('GET / HTTP/1.1\r\n\r\n');
      assert.deepEqual(await client.ending, { how: 'reset' });
      assert.partialDeepStrictEqual(await balancer.nextLine(), {
        reason: 'no_route',
        detail: 'no route of listener routed matches, and everywhere may reach 4 groups',
      });
      balancer.assertIdle();
    });
  }

  await t.test('and a route does not give a permission', async (t) => {
    const client = balancer.connect(t, { certificate: webOnly, ...sni('db.example') });
    assert.deepEqual(await client.ending, { how: 'reset' });
    assert.partialDeepStrictEqual(await balancer.nextLine(), {
      reason: 'not_authorized',
      client: 'webOnly',
      detail: 'route 1 of listener routed; webOnly may reach only web',
    });
    balancer.assertIdle();
  });

  await t.test('and a client whose protocols are all strange to the listener is told so', async (t) => {
    const client = balancer.connect(t, { certificate: everywhere, ...sni('db.example'), alpn: ['strange'] });
    const ending = await client.ending;
    assert.match('code' in ending ? ending.code : '', /NO_APPLICATION_PROTOCOL$/);
    assert.equal((await balancer.nextLine()).reason, 'handshake_failed');
    balancer.assertIdle();
  });
});
