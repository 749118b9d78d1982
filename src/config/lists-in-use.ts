import { X509Certificate } from 'node:crypto';
import type { ListInUse } from '../domain/list-in-use.ts';
import type { TlsMaterial, TlsParams } from '../domain/tls-material.ts';
import { readRevocationList } from './crl.ts';
import { listIssuer, spanOf } from './list-issuer.ts';
import { blocksOf } from './pem.ts';

/** A revocation list of a file, whoever uses it. */
export type FileList = Omit<ListInUse, 'usedBy'>;

/** The revocation lists that these files hold, in their order. */
export function listsInUse({ crl }: TlsParams, { caPem, crlPem }: TlsMaterial): readonly FileList[] {
  if (crl === undefined || crlPem === undefined) return [];
  const issuers = blocksOf(caPem).map((pem) => listIssuer({ certificate: new X509Certificate(pem) }));
  return blocksOf(crlPem).map((pem) => {
    const list = readRevocationList(pem);
    return { file: crl, issuer: list.issuer, entries: list.entries, ...spanOf(list, issuers) };
  });
}
