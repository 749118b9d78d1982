import assert from 'node:assert/strict';
import { X509Certificate } from 'node:crypto';
import { test } from 'node:test';
import { auditedRequest } from '../../../src/admin/request-text.ts';
import {
  AddClientRequest,
  ApplyConfigRequest,
  ExplainRequest,
  RemoveUpstreamServerRequest,
  RevokeCertificateRequest,
  SetUpstreamServerRequest,
  UpdateClientRequest,
} from '../../../src/gen/lb/admin/v1/admin.ts';
import { createTestCa } from '../../support/certificates.ts';

test('a request is proto3 JSON: a oneof is its field, a duration is text, a mask is one text', () => {
  assert.equal(
    auditedRequest('Explain', ExplainRequest.fromPartial({ who: { $case: 'identity', value: { cn: 'a', dns: ['b'] } } })),
    '{"identity":{"cn":"a","dns":["b"]}}',
  );
  const durations: readonly [bigint, number, string][] = [
    [1n, 500_000_000, '1.5s'],
    [0n, 0, '0s'],
    [-2n, -1, '-2.000000001s'],
    [0n, -250_000_000, '-0.25s'],
  ];
  for (const [seconds, nanos, text] of durations) {
    const request = RemoveUpstreamServerRequest.fromPartial({ deadline: { seconds, nanos } });
    assert.equal(auditedRequest('RemoveUpstreamServer', request), `{"deadline":"${text}"}`);
  }
  const request = UpdateClientRequest.fromPartial({
    client: { clientId: 'a', limits: { connectionRate: { limit: 5, window: { seconds: 60n } } } },
    updateMask: ['limits.connection_rate', 'match'],
    expectedRevision: 7n,
  });
  assert.deepEqual(JSON.parse(auditedRequest('UpdateClient', request)), {
    client: { clientId: 'a', limits: { connectionRate: { limit: 5, window: '60s' } } },
    updateMask: 'limits.connectionRate,match',
    expectedRevision: '7',
  });
});

test('what was left out is left out, and a zero that was sent is there', () => {
  const request = SetUpstreamServerRequest.fromPartial({ targetGroup: 'web', server: '127.0.0.1:1', weight: 0, backup: false });
  assert.equal(auditedRequest('SetUpstreamServer', request), '{"targetGroup":"web","server":"127.0.0.1:1","weight":0,"backup":false}');
});

test('a certificate is its fingerprint and subject', async () => {
  const { certPem } = await (await createTestCa()).issue({ cn: 'stolen' });
  const fingerprint = new X509Certificate(certPem).fingerprint256.replaceAll(':', '').toLowerCase();
  const request = RevokeCertificateRequest.fromPartial({ certificateId: { $case: 'certificate', value: certPem }, comment: 'laptop' });
  assert.deepEqual(JSON.parse(auditedRequest('RevokeCertificate', request)), {
    certificate: `[certificate ${fingerprint} CN=stolen]`,
    comment: 'laptop',
  });
  const damaged = '-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n';
  const bad = RevokeCertificateRequest.fromPartial({ certificateId: { $case: 'certificate', value: damaged } });
  assert.equal(auditedRequest('RevokeCertificate', bad), '{"certificate":"[damaged certificate]"}');
});

test('what is long is cut with a mark, and a private key is not kept', () => {
  const key = '-----BEGIN PRIVATE KEY-----\nc2VjcmV0\n-----END PRIVATE KEY-----';
  const config = auditedRequest('ApplyConfig', ApplyConfigRequest.fromPartial({ config: `${key}\n${'x'.repeat(5000)}` }));
  assert.ok(!config.includes('c2VjcmV0'));
  assert.match(config, /^\{"config":"\[private key\]\\nx+… \(5014 characters\)"\}$/);
  const groups = Array.from({ length: 500 }, (_, index) => `group-${index}`);
  const client = auditedRequest('AddClient', AddClientRequest.fromPartial({ client: { clientId: 'a', allowedTargetGroups: groups } }));
  assert.deepEqual(JSON.parse(client).client.allowedTargetGroups.slice(-2), ['group-19', '… (500 in all)']);
  const wide = Array.from({ length: 20 }, () => 'é'.repeat(250));
  const cut = auditedRequest('AddClient', AddClientRequest.fromPartial({ client: { clientId: 'a', allowedTargetGroups: wide } }));
  assert.ok(Buffer.byteLength(cut) <= 2048, String(Buffer.byteLength(cut)));
  assert.match(cut, /… \(cut; \d+ bytes\)$/);
});

test('a message of another service is told as it is, and no request as nothing', () => {
  assert.equal(
    auditedRequest('Check', { service: 'lb.admin.v1.AdminService', number: 5n }),
    '{"service":"lb.admin.v1.AdminService","number":"5"}',
  );
  assert.equal(auditedRequest('GetState', undefined), '');
});
