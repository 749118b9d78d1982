import assert from 'node:assert/strict';
import { X509Certificate } from 'node:crypto';
import { describe, test } from 'node:test';
import { status as Code } from '@grpc/grpc-js';
import { parseCidr } from '../../src/domain/cidr.ts';
import { ANY_NAME_MATCH } from '../../src/domain/model.ts';
import {
  AddClientRequest,
  AdminServiceClient,
  ApplyConfigRequest,
  RevokeCertificateRequest,
  RollbackConfigRequest,
  AdminServiceService as rpc,
  UpdateClientRequest,
} from '../../src/gen/lb/admin/v1/admin.ts';
import { ask, refused, startAdmin } from '../support/admin-server.ts';
import { sampleClient } from '../support/sample-state.ts';

type Match = NonNullable<Parameters<typeof AddClientRequest.fromPartial>[0]['client']>['match'];

function add(client: AdminServiceClient, clientId: string, match?: Match) {
  const wanted = { clientId, allowedTargetGroups: ['web'], ...(match === undefined ? {} : { match }) };
  return ask(client, rpc.addClient, AddClientRequest.fromPartial({ client: wanted }));
}

function update(client: AdminServiceClient, clientId: string, match: Match) {
  return ask(client, rpc.updateClient, UpdateClientRequest.fromPartial({ client: { clientId, ...(match && { match }) } }));
}

/** A configuration with the groups of the test server and these clients, as YAML flow mappings. */
function config(...clients: readonly string[]): string {
  return `listeners: [{name: main, address: "127.0.0.1:8080"}]
tlsParams: {certificate: lb.crt, privateKey: lb.key, caCert: ca.pem}
store: {kind: memory}
workers: 2
admin: {roles: {viewer: [], operator: [], admin: []}}
targetGroups: [{name: web, upstreamServers: ["127.0.0.1:8081"]}, {name: db, upstreamServers: []}]
clients: [${clients.join(', ')}]
`;
}

const fingerprintOf = (pem: string) => new X509Certificate(pem).fingerprint256.replaceAll(':', '').toLowerCase();

describe('a client', () => {
  for (const cidr of ['10.0.0.1/8', '300.0.0.0/8', 'foo']) {
    test(`of the network ${cidr} is refused for what it is`, async (t) => {
      const admin = await startAdmin(t);
      const boss = await admin.as('admin');
      const problem = parseCidr(cidr);
      assert.ok('problem' in problem);
      for (const call of [add(boss, 'other', { cidr }), update(boss, 'clientA', { cidr })]) {
        const { code, message } = await refused(call);
        assert.equal(code, Code.INVALID_ARGUMENT);
        assert.ok(message.includes(problem.problem), message);
      }
    });
  }

  test('of a network is told apart from those of certificates, and from others of the network', async (t) => {
    const boss = await (await startAdmin(t)).as('admin');
    await add(boss, 'team', { ou: 'Payments' });
    assert.deepEqual((await add(boss, 'lan', { cidr: '10.0.0.0/8' })).warnings, []);
    const { message } = await refused(add(boss, 'again', { cidr: '10.0.0.0/8' }));
    assert.match(message, /the network 10\.0\.0\.0\/8 of client "again" would be that of client "lan" too/);
    assert.doesNotMatch((await add(boss, 'more', { ou: 'Other' })).warnings.join(), /lan/);
  });

  test('that cannot be told from another is refused, and one that perhaps cannot is a warning', async (t) => {
    const admin = await startAdmin(t);
    const boss = await admin.as('admin');
    for (const match of [{ cn: 'clientA' }, { dns: 'CLIENTA' }, { uri: 'clientA', ou: 'any' }]) {
      const { code, reason, message } = await refused(add(boss, 'other', match));
      assert.deepEqual([code, reason], [Code.FAILED_PRECONDITION, 'CLIENT_OVERLAP']);
      assert.match(message, /every certificate of client "other" would be one of client "clientA" too.*ambiguous_identity/);
    }
    assert.equal(admin.authority.snapshot.revision, 1, 'nothing has changed');
    assert.deepEqual((await add(boss, 'one', { dns: 'shared', uri: 'spiffe://one' })).warnings, []);
    const { warnings } = await add(boss, 'two', { dns: 'shared', cn: 'two' });
    assert.equal(warnings.length, 1);
    assert.match(warnings[0] ?? '', /may be both client "two" and client "one"/);
    assert.match((await add(boss, 'team', { ou: 'Payments' })).warnings.join(), /every certificate of the organizational unit "Payments"/);
    assert.match((await add(boss, 'late')).warnings.join(), /client "team" is every certificate of the organizational unit "Payments"/);
  });

  test('is held to it when its match changes, and not when something else does', async (t) => {
    const admin = await startAdmin(t);
    const boss = await admin.as('admin');
    await add(boss, 'other');
    assert.equal((await refused(update(boss, 'other', { cn: 'clientA' }))).reason, 'CLIENT_OVERLAP');
    await admin.authority.execute({ kind: 'addClient', client: sampleClient('Other', ['web']) }, { actor: 'library' });
    assert.deepEqual((await update(boss, 'clientA', { cn: 'A' })).warnings, []);
    const limits = { concurrentConnections: 1 };
    const reply = await ask(boss, rpc.updateClient, UpdateClientRequest.fromPartial({ client: { clientId: 'Other', limits } }));
    assert.deepEqual(reply.warnings, []);
    assert.match((await refused(add(boss, 'clientA', { cn: 'other' }))).message, /exists already/);
  });

  test("that takes an administrator's certificate is refused: the caller's, one who has called, and every one of a rule", async (t) => {
    const admin = await startAdmin(t);
    const boss = await admin.as('admin');
    const jane = await admin.connect(AdminServiceClient, await admin.ca.issue({ cn: 'jane', ou: 'auditors' }));
    const lockouts: readonly [string, Match, RegExp][] = [
      ['admin', undefined, /matches your own certificate "admin"/],
      ['x', { cn: 'operator' }, /matches every certificate with cn "operator", the role operator by admin\.roles/],
      ['x', { ou: 'auditors' }, /matches every certificate with ou "auditors", the role viewer/],
    ];
    for (const [clientId, match, message] of lockouts) {
      const refusal = await refused(add(boss, clientId, match));
      assert.deepEqual([refusal.code, refusal.reason], [Code.FAILED_PRECONDITION, 'ADMIN_LOCKOUT']);
      assert.match(refusal.message, message);
    }
    assert.match((await add(boss, 'robot', { cn: 'robot', ou: 'auditors' })).warnings.join(), /has the role viewer by ou "auditors"/);
    await ask(jane, rpc.getLogLevel, {});
    assert.match((await refused(add(boss, 'jane'))).message, /the certificate "jane" of another administrator/);
  });

  test('of a configuration is held to the same, in the plan as in the change, and a rollback only warns of two', async (t) => {
    const admin = await startAdmin(t);
    const boss = await admin.as('admin');
    const plan = (text: string) => ask(boss, rpc.planConfig, { config: text });
    const apply = (text: string) => ask(boss, rpc.applyConfig, ApplyConfigRequest.fromPartial({ config: text }));
    for (const call of [plan, apply]) {
      const overlap = await refused(
        call(config('{clientId: a, allowedTargetGroup: web}', '{clientId: b, match: {cn: a}, allowedTargetGroup: web}')),
      );
      assert.deepEqual([overlap.code, overlap.reason], [Code.INVALID_ARGUMENT, 'INVALID_CONFIG']);
      assert.match(overlap.message, /^config:\d+:\d+ clients\[1\]\.match: expected a match that tells it from "a"/);
      const lockout = await refused(call(config('{clientId: admin, allowedTargetGroup: web}')));
      assert.equal(lockout.reason, 'ADMIN_LOCKOUT');
    }
    const doubtful = config(
      '{clientId: a, match: {dns: x, uri: "spiffe://a"}, allowedTargetGroup: web}',
      '{clientId: b, match: {dns: x, cn: b}, allowedTargetGroup: web}',
    );
    const planned = await plan(doubtful);
    assert.equal(planned.warnings.length, 1);
    assert.deepEqual((await apply(doubtful)).warnings, planned.warnings);

    for (const clientId of ['same', 'SAME']) {
      const client = sampleClient(clientId, ['web'], {
        match: { ...ANY_NAME_MATCH, dns: 'same' },
      });
      await admin.authority.execute({ kind: 'addClient', client }, { actor: 'library' });
    }
    const then = admin.authority.snapshot.revision;
    await apply(doubtful);
    const back = await ask(boss, rpc.rollbackConfig, RollbackConfigRequest.fromPartial({ toRevision: BigInt(then) }));
    assert.match(back.warnings.join(), /every certificate of client "(same|SAME)" is one of client/);
  });
});

