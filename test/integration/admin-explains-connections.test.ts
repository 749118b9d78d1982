import assert from 'node:assert/strict';
import { test } from 'node:test';
import { status as Code } from '@grpc/grpc-js';
import { explanation } from '../../cli/commands/explain.ts';
import { AdminServiceService, type ExplainRequest, HealthState } from '../../src/gen/lb/admin/v1/admin.ts';
import { ask, refused } from '../support/admin-server.ts';
import { startDaemon } from '../support/daemon.ts';
import { adminOf, connectTo, roundTrip } from '../support/daemon-clients.ts';
import { echoServer } from '../support/echo-servers.ts';
import { uncheckedGroup } from '../support/running-balancer.ts';

const who = (cn: string): ExplainRequest['who'] => ({ $case: 'identity', value: { cn, dns: [], uri: [], ou: [], fingerprint: '' } });
const asked = (request: Partial<ExplainRequest>): ExplainRequest => ({
  who: who('alice'),
  listener: '',
  sni: '',
  alpn: '',
  source: '',
  ...request,
});

test('Explain shows the steps, the servers with why they are in or out, and the pick', async (t) => {
  const upstream = await echoServer(t);
  const daemon = await startDaemon(t, {
    config: {
      targetGroups: [
        uncheckedGroup('web', [
          { address: '127.0.0.1:1', weight: 0 },
          { address: '127.0.0.1:2', mode: 'drain' },
          { address: '127.0.0.1:3', backup: true },
          { address: upstream.address, maxConnections: 2, weight: 5 },
        ]),
      ],
      clients: [
        { clientId: 'alice', allowedTargetGroup: 'web', limits: { connectionRate: { limit: 5, window: '1d' }, concurrentConnections: 3 } },
      ],
    },
  });
  const admin = adminOf(t, daemon);
  const explain = (request: Partial<ExplainRequest>) => ask(admin, AdminServiceService.explain, asked(request));
  const alice = await daemon.ca.issue({ cn: 'alice' });
  const held = connectTo(t, daemon, alice);
  await roundTrip(held, 'hello');

  await t.test('for a certificate', async () => {
    const { steps, candidates, ...rest } = await explain({ who: { $case: 'certificate', value: `some text\n${alice.certPem}` } });
    assert.deepEqual(rest, {
      revision: 1n,
      admitted: true,
      reason: '',
      clientId: 'alice',
      targetGroup: 'web',
      pick: upstream.address,
      onlyFrom: '',
    });
    assert.match(steps[0]?.detail ?? '', /^trusted, valid until \d{4}-/);
    assert.deepEqual(
      steps.map(({ name, passed, detail }) => [name, passed, name === 'certificate' ? '' : detail]),
      [
        ['certificate', true, ''],
        ['identity', true, 'alice'],
        ['client', true, 'alice'],
        ['route', true, 'the only group of alice'],
        ['connections', true, '1 of 3 connections'],
        ['rate', true, '4 more now, of 5 in 86400000 ms (fixedWindow)'],
        ['server', true, `${upstream.address} for alice, by leastConnections`],
      ],
    );
    assert.deepEqual(
      candidates.map(({ server, usable, why, active, weight, health }) => [server, usable, why, Number(active), weight, health]),
      [
        ['127.0.0.1:1', false, 'weight 0', 0, 0, HealthState.HEALTHY],
        ['127.0.0.1:2', false, 'drain', 0, 1, HealthState.HEALTHY],
        ['127.0.0.1:3', false, 'backup', 0, 1, HealthState.HEALTHY],
        [upstream.address, true, 'healthy', 1, 5, HealthState.HEALTHY],
      ],
    );
  });

  await t.test('and the backup, once the others are full', async (t) => {
    const another = connectTo(t, daemon, alice);
    await roundTrip(another, 'hello');
    const { candidates, pick } = await explain({});
    assert.deepEqual(
      candidates.map(({ usable, why }) => [usable, why]),
      [
        [false, 'weight 0'],
        [false, 'drain'],
        [true, 'backup'],
        [false, 'full (2 of 2)'],
      ],
    );
    assert.equal(pick, '127.0.0.1:3');
  });

  await t.test('up to the step that refuses', async () => {
    const { admitted, reason, steps, candidates, pick } = await explain({ who: who('mallory') });
    assert.deepEqual([admitted, reason, candidates, pick], [false, 'unknown_client', [], '']);
    assert.deepEqual(
      steps.map(({ name, passed }) => [name, passed]),
      [
        ['identity', true],
        ['client', false],
      ],
    );
  });
});

