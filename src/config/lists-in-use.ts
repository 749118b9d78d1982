import type { ListInUse } from '../domain/list-in-use.ts';
import type { TlsMaterial, TlsParams } from '../domain/tls-material.ts';
import { readRevocationList } from './crl.ts';
import { pemBlocks } from './pem.ts';

/** A revocation list of a file, whoever uses it. */
export type FileList = Omit<ListInUse, 'usedBy'>;

/** The revocation lists that these files hold, in their order. */
export function listsInUse({ crl }: TlsParams, { crlPem }: TlsMaterial): readonly FileList[] {
  if (crl === undefined || crlPem === undefined) return [];
  const blocks = pemBlocks(crlPem);
  if ('problem' in blocks) return [];
  return blocks.map(({ pem }) => {
    const { issuer, thisUpdate, nextUpdate, entries } = readRevocationList(pem);
    return { file: crl, issuer, thisUpdateMs: thisUpdate.getTime(), nextUpdateMs: nextUpdate?.getTime(), entries };
  });
}
