/** Reads the file of revocation lists, and refuses one with which nobody would be let in. */
import { createSecureContext } from 'node:tls';
import { type RevocationList, readRevocationList } from './crl.ts';
import { joined, type ParsedCertificate, Refusal, readBlocks } from './pem-files.ts';

/** Lists are often made for a week; a day is what it takes to notice and renew one. */
const WARN_BEFORE_LIST_ENDS_MS = 86_400_000;

/** The revocation lists of one file. */
export interface Revocations {
  readonly pem: string;
  readonly lists: readonly RevocationList[];
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
      return readRevocationList(pem);
    } catch {
      throw new Refusal(`the block in line ${line} is not a revocation list; the file is damaged`);
    }
  });
  return { pem: joined(blocks), lists };
}

/** A list that has ended, or that is of no CA named, makes OpenSSL refuse everybody: better no start, or the list from before. For {@link attemptFile}. */
export function refuseUselessLists(
  lists: readonly RevocationList[],
  authorities: readonly ParsedCertificate[],
  caFile: string,
  nowMs: number,
): void {
  for (const list of lists) {
    const issuer = JSON.stringify(list.issuer.slice(0, 100));
    if (list.nextUpdate !== undefined && list.nextUpdate.getTime() <= nowMs) {
      const ended = list.nextUpdate.toISOString();
      throw new Refusal(`the list of ${issuer} ended at ${ended}: with it every client would be refused; have the CA write a new one`);
    }
    if (!authorities.some(({ pem }) => list.isOf(pem))) {
      throw new Refusal(`the list is of ${issuer}, which is not among the CAs in ${caFile}; name the list of a CA that is`);
    }
  }
}

/** What is worth a line about lists that can be used: one ends soon, a CA has none. */
export function revocationWarnings(
  which: string,
  lists: readonly RevocationList[],
  authorities: readonly ParsedCertificate[],
  nowMs: number,
): string[] {
  const ending = lists.flatMap(({ issuer, nextUpdate }) =>
    nextUpdate !== undefined && nextUpdate.getTime() - nowMs < WARN_BEFORE_LIST_ENDS_MS
      ? [
          `${which}: the list of ${JSON.stringify(issuer.slice(0, 100))} ends at ${nextUpdate.toISOString()}, and then every client is refused; renew it`,
        ]
      : [],
  );
  const unlisted = authorities
    .filter(({ pem }) => !lists.some((list) => list.isOf(pem)))
    .map(
      ({ certificate: { subject } }) =>
        `${which}: there is no list of ${JSON.stringify(subject.replaceAll('\n', ', ').slice(0, 100))}, so its clients are all refused`,
    );
  return [...ending, ...unlisted];
}
