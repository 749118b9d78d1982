import assert from 'node:assert/strict';
import 'reflect-metadata';
import { constants, createPublicKey, generateKeyPairSync, type KeyObject, sign, webcrypto } from 'node:crypto';
import { test } from 'node:test';
import * as x509 from '@peculiar/x509';
import { readRevocationList } from '../../../src/config/crl.ts';
import { isSignedWith, type Signed } from '../../../src/config/signature.ts';
import { derValues } from '../../../src/domain/der.ts';

const MESSAGE = Buffer.from('what is signed');
const RSA = generateKeyPairSync('rsa', { modulusLength: 2048 });
const ED448 = generateKeyPairSync('ed448');

/** As a CA writes it: `algorithm` is DER in hex. */
function signed(algorithm: string, signature: Buffer): Signed {
  return { signed: MESSAGE, algorithm: derValues(Buffer.from(algorithm.replaceAll(' ', ''), 'hex'))[0], signature };
}

const pss = (hash: string, saltLength: number) =>
  sign(hash, MESSAGE, { key: RSA.privateKey, padding: constants.RSA_PKCS1_PSS_PADDING, saltLength });

for (const [name, algorithm] of Object.entries({
  'RSA PKCS #1 with SHA-256': { name: 'RSASSA-PKCS1-v1_5', hash: 'SHA-256' },
  'RSA PKCS #1 with SHA-512': { name: 'RSASSA-PKCS1-v1_5', hash: 'SHA-512' },
  'RSA PKCS #1 with SHA-1': { name: 'RSASSA-PKCS1-v1_5', hash: 'SHA-1' },
  'RSA-PSS with SHA-256': { name: 'RSA-PSS', hash: 'SHA-256', saltLength: 32 },
  'RSA-PSS with SHA-384': { name: 'RSA-PSS', hash: 'SHA-384', saltLength: 48 },
  'ECDSA with P-256': { name: 'ECDSA', namedCurve: 'P-256', hash: 'SHA-256' },
  'ECDSA with P-384': { name: 'ECDSA', namedCurve: 'P-384', hash: 'SHA-384' },
  'ECDSA with P-521': { name: 'ECDSA', namedCurve: 'P-521', hash: 'SHA-512' },
  Ed25519: { name: 'Ed25519' },
})) {
  test(`a list is its CA's with ${name}, and no other CA's or list's`, async () => {
    const [keys, others] = [await newKeys(algorithm), await newKeys(algorithm)];
    const list = await x509.X509CrlGenerator.create({
      issuer: 'CN=test CA',
      thisUpdate: new Date(),
      signingAlgorithm: algorithm,
      signingKey: keys.privateKey,
    });
    const read = readRevocationList(x509.PemConverter.encode(list.rawData, 'X509 CRL'));
    assert.equal(isSignedWith(read, await publicKey(keys)), true);
    assert.equal(isSignedWith(read, await publicKey(others)), false);
    assert.equal(isSignedWith({ ...read, signed: Buffer.concat([read.signed, Buffer.of(0)]) }, await publicKey(keys)), false);
    assert.equal(isSignedWith(read, ED448.publicKey), false, 'a key of another kind');
  });
}

test('RSA-PSS has defaults for what it leaves out', () => {
  assert.equal(isSignedWith(signed('300d 06092a864886f70d01010a 3000', pss('sha1', 20)), RSA.publicKey), true);
  assert.equal(isSignedWith(signed('300d 06092a864886f70d01010a 3000', pss('sha256', 32)), RSA.publicKey), false);
});

test('what cannot be checked is neither good nor bad', () => {
  const anything = sign('sha256', MESSAGE, RSA.privateKey);
  // RSA with SHA3-256; RSA-PSS whose mask is of another hash; RSA-PSS without parameters.
  assert.equal(isSignedWith(signed('300d 060960864801650304030e 0500', anything), RSA.publicKey), undefined);
  const otherMask = '301e 06092a864886f70d01010a 3011 a00f300d06096086480165030402010500';
  assert.equal(isSignedWith(signed(otherMask, anything), RSA.publicKey), undefined);
  assert.equal(isSignedWith(signed('300b 06092a864886f70d01010a', anything), RSA.publicKey), undefined);
});

test('a damaged algorithm has signed nothing', () => {
  const anything = sign('sha256', MESSAGE, RSA.privateKey);
  assert.equal(isSignedWith(signed('3000', anything), RSA.publicKey), false);
  assert.equal(isSignedWith({ signed: MESSAGE, algorithm: undefined, signature: anything }, RSA.publicKey), false);
});

test('Ed448 is checked too', () => {
  assert.equal(isSignedWith(signed('3005 06032b6571', sign(null, MESSAGE, ED448.privateKey)), ED448.publicKey), true);
  assert.equal(isSignedWith(signed('3005 06032b6571', Buffer.alloc(114)), ED448.publicKey), false);
});

async function newKeys(algorithm: object): Promise<webcrypto.CryptoKeyPair> {
  const wanted = { modulusLength: 2048, publicExponent: new Uint8Array([1, 0, 1]), name: '', hash: 'SHA-256', ...algorithm };
  const keys = await webcrypto.subtle.generateKey(wanted, true, ['sign', 'verify']);
  assert.ok('privateKey' in keys);
  return keys;
}

async function publicKey({ publicKey }: webcrypto.CryptoKeyPair): Promise<KeyObject> {
  return createPublicKey({ key: Buffer.from(await webcrypto.subtle.exportKey('spki', publicKey)), format: 'der', type: 'spki' });
}
