import assert from 'node:assert/strict';
import { copyFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { type TestContext, test } from 'node:test';
import type { KeyAndCertificate } from '../../../certs/issuing.ts';
import { DEFAULT_CIPHERS } from '../../../src/config/ciphers.ts';
import { inspectTlsFiles, loadTlsMaterial } from '../../../src/config/tls-files.ts';
import { loadUpstreamTls } from '../../../src/config/upstream-tls-files.ts';
import type { UpstreamTls } from '../../../src/domain/model.ts';
import type { TlsParams } from '../../../src/domain/tls-material.ts';
import { createTestCa } from '../../support/certificates.ts';
import { temporaryFolder } from '../../support/temp-dir.ts';

const STRICT = { allowInsecureKeyPermissions: false };

/** A folder with a good server certificate, and another to write in its place. */
async function served(t: TestContext) {
  const ca = await createTestCa();
  const { caCert, lb } = await ca.writeTo(await temporaryFolder(t), { lb: await ca.issueServer() });
  const params: TlsParams = {
    ...lb,
    caCert,
    ocspResponse: undefined,
    certificates: [],
    sessionTickets: false,
    crl: undefined,
    minVersion: 'TLSv1.2',
    ciphers: DEFAULT_CIPHERS,
  };
  const write = ({ certPem, keyPem }: KeyAndCertificate) => {
    writeFileSync(lb.certificate, certPem);
    writeFileSync(lb.privateKey, keyPem);
  };
  return { ca, params, write };
}

test('a server certificate that is of another purpose is taken, with what comes of it', async (t) => {
  const { ca, params, write } = await served(t);
  const purpose = () => loadTlsMaterial(params, STRICT).warnings.filter((line) => line.includes('serverAuth'));
  assert.deepEqual(purpose(), []);
  const { certPem, keyPem } = await ca.issue({ cn: 'for clients', days: 90 });
  write({ certPem, keyPem });
  assert.deepEqual(purpose(), [
    `certificate ${params.certificate}: "CN=for clients" is not for servers (its extended key usage lacks serverAuth), so clients refuse it; have the CA issue one with serverAuth`,
  ]);
});

test('a certificate for upstream servers that is not for clients is taken, with what comes of it', async (t) => {
  const { ca, params, write } = await served(t);
  const { certificate, privateKey } = params;
  const settings: UpstreamTls = {
    ca: undefined,
    serverName: undefined,
    insecureSkipVerify: false,
    clientCertificate: { certificate, privateKey },
  };
  const purpose = () => loadUpstreamTls(settings, STRICT).warnings.filter((line) => line.includes('Auth'));
  assert.deepEqual(purpose(), [
    `upstreamTls.certificate ${certificate}: "CN=loadbalancer" is not for clients (its extended key usage lacks clientAuth), so servers that ask for one refuse it; have the CA issue one with clientAuth`,
  ]);
  write(await ca.issue({ cn: 'for clients', days: 90 }));
  assert.deepEqual(purpose(), []);
});

test('an ended certificate is taken, but not in the place of one that has not ended', async (t) => {
  const { ca, params, write } = await served(t);
  const named = { certificate: path.join(path.dirname(params.certificate), 'named.crt'), privateKey: params.privateKey };
  copyFileSync(params.certificate, named.certificate);
  const two = { ...params, certificates: [{ ...named, ocspResponse: undefined }] };
  const good = loadTlsMaterial(two, STRICT).material;
  const { certPem, keyPem } = await ca.issue({ cn: 'ended', server: true, expired: true });
  write({ certPem, keyPem });
  writeFileSync(named.certificate, certPem);
  const ended = loadTlsMaterial(two, STRICT);
  assert.match(ended.warnings[0] ?? '', /^certificate \S+: "CN=ended" expired on /);
  const inspected = inspectTlsFiles(two, STRICT, good);
  assert.ok('errors' in inspected);
  assert.deepEqual(
    inspected.errors.map(({ key }) => key),
    ['certificate', 'certificates[0].certificate'],
  );
  assert.match(inspected.errors[0]?.reason ?? '', /^"CN=ended" ended at \S+Z: with it every client would refuse lbd; renew it$/);
  assert.equal(loadTlsMaterial(two, STRICT, ended.material).material.certificatePem, ended.material.certificatePem, 'no worse than before');
});
