import assert from 'node:assert/strict';
import { createHash, X509Certificate } from 'node:crypto';
import { test } from 'node:test';
import fc from 'fast-check';
import type { KeyAndCertificate } from '../../certs/issuing.ts';
import { isRefusal } from '../../src/domain/reasons.ts';
import type { ExplainQuestion } from '../../src/shared/explain.ts';
import { createTestCa } from '../support/certificates.ts';
import { echoServer } from '../support/echo-servers.ts';
import { freePort } from '../support/free-port.ts';
import { startBalancer, uncheckedGroup } from '../support/running-balancer.ts';

const CASES = 60;
/** So long that no window ends while the test runs. */
const WINDOW = '1d';

/** Some of them with one place or three connections a day, so that the cases of the run themselves use limits up. */
function limited(clientId: string, limits: object): object {
  return { clientId, allowedTargetGroups: ['web', 'turns'], limits };
}

/** The wait that a refusal tells becomes shorter while one asks. */
function withoutTime(explanation: unknown): string {
  return JSON.stringify(explanation).replace(/next in \d+ ms/, '');
}

test('whoever connects, and wherever to, gets what Explain said just before', async (t) => {
  const [ca, otherCa] = await Promise.all([createTestCa(), createTestCa()]);
  const [a, b, c] = await Promise.all([echoServer(t), echoServer(t), echoServer(t)]);
  const refusing = `127.0.0.1:${await freePort()}`;
  const revokedByList = await ca.issue({ cn: 'anywhere' });
  const revokedAtRunTime = await ca.issue({ cn: 'anywhere' });
  const certificates: Readonly<Record<string, KeyAndCertificate>> = {
    anywhere: await ca.issue({ cn: 'anywhere' }),
    'by a DNS name': await ca.issue({ cn: 'somebody', dns: ['web-only'] }),
    'by a URI': await ca.issue({ uris: ['spiffe://test/turns'] }),
    thrice: await ca.issue({ cn: 'thrice' }),
    slowly: await ca.issue({ cn: 'slowly' }),
    once: await ca.issue({ cn: 'once' }),
    nowhere: await ca.issue({ cn: 'nowhere' }),
    crowded: await ca.issue({ cn: 'crowded' }),
    resting: await ca.issue({ cn: 'resting' }),
    dead: await ca.issue({ cn: 'dead' }),
    nobody: await ca.issue({ cn: 'nobody' }),
    'one of two clients': await ca.issue({ cn: 'x', ou: 'twins' }),
    'of two names': await ca.issue({ cns: ['anywhere', 'thrice'] }),
    expired: await ca.issue({ cn: 'anywhere', expired: true }),
    'not valid yet': await ca.issue({ cn: 'anywhere', days: 2, notBefore: new Date(Date.now() + 86_400_000) }),
    'of another CA': await otherCa.issue({ cn: 'anywhere' }),
    'of another CA and expired': await otherCa.issue({ cn: 'anywhere', expired: true }),
    'self-signed': { certPem: otherCa.caPem, keyPem: otherCa.caKeyPem },
    'for servers': await ca.issue({ cn: 'anywhere', server: true }),
    'on the revocation list': revokedByList,
    'revoked at run time': revokedAtRunTime,
  };
  const balancer = await startBalancer(t, {
    ca,
    crl: await ca.crl([revokedByList]),
    config: {
      // One worker: weighted turns are taken in each worker by itself, and the pick is to be compared.
      workers: 1,
      listenAddress: undefined,
      listeners: [
        { name: 'any', address: '127.0.0.1:0' },
        { name: 'web', address: '127.0.0.1:0', targetGroup: 'web' },
        {
          name: 'routed',
          address: '127.0.0.1:0',
          routes: [
            { sni: '*.turns.test', targetGroup: 'turns' },
            { alpn: 'web', targetGroup: 'web' },
            { sni: 'weighted.test', alpn: 'h2', targetGroup: 'weighted' },
          ],
        },
      ],
      targetGroups: [
        uncheckedGroup('web', [a.address, { address: b.address, mode: 'drain' }, c.address]),
        uncheckedGroup('turns', [a.address, { address: b.address, weight: 0 }, c.address], { algorithm: 'roundRobin' }),
        uncheckedGroup('weighted', [{ address: a.address, weight: 3 }, b.address], { algorithm: 'weightedRoundRobin' }),
        uncheckedGroup('load', [{ address: a.address, weight: 2 }, { address: b.address, backup: true }, c.address], {
          algorithm: 'weightedLeastConnections',
        }),
        uncheckedGroup('full', [{ address: a.address, maxConnections: 1 }]),
        uncheckedGroup('resting', [{ address: a.address, mode: 'maintenance' }]),
        { name: 'dead', upstreamServers: [refusing] },
      ],
      clients: [
        { clientId: 'anywhere', allowedTargetGroups: ['web', 'turns', 'weighted', 'load'] },
        { clientId: 'web-only', allowedTargetGroup: 'web' },
        { clientId: 'spiffe://test/turns', allowedTargetGroup: 'load' },
        limited('thrice', { connectionRate: { limit: 3, window: WINDOW } }),
        limited('slowly', { connectionRate: { algorithm: 'tokenBucket', limit: 2, window: WINDOW, action: 'delay', maxDelay: '1s' } }),
        limited('once', { concurrentConnections: 1 }),
        { clientId: 'nowhere', allowedTargetGroups: ['full', 'dead'] },
        { clientId: 'crowded', allowedTargetGroup: 'full' },
        { clientId: 'resting', allowedTargetGroup: 'resting' },
        { clientId: 'dead', allowedTargetGroup: 'dead' },
        { clientId: 'twin-1', match: { ou: 'twins' }, allowedTargetGroup: 'web' },
        { clientId: 'twin-2', match: { cn: 'x' }, allowedTargetGroup: 'web' },
      ],
    },
  });
  // The start waits a second at most for the first probes.
  await balancer.until(({ health }) => health.statusOf('dead', refusing)?.health === 'unhealthy');
  const fingerprint = createHash('sha256').update(new X509Certificate(revokedAtRunTime.certPem).raw).digest('hex');
  await balancer.lb.execute({ kind: 'revokeCertificate', revocation: { fingerprint, comment: 'lost', atMs: Date.now() } });

  // Held for the whole test: the only place of `full`, and the only one of the client `once`.
  for (const [name, servername] of [
    ['crowded', 'localhost'],
    ['once', 'x.turns.test'],
  ] as const) {
    const port = balancer.port(name === 'once' ? 'routed' : 'any');
    const held = balancer.connect(t, { certificate: certificates[name], port, servername, tls: { checkServerIdentity: () => undefined } });
    held.socket.write('held\n');
    await held.readUntil('held\n');
  }

  const cases = fc.record({
    who: fc.constantFrom(...Object.keys(certificates)),
    listener: fc.constantFrom('any', 'web', 'routed', 'routed'),
    sni: fc.constantFrom(undefined, 'localhost', 'A.turns.test', 'weighted.test'),
    alpn: fc.constantFrom(undefined, 'web', 'h2', 'smtp'),
    askedBefore: fc.integer({ min: 1, max: 5 }),
  });
  const seen = new Set<string>();
  // Every certificate, and lots on top.
  const examples = Object.keys(certificates).flatMap((who) =>
    (['any', 'web'] as const).map((listener) => ({ who, listener, sni: undefined, alpn: undefined, askedBefore: 1 })),
  );
  const again = examples.filter(({ who }) => who === 'thrice' || who === 'slowly');
  for (const one of [...examples, ...again, ...again, ...fc.sample(cases, { numRuns: CASES, seed: 20_260_731 })]) {
    const { who, listener, sni, alpn, askedBefore } = one;
    const certificate = certificates[who];
    assert.ok(certificate !== undefined);
    const question: ExplainQuestion = {
      peer: { kind: 'certificate', chainPem: [certificate.certPem] },
      listener,
      sni: sni?.toLowerCase(),
      alpn,
    };
    let explained = await balancer.lb.explain(question);
    for (let times = 1; times < askedBefore; times++) {
      assert.equal(withoutTime(await balancer.lb.explain(question)), withoutTime(explained), 'asking uses nothing up');
      explained = await balancer.lb.explain(question);
    }
    assert.ok(explained !== undefined);

    const client = balancer.connect(t, {
      certificate,
      port: balancer.port(listener),
      servername: sni ?? '',
      tls: { checkServerIdentity: () => undefined },
      ...(alpn === undefined ? {} : { alpn: [alpn] }),
    });
    client.socket.write('hello\n');
    const got = await Promise.race([
      client.readUntil('hello\n').then(
        () => 'served',
        () => 'refused',
      ),
      client.ending.then(() => 'refused'),
    ]);
    client.socket.end();
    const line = await balancer.nextLine();
    const about = JSON.stringify({ one, explained, line });
    assert.equal(explained.refusal, isRefusal(line.reason) ? line.reason : undefined, about);
    assert.equal(explained.refusal === undefined, got === 'served', about);
    assert.equal(explained.clientId, line.client, about);
    assert.equal(explained.targetGroup, line.group, about);
    assert.equal(explained.pick, line.server, about);
    assert.equal(new Set(explained.steps.map(({ name }) => name)).size, explained.steps.length, about);
    assert.equal(
      explained.steps.every(({ passed }) => passed),
      explained.refusal === undefined,
      about,
    );
    if (explained.refusal !== undefined && explained.steps.at(-1)?.name !== 'certificate') {
      if (explained.refusal !== 'handshake_failed' && explained.refusal !== 'rate_limited')
        assert.ok(explained.steps.at(-1)?.detail.startsWith(line.detail ?? ''), about);
    }
    seen.add(explained.refusal ?? 'served');
  }
  assert.deepEqual([...seen].sort(), [
    'ambiguous_identity',
    'certificate_expired',
    'certificate_revoked',
    'certificate_untrusted',
    'handshake_failed',
    'no_healthy_upstream',
    'no_route',
    'not_authorized',
    'rate_limited',
    'served',
    'too_many_connections',
    'unknown_client',
  ]);
});
