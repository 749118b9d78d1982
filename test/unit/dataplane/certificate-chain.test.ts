import assert from 'node:assert/strict';
import { X509Certificate } from 'node:crypto';
import { test } from 'node:test';
import { leadsToCa } from '../../../src/dataplane/certificate-chain.ts';
import type { TlsMaterial } from '../../../src/domain/tls-material.ts';
import { certificate, forgery, type Issued, root } from '../../support/certificate-chains.ts';

function leads([leaf, ...shown]: readonly [Issued, ...Issued[]], authorities: readonly Issued[]): boolean {
  const material: TlsMaterial = {
    certificatePem: '',
    privateKeyPem: '',
    ocsp: undefined,
    certificates: [],
    caPem: authorities.map(({ certPem }) => certPem).join(''),
    crlPem: undefined,
    minVersion: 'TLSv1.3',
    ciphers: '',
    sessionTickets: undefined,
  };
  return leadsToCa([new X509Certificate(leaf.certPem), ...shown.map(({ certPem }) => new X509Certificate(certPem))], material);
}

test('a certificate leads to a CA by signatures alone, whatever its names say', async () => {
  const [top, other, namesake] = await Promise.all([root('top'), root('other'), root('top')]);
  const middle = await certificate({ name: 'middle', issuer: top, ca: true });
  const noCa = await certificate({ name: 'no CA', issuer: top, ca: false });
  const leaf = await certificate({ name: 'leaf', issuer: top, days: [-3, -1] });
  const below = await certificate({ name: 'below', issuer: middle });
  const belowNoCa = await certificate({ name: 'below no CA', issuer: noCa });
  const byNamesake = await certificate({ name: 'leaf', issuer: namesake });

  assert.equal(leads([leaf], [other, top]), true, 'one that has ended is still of its CA');
  assert.equal(leads([leaf], [other, namesake]), false);
  assert.equal(leads([byNamesake], [top]), false);
  assert.equal(leads([byNamesake, namesake], [top]), false, 'a CA that is only shown is nobody');
  assert.equal(leads([await forgery(leaf.certPem)], [top]), false);
  assert.equal(leads([below, other, middle], [top]), true);
  assert.equal(leads([below], [top]), false);
  assert.equal(leads([below], [top, middle]), true);
  assert.equal(leads([below, await forgery(middle.certPem)], [top]), false);
  assert.equal(leads([belowNoCa, noCa], [top]), false, 'a client cannot certify others');
});

test('however many issuers a client shows, few signatures are verified for it', async () => {
  const top = await root('top');
  const middle = await certificate({ name: 'middle', issuer: top, ca: true });
  const leaf = await certificate({ name: 'leaf', issuer: middle });
  const forged = await Promise.all(Array.from({ length: 20 }, () => forgery(middle.certPem)));
  assert.equal(leads([leaf, ...forged.slice(0, 5), middle], [top]), true);
  assert.equal(leads([leaf, ...forged, middle], [top]), false);
});
