import { X509Certificate } from 'node:crypto';
import type { TlsEnd, TlsEndKind } from '../domain/tls-ends.ts';
import type { TlsMaterial, TlsParams } from '../domain/tls-material.ts';
import { blocksOf } from './pem.ts';

/** The end of what a file holds, whoever uses it. */
export type FileEnd = Omit<TlsEnd, 'usedBy'>;

/** When what these files hold ends, but for revocation lists: of each file and use the first end, intermediates and all CAs counted. */
export function tlsEnds(params: TlsParams, material: TlsMaterial): readonly FileEnd[] {
  const ends = new Map<string, FileEnd>();
  const add = (kind: TlsEndKind, file: string | undefined, endsAtMs: readonly (number | undefined)[]) => {
    const first = Math.min(...endsAtMs.map((each = Number.POSITIVE_INFINITY) => each));
    if (file === undefined || first === Number.POSITIVE_INFINITY) return;
    const key = `${kind} ${file}`;
    const known = ends.get(key);
    if (known === undefined || first < known.endsAtMs) ends.set(key, { kind, file, endsAtMs: first });
  };
  const files = [params, ...params.certificates];
  for (const [index, { certificatePem, ocsp }] of [material, ...material.certificates].entries()) {
    add('certificate', files[index]?.certificate, certificateEnds(certificatePem));
    add('ocsp_response', files[index]?.ocspResponse, [ocsp?.endsAtMs]);
  }
  add('ca', params.caCert, certificateEnds(material.caPem));
  return [...ends.values()];
}

function certificateEnds(pem: string): readonly number[] {
  return blocksOf(pem).map((block) => new X509Certificate(block).validToDate.getTime());
}
