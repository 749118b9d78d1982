/** Reads the file of revocation lists, and says what is worth a line about them. */
import { createSecureContext } from 'node:tls';
import { isInDate, isSuperseded } from '../domain/list-in-use.ts';
import { readRevocationList } from './crl.ts';
import { type ListIssuer, listIssuer, mayBeChosenFor, nameOf, spanOf, standing } from './list-issuer.ts';
import { joined, type ParsedCertificate, quotedName, Refusal, readBlocks } from './pem-files.ts';
import type { NamedList } from './useless-lists.ts';

/** Lists are often made for a week; a day is what it takes to notice and renew one. */
const WARN_BEFORE_LIST_ENDS_MS = 86_400_000;

/** The revocation lists of one file. */
export interface Revocations {
  readonly pem: string;
  readonly lists: readonly NamedList[];
}

/** Revocation lists, and nothing else. For {@link attemptFile}. */
export function readRevocations(file: string): Revocations {
  const blocks = readBlocks(file, 'revocation lists as -----BEGIN X509 CRL-----');
  const lists = blocks.map(({ label, line, pem }) => {
    if (label === 'CRL')
      throw new Refusal(
        `line ${line} says BEGIN CRL, which OpenSSL does not read; write X509 CRL in place of CRL in the BEGIN and END lines`,
      );
    if (label !== 'X509 CRL') throw new Refusal(`line ${line} begins a ${label}; expected -----BEGIN X509 CRL-----`);
    try {
      createSecureContext({ crl: pem });
      const list = readRevocationList(pem);
      return { ...list, which: `the list of ${quotedName(list.issuer)}${blocks.length > 1 ? ` in line ${line}` : ''}` };
    } catch {
      throw new Refusal(`the block in line ${line} is not a revocation list; the file is damaged`);
    }
  });
  return { pem: joined(blocks), lists };
}

/** What is worth a line about lists that can be used: one ends soon or begins later, a CA has none. */
export function revocationWarnings(
  file: string,
  lists: readonly NamedList[],
  authorities: readonly ParsedCertificate[],
  nowMs: number,
): readonly string[] {
  const issuers = authorities.map(listIssuer);
  const dated = lists.map((list) => ({ ...list, ...spanOf(list, issuers) }));
  const ending = dated
    .filter(
      (list) => (list.nextUpdateMs ?? Number.POSITIVE_INFINITY) - nowMs < WARN_BEFORE_LIST_ENDS_MS && !isSuperseded(list, dated, nowMs),
    )
    .map(({ which, nextUpdate }) => `${which} ends at ${nextUpdate?.toISOString()}, and then every client of that CA is refused; renew it`);
  const beginning = dated
    .filter(({ thisUpdateMs }) => thisUpdateMs > nowMs)
    .map(({ which, thisUpdate }) => `${which} begins at ${thisUpdate.toISOString()}; until then another one of its CA counts`);
  const inDate = dated.filter((list) => isInDate(list, nowMs));
  const unlisted = issuers.flatMap((issuer) => {
    const problem = problemOf(issuer, inDate, issuers);
    return problem === undefined ? [] : [`${problem}, so its clients are all refused`];
  });
  return [...ending, ...beginning, ...unlisted].map((warning) => `${file}: ${warning}`);
}

function problemOf(issuer: ListIssuer, lists: readonly NamedList[], all: readonly ListIssuer[]): string | undefined {
  const isOwn = (list: NamedList) => standing(list, issuer) === 'own';
  if (!lists.some(isOwn)) return `there is no list of ${nameOf(issuer, all)}`;
  const foreign = newest(lists.filter((list) => mayBeChosenFor(list, issuer))).find((list) => !isOwn(list));
  return foreign && `for ${nameOf(issuer, all)} OpenSSL takes ${foreign.which}, which is newer and signed with another key`;
}

/** OpenSSL takes the list that was made last, before it looks at the signature. */
function newest(lists: readonly NamedList[]): readonly NamedList[] {
  const last = Math.max(...lists.map(({ thisUpdate }) => thisUpdate.getTime()));
  return lists.filter(({ thisUpdate }) => thisUpdate.getTime() === last);
}
