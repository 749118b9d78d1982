import { X509Certificate } from 'node:crypto';
import { plainFingerprint } from '../domain/fingerprint.ts';
import type { TlsMaterial, TlsParams } from '../domain/tls-material.ts';
import type { CertificateInUse } from '../domain/useless-revocation.ts';
import { blocksOf } from './pem.ts';

/** Every certificate that these files hold: CAs, what is served, and its intermediates. */
export function certificatesInUse(
  usedBy: string,
  params: TlsParams,
  { certificatePem, certificates, caPem }: Pick<TlsMaterial, 'certificatePem' | 'certificates' | 'caPem'>,
): readonly CertificateInUse[] {
  const inUse = (role: CertificateInUse['role'], file: string, pem: string) =>
    fingerprintsIn(pem).map((fingerprint) => ({ fingerprint, role, usedBy, file }));
  const byName = certificates.flatMap((pair, index) => inUse('served', params.certificates[index]?.certificate ?? '', pair.certificatePem));
  return [...inUse('ca', params.caCert, caPem), ...inUse('served', params.certificate, certificatePem), ...byName];
}

function fingerprintsIn(pem: string): readonly string[] {
  return blocksOf(pem).map((block) => plainFingerprint(new X509Certificate(block).fingerprint256));
}
