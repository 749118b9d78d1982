import assert from 'node:assert/strict';
import { constants, generateKeyPairSync, getCurves, type KeyObject, sign, X509Certificate } from 'node:crypto';
import { describe, test } from 'node:test';
import { createSecureContext } from 'node:tls';
import fc from 'fast-check';
import { DER_TAG, derValues, valuesIn } from '../../../src/domain/der.ts';
import { rewrittenCertificates } from '../../../src/domain/signature-malleability.ts';
import { createTestCa } from '../../support/certificates.ts';
import { certificateOf, der, integer, pemOf, signedBy, twinOf } from '../../support/rewritten-certificates.ts';

const ca = await createTestCa();
const leaf = await ca.issue({ cn: 'alice' });
const ORDER_OF_P256 = 0xffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551n;
const RSA_PSS_SHA256 = Buffer.from(
  '304106092a864886f70d01010a3034a00f300d06096086480165030402010500a11c301a06092a864886f70d010108300d06096086480165030402010500a203020120',
  'hex',
);
const RSA_SHA256 = Buffer.from('300d06092a864886f70d01010b0500', 'hex');
const ED25519 = Buffer.from('300506032b6570', 'hex');

/** Those of the rewritten certificates that the issuer's key says it has signed. */
function good(certificate: Buffer, issuer: KeyObject): readonly Buffer[] {
  return rewrittenCertificates(certificate).filter((each) => new X509Certificate(each).verify(issuer));
}

function isAmong(certificate: Buffer, all: readonly Buffer[]): boolean {
  return all.some((each) => each.equals(certificate));
}

describe('a certificate signed with ECDSA has one twin, whose twin it is, on the curve', () => {
  for (const namedCurve of getCurves()) {
    const pair = keysOn(namedCurve);
    if (pair === undefined) continue;
    test(namedCurve, () => {
      const { privateKey, publicKey } = pair;
      const certificate = signedBy({ signed: (bytes) => sign('sha256', bytes, privateKey) }, leaf.certPem);
      assert.ok(new X509Certificate(certificate).verify(publicKey));
      const [twin, ...more] = good(certificate, publicKey);
      assert.ok(twin !== undefined && more.length === 0);
      assert.ok(!twin.equals(certificate));
      assert.deepEqual(good(twin, publicKey), [certificate]);
    });
  }
});

/** undefined: OpenSSL makes none there that would be taken in TLS. */
function keysOn(namedCurve: string): { readonly privateKey: KeyObject; readonly publicKey: KeyObject } | undefined {
  try {
    const { privateKey, publicKey } = generateKeyPairSync('ec', { namedCurve });
    const spki = publicKey.export({ type: 'spki', format: 'der' });
    const own = signedBy({ signed: (bytes) => sign('sha256', bytes, privateKey), publicKey: spki }, leaf.certPem);
    createSecureContext({ cert: pemOf(own), key: privateKey.export({ type: 'pkcs8', format: 'pem' }) });
    return { privateKey, publicKey };
  } catch {
    return undefined;
  }
}

test('the curves in use are among those', () => {
  const all = ['secp224r1', 'prime256v1', 'secp384r1', 'secp521r1', 'secp256k1', 'brainpoolP256r1', 'brainpoolP512t1', 'sect571k1'];
  for (const curve of all) assert.ok(keysOn(curve), curve);
});

test('the twin is the one that is made by hand, with everything else the same', () => {
  const [first, second] = [leaf, twinOf(leaf)].map(({ certPem }) => new X509Certificate(certPem));
  assert.ok(first && second);
  assert.deepEqual(good(first.raw, new X509Certificate(ca.caPem).publicKey), [second.raw]);
  const said = ({ subject, serialNumber, validTo, publicKey }: X509Certificate) => [
    ...[subject, serialNumber, validTo],
    publicKey.export({ type: 'spki', format: 'pem' }),
  ];
  assert.deepEqual(said(second), said(first));
  assert.notEqual(second.fingerprint256, first.fingerprint256);
});

test('whatever the numbers of a signature are, the twin is DER as OpenSSL writes it, and leads back', () => {
  const [signed, algorithm] = valuesIn(derValues(new X509Certificate(leaf.certPem).raw)[0]).map(({ whole }) => whole);
  assert.ok(signed && algorithm);
  const withNumbers = (r: bigint, s: bigint) => certificateOf(signed, algorithm, der(DER_TAG.sequence, integer(r), integer(s)));
  const anything = fc.bigInt(1n, ORDER_OF_P256 - 1n);
  const short = fc.bigInt(1n, 2n ** 64n);
  fc.assert(
    fc.property(fc.bigInt(2n ** 235n, ORDER_OF_P256 - 1n), fc.oneof(anything, short), (r, s) => {
      const [certificate, twin] = [withNumbers(r, s), withNumbers(r, ORDER_OF_P256 - s)];
      const rewritten = rewrittenCertificates(certificate);
      assert.ok(isAmong(twin, rewritten));
      assert.ok(isAmong(certificate, rewrittenCertificates(twin)));
      for (const each of rewritten) assert.deepEqual(new X509Certificate(each).raw, each);
    }),
  );
});

test('a signature of RSA-PSS that begins with a zero is good without it, and each leads to the other', () => {
  const { privateKey, publicKey } = generateKeyPairSync('rsa', { modulusLength: 1024 });
  const padding = { key: privateKey, padding: constants.RSA_PKCS1_PSS_PADDING, saltLength: 32 };
  let signature = Buffer.alloc(0);
  const beginningWithZero = (bytes: Buffer) => {
    // One of 256 does; none of a hundred thousand would be a miracle.
    for (let tries = 0; tries < 100_000 && signature[0] !== 0; tries++) signature = sign('sha256', bytes, padding);
    return signature;
  };
  const certificate = signedBy({ algorithm: RSA_PSS_SHA256, signed: beginningWithZero }, leaf.certPem);
  assert.ok(new X509Certificate(certificate).verify(publicKey));
  const shorter = signedBy({ algorithm: RSA_PSS_SHA256, signed: () => signature.subarray(1) }, leaf.certPem);
  assert.ok(isAmong(shorter, good(certificate, publicKey)));
  assert.ok(isAmong(certificate, good(shorter, publicKey)));
  assert.ok(!isAmong(certificate, rewrittenCertificates(certificate)));
});

test('nobody rewrites other signatures', () => {
  const [rsa, edwards] = [generateKeyPairSync('rsa', { modulusLength: 1024 }), generateKeyPairSync('ed25519')];
  const byRsa = signedBy({ algorithm: RSA_SHA256, signed: (bytes) => sign('sha256', bytes, rsa.privateKey) }, leaf.certPem);
  assert.deepEqual(rewrittenCertificates(byRsa), []);
  const byEdwards = signedBy({ algorithm: ED25519, signed: (bytes) => sign(null, bytes, edwards.privateKey) }, leaf.certPem);
  assert.deepEqual(rewrittenCertificates(byEdwards), []);
});

test('what is no certificate has no twin', () => {
  const { raw } = new X509Certificate(leaf.certPem);
  for (let length = 0; length < raw.length; length++) assert.deepEqual(rewrittenCertificates(raw.subarray(0, length)), []);
  fc.assert(fc.property(fc.uint8Array({ maxLength: 80 }), (bytes) => assert.deepEqual(rewrittenCertificates(Buffer.from(bytes)), [])));
});