test('the rate that a client has left is shown in the list and in the statistics', async (t) => {
  const upstream = await echoServer(t);
  const daemon = await startDaemon(t, {
    config: {
      targetGroups: [uncheckedGroup('web', [upstream.address])],
      clients: [
        { clientId: 'alice', allowedTargetGroup: 'web', limits: { connectionRate: { limit: 2, window: '1d' } } },
        { clientId: 'bob', allowedTargetGroup: 'web' },
      ],
    },
  });
  const admin = adminOf(t, daemon);
  const alice = await daemon.ca.issue({ cn: 'alice' });
  const headroom = async () => {
    const { clients } = await ask(admin, AdminServiceService.listClients, { pageSize: 0, pageToken: '' });
    return clients.map(({ counters }) => counters?.rateHeadroom);
  };
  assert.deepEqual(await headroom(), [2, undefined]);
  for (const left of [1, 0]) {
    await roundTrip(connectTo(t, daemon, alice), 'hello');
    for (let times = 0; times < 3; times++) assert.deepEqual(await headroom(), [left, undefined], 'reading it uses nothing up');
  }
});

test('a client that a network restricts is not said to be served from wherever it comes', async (t) => {
  const daemon = await startDaemon(t, {
    config: {
      targetGroups: [uncheckedGroup('web', ['127.0.0.1:1'])],
      clients: [{ clientId: 'alice', match: { cn: 'alice', cidr: '10.1.0.0/16' }, allowedTargetGroups: ['web'] }],
    },
  });
  const admin = adminOf(t, daemon);
  const explain = async (source: string) => ask(admin, AdminServiceService.explain, asked({ source }));
  const unsaid = await explain('');
  assert.deepEqual([unsaid.admitted, unsaid.onlyFrom], [true, '10.1.0.0/16']);
  assert.match(unsaid.steps.find(({ name }) => name === 'client')?.detail ?? '', /only from 10\.1\.0\.0\/16/);
  assert.match(
    explanation(unsaid, (text) => text),
    /would be served .*only from 10\.1\.0\.0\/16; give --source/,
  );
  const inside = await explain('10.1.2.3');
  assert.deepEqual([inside.admitted, inside.onlyFrom], [true, '']);
  assert.doesNotMatch(
    explanation(inside, (text) => text),
    /only from/,
  );
  assert.equal((await explain('10.2.0.1')).reason, 'unknown_client');
});

test('what cannot be explained is refused with the field at fault', async (t) => {
  const daemon = await startDaemon(t, {
    config: { listenAddress: undefined, listeners: ['one', 'two'].map((name) => ({ name, address: '127.0.0.1:0' })) },
  });
  const admin = adminOf(t, daemon);
  const certificate = (value: string): ExplainRequest['who'] => ({ $case: 'certificate', value });
  const cases: readonly [request: Partial<ExplainRequest>, code: Code, message: RegExp, field: string | undefined][] = [
    [{}, Code.INVALID_ARGUMENT, /^there are several listeners; say which: one, two$/, 'listener'],
    [{ listener: 'three' }, Code.NOT_FOUND, /^there is no listener "three"; there are one, two$/, undefined],
    [
      { listener: 'one', who: undefined },
      Code.INVALID_ARGUMENT,
      /^expected a certificate, or an identity; or a source, for a plain listener$/,
      'certificate',
    ],
    [{ listener: 'one', who: certificate('x') }, Code.INVALID_ARGUMENT, /^expected a certificate as -----BEGIN/, 'certificate'],
    [
      { listener: 'one', who: certificate('-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n') },
      Code.INVALID_ARGUMENT,
      /^this is not a certificate/,
      'certificate',
    ],
    [{ listener: 'one', who: who('') }, Code.INVALID_ARGUMENT, /^expected at least one of cn, dns, uri, ou, fingerprint$/, 'identity'],
  ];
  for (const [request, code, message, field] of cases) {
    const refusal = await refused(ask(admin, AdminServiceService.explain, asked(request)));
    assert.equal(refusal.code, code, refusal.message);
    assert.match(refusal.message, message);
    assert.deepEqual(refusal.fields, field === undefined ? [] : [field]);
  }
  const { reason } = await ask(admin, AdminServiceService.explain, asked({ listener: 'two' }));
  assert.equal(reason, 'unknown_client');
});