describe("the caller's own certificate", () => {
  test('is revoked only when that is meant', async (t) => {
    const admin = await startAdmin(t);
    const boss = await admin.as('admin');
    const { certPem } = await admin.certificate('admin');
    const revoke = (allowSelf: boolean) =>
      ask(
        boss,
        rpc.revokeCertificate,
        RevokeCertificateRequest.fromPartial({ certificateId: { $case: 'certificate', value: certPem }, allowSelf }),
      );
    const refusal = await refused(revoke(false));
    assert.deepEqual([refusal.code, refusal.reason], [Code.FAILED_PRECONDITION, 'ADMIN_LOCKOUT']);
    assert.match(refusal.message, /your own certificate "admin".*another administrator.*allow_self \(lbctl revoke --yes-lock-me-out\)/);
    assert.equal(admin.authority.snapshot.revocations.size, 0);
    await revoke(true);
    assert.equal((await refused(ask(boss, rpc.getState, {}))).reason, 'CERTIFICATE_REVOKED');
  });

  test('is not revoked by a configuration either', async (t) => {
    const admin = await startAdmin(t);
    const boss = await admin.as('admin');
    const { certPem } = await admin.certificate('admin');
    const text = `${config()}revokedCertificates: [{fingerprint: "${fingerprintOf(certPem)}"}]\n`;
    assert.equal((await refused(ask(boss, rpc.planConfig, { config: text }))).reason, 'ADMIN_LOCKOUT');
  });

  test('another is revoked once, and then it says since when', async (t) => {
    const admin = await startAdmin(t);
    const boss = await admin.as('admin');
    const { certPem } = await admin.certificate('viewer');
    const request = RevokeCertificateRequest.fromPartial({ certificateId: { $case: 'certificate', value: certPem } });
    const made = await ask(boss, rpc.revokeCertificate, request);
    const again = await ask(boss, rpc.revokeCertificate, request);
    const [revocation] = admin.authority.snapshot.revocations.values();
    assert.deepEqual([again.revision, again.alreadyRevokedAt?.getTime()], [made.revision, revocation?.atMs]);
    assert.deepEqual(
      [made.alreadyRevokedAt, admin.enforced.map(({ anew }) => anew)],
      [undefined, [undefined, { fingerprint: revocation?.fingerprint }]],
    );
  });
});
