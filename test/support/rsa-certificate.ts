/** A certificate with an RSA key, which the test CA does not make. */
import 'reflect-metadata';
import { webcrypto } from 'node:crypto';
import * as x509 from '@peculiar/x509';
import { type KeyAndCertificate, validFor } from '../../certs/issuing.ts';

/** Signs itself, for servers of these DNS names. */
export async function selfSignedRsa(dns: readonly string[]): Promise<KeyAndCertificate> {
  const algorithm = { name: 'RSASSA-PKCS1-v1_5', hash: 'SHA-256', publicExponent: new Uint8Array([1, 0, 1]), modulusLength: 2048 };
  const keys = await webcrypto.subtle.generateKey(algorithm, true, ['sign', 'verify']);
  const made = await x509.X509CertificateGenerator.createSelfSigned({
    name: [],
    keys,
    ...validFor(1, Date.now()),
    signingAlgorithm: algorithm,
    extensions: [new x509.SubjectAlternativeNameExtension(dns.map((value) => ({ type: 'dns', value })))],
  });
  const key = await webcrypto.subtle.exportKey('pkcs8', keys.privateKey);
  return { certPem: `${made.toString('pem')}\n`, keyPem: `${x509.PemConverter.encode(key, 'PRIVATE KEY')}\n` };
}
