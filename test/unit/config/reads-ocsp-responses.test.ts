import assert from 'node:assert/strict';
import { X509Certificate } from 'node:crypto';
import { test } from 'node:test';
import { readOcspResponse } from '../../../src/config/ocsp.ts';
import { Refusal } from '../../../src/config/pem-files.ts';
import { derValues, valuesIn } from '../../../src/domain/der.ts';
import { createTestCa, type TestCa } from '../../support/certificates.ts';
import { ocspResponder } from '../../support/ocsp-responder.ts';

const DAY_MS = 86_400_000;

function read(der: Buffer, certPem: string, ca: TestCa, nowMs = Date.now()) {
  return readOcspResponse(der, new X509Certificate(certPem), [new X509Certificate(ca.caPem)], nowMs);
}

test('a response is taken from the issuer or a responder of its, with its end', async (t) => {
  const ca = await createTestCa();
  const [responder, leaf] = [await ocspResponder(t, ca), await ca.issueServer()];
  const until = ({ nextUpdate }: ReturnType<typeof read>) => Math.round(((nextUpdate?.getTime() ?? 0) - Date.now()) / DAY_MS);
  assert.equal(until(read(await responder.answer(leaf), leaf.certPem, ca)), 1);
  assert.equal(until(read(await responder.answer(leaf, { signer: await responder.delegate(), days: 7 }), leaf.certPem, ca)), 7);
  assert.equal(read(await responder.answer(leaf, { days: 0 }), leaf.certPem, ca).nextUpdate, undefined);
});

test('what is no good word for the certificate is refused with the reason', async (t) => {
  const [ca, strange] = [await createTestCa(), await createTestCa()];
  const [responder, leaf, other] = [await ocspResponder(t, ca), await ca.issueServer(), await ca.issueServer()];
  const refused = (expected: RegExp, der: Buffer, nowMs?: number, authority = ca, certPem = leaf.certPem) =>
    assert.throws(
      () => read(der, certPem, authority, nowMs),
      (error) => error instanceof Refusal && expected.test(error.message),
      String(expected),
    );
  const good = await responder.answer(leaf);
  refused(/is not for this certificate/, await responder.answer(other));
  refused(/certificate is revoked/, await responder.answer(leaf, { status: 'revoked' }));
  refused(/does not know the certificate/, await responder.answer(leaf, { status: 'unknown' }));
  refused(/is not signed by the certificate's issuer/, await responder.answer(leaf, { signer: await strange.issueServer() }));
  refused(/is not signed by the certificate's issuer/, await responder.answer(leaf, { signer: await ca.issueServer() }));
  refused(/it ended at 20/, good, Date.now() + 2 * DAY_MS);
  refused(/it holds from 20/, good, Date.now() - DAY_MS);
  refused(/issuer of the certificate is not at hand/, good, Date.now(), strange);
  refused(/the responder refused to answer: tryLater/, Buffer.from('30030a0103', 'hex'));
  refused(/not an OCSP response in DER/, Buffer.from('-----BEGIN OCSP RESPONSE-----'));
  refused(/not an OCSP response in DER/, Buffer.alloc(0));
  // The same name and number, and another key.
  const namesake = await createTestCa();
  refused(/is not for this certificate/, await (await ocspResponder(t, namesake)).answer(leaf));
});

test('no response that was cut or altered is taken', async (t) => {
  const ca = await createTestCa();
  const [responder, leaf] = [await ocspResponder(t, ca), await ca.issueServer()];
  const der = await responder.answer(leaf);
  for (let length = 0; length < der.length; length++)
    assert.throws(() => read(der.subarray(0, length), leaf.certPem, ca), Refusal, `the first ${length} bytes`);
  const [, bytes] = valuesIn(derValues(der)[0]);
  const basic = derValues(valuesIn(valuesIn(bytes, 0xa0)[0])[1]?.content ?? assert.fail())[0];
  const signed = valuesIn(basic)[0]?.whole ?? assert.fail();
  const begin = der.indexOf(signed);
  for (let at = begin; at < begin + signed.length; at++) {
    const altered = Buffer.from(der);
    altered.writeUInt8(altered.readUInt8(at) ^ 1, at);
    assert.throws(() => read(altered, leaf.certPem, ca), Refusal, `byte ${at}`);
  }
});
