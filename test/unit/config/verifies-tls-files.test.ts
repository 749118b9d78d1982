import assert from 'node:assert/strict';
import { createPrivateKey, X509Certificate } from 'node:crypto';
import { chmodSync, mkdirSync, rmdirSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { type TestContext, test } from 'node:test';
import tls from 'node:tls';
import { DEFAULT_CIPHERS } from '../../../src/config/ciphers.ts';
import { inspectTlsFiles, loadTlsMaterial, TlsFileError } from '../../../src/config/tls-files.ts';
import type { TlsParams } from '../../../src/domain/tls-material.ts';
import { createTestCa, type TestCa } from '../../support/certificates.ts';
import { temporaryFolder } from '../../support/temp-dir.ts';

const STRICT = { allowInsecureKeyPermissions: false };

interface Setup {
  readonly ca: TestCa;
  readonly params: TlsParams & { readonly crl: string };
  write(key: 'certificate' | 'privateKey' | 'caCert' | 'crl', content: string | Buffer): void;
}

/** A folder whose files are all good; the server certificate lasts 90 days. */
async function goodFiles(t: TestContext): Promise<Setup & { readonly certPem: string; readonly keyPem: string }> {
  const folder = await temporaryFolder(t);
  const ca = await createTestCa();
  const { certPem, keyPem } = await ca.issue({ cn: 'loadbalancer', server: true, days: 90 });
  const at = (name: string) => path.join(folder, name);
  const params = {
    certificate: at('lb.crt'),
    privateKey: at('lb.key'),
    ocspResponse: undefined,
    certificates: [],
    sessionTickets: false,
    caCert: at('ca.pem'),
    crl: at('ca.crl'),
    minVersion: 'TLSv1.2',
    ciphers: DEFAULT_CIPHERS,
  } as const;
  const write: Setup['write'] = (key, content) => writeFileSync(params[key], content, { mode: 0o600 });
  write('certificate', certPem);
  write('privateKey', keyPem);
  write('caCert', ca.caPem);
  write('crl', await ca.crl([]));
  return { ca, params, write, certPem, keyPem };
}

function refusal(params: TlsParams, options: { readonly allowInsecureKeyPermissions: boolean } = STRICT): TlsFileError {
  try {
    loadTlsMaterial(params, options);
  } catch (error) {
    assert.ok(error instanceof TlsFileError, String(error));
    assert.doesNotMatch(error.message, /\n/);
    return error;
  }
  return assert.fail('the files were taken');
}

test('good files are read, and a TLS server takes them', async (t) => {
  const { params } = await goodFiles(t);
  const { material } = loadTlsMaterial(params, STRICT);
  assert.equal(new X509Certificate(material.certificatePem).subject, 'CN=loadbalancer');
  tls.createServer({
    cert: material.certificatePem,
    key: material.privateKeyPem,
    ca: material.caPem,
    crl: material.crlPem,
    ciphers: material.ciphers,
  });
  assert.deepEqual([material.minVersion, material.ciphers], ['TLSv1.2', DEFAULT_CIPHERS]);
});

test('a file that may not be read is refused', { skip: process.getuid?.() === 0 && 'root reads every file' }, async (t) => {
  const { params } = await goodFiles(t);
  chmodSync(params.privateKey, 0);
  assert.match(refusal(params).message, /^privateKey .*: permission denied; let the user that runs this read the file$/);
});

test('without a crl there is none', async (t) => {
  const { params } = await goodFiles(t);
  assert.equal(loadTlsMaterial({ ...params, crl: undefined }, STRICT).material.crlPem, undefined);
});

for (const [key, name] of [
  ['certificate', 'lb.crt'],
  ['privateKey', 'lb.key'],
  ['caCert', 'ca.pem'],
  ['crl', 'ca.crl'],
] as const) {
  test(`a ${key} that is missing, empty, cut off, a folder or no PEM is refused by name`, async (t) => {
    const { params, write, certPem } = await goodFiles(t);
    const expectRefusal = (reason: RegExp) => {
      const error = refusal(params);
      assert.deepEqual([error.key, path.basename(error.file)], [key, name]);
      assert.match(error.message, new RegExp(`^${key} ${params[key]}: `));
      assert.match(error.reason, reason);
    };
    write(key, '');
    expectRefusal(/^the file is empty; expected /);
    write(key, 'nonsense\n');
    expectRefusal(/^there is no PEM block in it; expected /);
    write(key, certPem.slice(0, 200));
    expectRefusal(/^the CERTIFICATE that begins in line 1 has no END; the file is cut off, copy it again$/);
    write(key, '-----END CERTIFICATE-----\n');
    expectRefusal(/^the END in line 1 has no BEGIN; the file is damaged$/);
    write(key, new X509Certificate(certPem).raw);
    expectRefusal(/it looks like DER/);
    rmSync(params[key]);
    expectRefusal(/^there is no such file$/);
    mkdirSync(params[key]);
    expectRefusal(/^this is a folder; expected a file$/);
    rmdirSync(params[key]);
    symlinkSync('/dev/null', params[key]);
    expectRefusal(/^this is a device; expected a regular file: write what it gives into one and name that$/);
  });
}

test('blocks that hold garbage are refused', async (t) => {
  const { params, write, certPem, keyPem, ca } = await goodFiles(t);
  const garbage = (label: string) => `-----BEGIN ${label}-----\nAAAA\n-----END ${label}-----\n`;
  write('certificate', garbage('CERTIFICATE'));
  assert.match(refusal(params).message, /^certificate .*: the block in line 1 is not a certificate; the file is damaged$/);
  write('certificate', certPem);
  write('privateKey', garbage('PRIVATE KEY'));
  assert.match(refusal(params).message, /^privateKey .*: the block in line 1 is not a private key; the file is damaged$/);
  write('privateKey', keyPem);
  write('caCert', `${ca.caPem}\n${garbage('CERTIFICATE')}`);
  assert.match(refusal(params).message, /^caCert .*: the block in line \d+ is not a certificate; the file is damaged$/);
  write('caCert', ca.caPem);
  write('crl', garbage('X509 CRL'));
  assert.match(refusal(params).message, /^crl .*: the block in line 1 is not a revocation list; the file is damaged$/);
});

test('a private key of another certificate is refused', async (t) => {
  const { ca, params, write } = await goodFiles(t);
  write('privateKey', (await ca.issueServer()).keyPem);
  assert.match(refusal(params).message, /^privateKey .*lb\.key: the key does not match the certificate in .*lb\.crt; name the key/);
});

test('a chain is taken when the leaf comes first, and explained when it does not', async (t) => {
  const { ca, params, write, certPem } = await goodFiles(t);
  write('certificate', `subject=CN=loadbalancer\n${certPem}\n${ca.caPem}`);
  assert.equal(loadTlsMaterial(params, STRICT).material.certificatePem.match(/BEGIN CERTIFICATE/g)?.length, 2);
  write('certificate', ca.caPem + certPem);
  assert.match(
    refusal(params).reason,
    /^the key belongs to a later certificate in .*lb\.crt; put the server's own certificate first there$/,
  );
});

test('an encrypted key is refused with how to decrypt it', async (t) => {
  const { params, write, keyPem } = await goodFiles(t);
  const key = createPrivateKey(keyPem);
  write('privateKey', key.export({ type: 'pkcs8', format: 'pem', cipher: 'aes-256-cbc', passphrase: 'secret' }));
  assert.match(
    refusal(params).reason,
    /^the key is encrypted; decrypt it with openssl pkey -in .*lb\.key -out NEW\.key, and name that file$/,
  );
  write('privateKey', key.export({ type: 'sec1', format: 'pem', cipher: 'aes-256-cbc', passphrase: 'secret' }));
  assert.match(refusal(params).reason, /^the key is encrypted; /);
});

test('a key in its older form, with parameters beside it, is taken', async (t) => {
  const { params, write, keyPem } = await goodFiles(t);
  write(
    'privateKey',
    `-----BEGIN EC PARAMETERS-----\nBggqhkjOPQMBBw==\n-----END EC PARAMETERS-----\n${createPrivateKey(keyPem).export({ type: 'sec1', format: 'pem' })}`,
  );
  assert.match(loadTlsMaterial(params, STRICT).material.privateKeyPem, /^-----BEGIN EC PRIVATE KEY-----/);
});

test('two keys in one file are refused', async (t) => {
  const { params, write, keyPem } = await goodFiles(t);
  write('privateKey', keyPem + keyPem);
  assert.match(refusal(params).reason, /^there are 2 private keys in it; expected one$/);
});

test('a key that every user may read is refused, unless that is allowed', async (t) => {
  const { params } = await goodFiles(t);
  chmodSync(params.privateKey, 0o644);
  assert.match(
    refusal(params).message,
    /^privateKey (.*): every user may read it \(mode 0644\); run chmod 600 \1, or allow it with --insecure-key-permissions$/,
  );
  assert.ok(loadTlsMaterial(params, { allowInsecureKeyPermissions: true }).material.privateKeyPem.length > 0);
  chmodSync(params.privateKey, 0o640);
  assert.ok(loadTlsMaterial(params, STRICT).material.privateKeyPem.length > 0);
});

test('what is no CA is refused as one', async (t) => {
  const { ca, params, write, certPem, keyPem } = await goodFiles(t);
  write('caCert', `${ca.caPem}${certPem}`);
  assert.match(refusal(params).message, /^caCert .*: the certificate in line \d+ is not a CA certificate \(CA:TRUE\); name the CA/);
  write('caCert', `${ca.caPem}${keyPem}`);
  assert.match(refusal(params).message, /^caCert .*: line \d+ begins a PRIVATE KEY; expected CA certificates only$/);
});

test('a bundle of CAs with comments between them is taken whole', async (t) => {
  const { ca, params, write } = await goodFiles(t);
  write('caCert', `# first\r\n${ca.caPem.replaceAll('\n', '\r\n')}# second\n${(await createTestCa({ name: 'other CA' })).caPem}`);
  assert.equal(loadTlsMaterial(params, STRICT).material.caPem.match(/BEGIN CERTIFICATE/g)?.length, 2);
});

test('a revocation list under the label that OpenSSL does not read is explained', async (t) => {
  const { ca, params, write, certPem } = await goodFiles(t);
  write('crl', (await ca.crl([])).replaceAll('X509 CRL', 'CRL'));
  assert.match(refusal(params).message, /^crl .*: line 1 says BEGIN CRL, which OpenSSL does not read; write X509 CRL in place of CRL/);
  write('crl', certPem);
  assert.match(refusal(params).message, /^crl .*: line 1 begins a CERTIFICATE; expected -----BEGIN X509 CRL-----$/);
});

test('certificates that have expired or soon will are warned of', async (t) => {
  const { params } = await goodFiles(t);
  const warnings = (days: number) =>
    loadTlsMaterial({ ...params, crl: undefined }, { ...STRICT, nowMs: Date.now() + days * 86_400_000 }).warnings.filter((line) =>
      line.startsWith('certificate '),
    );
  assert.deepEqual(warnings(0), []);
  assert.match(warnings(61).join(), /^certificate .*lb\.crt: "CN=loadbalancer" expires on \d{4}-\d\d-\d\d; renew it$/);
  assert.match(warnings(91).join(), /^certificate .*lb\.crt: "CN=loadbalancer" expired on \d{4}-\d\d-\d\d; renew it$/);
  assert.match(
    warnings(-2).join(),
    /^certificate .*lb\.crt: "CN=loadbalancer" is valid only from \d{4}-\d\d-\d\d; look at the clock of this machine$/,
  );
});

test('a revocation list that would lock everybody out is refused', async (t) => {
  const { ca, params, write } = await goodFiles(t);
  write('crl', await ca.crl([], { expired: true }));
  assert.match(refusal(params).message, /^crl .*: the list of "CN=test CA" ended at .*; have the CA write a new one$/);
  const other = await createTestCa({ name: 'another CA' });
  write('crl', await other.crl([]));
  assert.match(refusal(params).message, /^crl .*: the list of "CN=another CA" is of no CA in .*ca\.pem; name the list of a CA that is$/);
});

test('a revocation list is warned of a day before it ends, and where it leaves out a CA', async (t) => {
  const { ca, params, write } = await goodFiles(t);
  write('crl', await ca.crl([], { days: 2 }));
  const warnings = (nowMs: number) => loadTlsMaterial(params, { ...STRICT, nowMs }).warnings.filter((line) => line.startsWith('crl '));
  assert.deepEqual(warnings(Date.now()), []);
  assert.match(
    warnings(Date.now() + 90_000_000).join(),
    /^crl .*: the list of "CN=test CA" ends at \S+, and then every client of that CA is refused; renew it$/,
  );
  const nearEnd = Date.now() + 90_000_000;
  write('crl', (await ca.crl([], { days: 2 })) + (await ca.crl([], { days: 4 })));
  assert.deepEqual(warnings(nearEnd), [], 'its successor is there');
  assert.match(warnings(nearEnd + 2 * 86_400_000).join(), /^crl [^;]*: the list of "CN=test CA" in line \d+ ends at [^;]*; renew it$/);
  write('crl', await ca.crl([], { days: 2 }));
  const other = await createTestCa({ name: 'another CA' });
  write('caCert', ca.caPem + other.caPem);
  assert.match(warnings(Date.now()).join(), /^crl .*: there is no list of "CN=another CA", so its clients are all refused$/);
});

test('every file that is wrong is named, not just the first', async (t) => {
  const { params, write } = await goodFiles(t);
  write('certificate', '');
  write('caCert', 'nonsense');
  const inspected = inspectTlsFiles(params, STRICT);
  assert.deepEqual('errors' in inspected ? inspected.errors.map(({ key }) => key) : [], ['certificate', 'caCert']);
});
