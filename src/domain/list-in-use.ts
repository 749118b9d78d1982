/** Revocation lists in force: which of them count when, and when a CA has none any more. Times are milliseconds since 1970. */
import type { TlsEnd } from './tls-ends.ts';

/** When a revocation list counts, and for what. */
export interface ListSpan {
  /** The CAs whose list it is, as people are told of them: more than one where a CA has several certificates with one key. */
  readonly authorities: readonly string[];
  /** Which of their certificates it is of; '': of all. Lists of the same part stand in for each other, those of all for any. */
  readonly part: string;
  readonly thisUpdateMs: number;
  /** undefined: it has no end. */
  readonly nextUpdateMs: number | undefined;
}

/** A revocation list that certificates are held against. */
export interface ListInUse extends ListSpan {
  /** A listener's name, or `admin`. */
  readonly usedBy: string;
  readonly file: string;
  /** The name of the CA whose list it is: `O=Example, CN=Root CA`. */
  readonly issuer: string;
  /** How many certificates it revokes. */
  readonly entries: number;
}

/** Whether its dates hold, as OpenSSL reads them: it has begun at its first moment, and has ended at its last. */
export function isInDate({ thisUpdateMs, nextUpdateMs = Number.POSITIVE_INFINITY }: ListSpan, nowMs: number): boolean {
  return thisUpdateMs <= nowMs && nowMs < nextUpdateMs;
}

/**
 * Whether nobody is refused for the end of this list, which comes or has come: for each of its CAs another one of the same file, `all`,
 * is in date then, or is now. OpenSSL takes a list that is in date before one that is not, and of those the one that was made last.
 */
export function isSuperseded(list: ListSpan, all: readonly ListSpan[], nowMs: number): boolean {
  if (list.nextUpdateMs === undefined || list.authorities.length === 0) return false;
  const atMs = Math.max(list.nextUpdateMs, nowMs);
  return list.authorities.every((authority) => forPart(all, authority, list.part).some((other) => isInDate(other, atMs)));
}

/** When each CA is without a list in date, or since when; `lists` are those that one file has for one use. */
export function listEnds(lists: readonly ListInUse[], nowMs: number): readonly TlsEnd[] {
  const ends = new Map<string, TlsEnd>();
  for (const { usedBy, file, authorities, part } of lists)
    for (const authority of authorities) {
      const endsAtMs = coveredUntilMs(forPart(lists, authority, part), nowMs);
      const first = Math.min(endsAtMs, ends.get(authority)?.endsAtMs ?? Number.POSITIVE_INFINITY);
      if (first < Number.POSITIVE_INFINITY) ends.set(authority, { usedBy, kind: 'crl', file, authority, endsAtMs: first });
    }
  return [...ends.values()];
}

function forPart<L extends ListSpan>(lists: readonly L[], authority: string, part: string): readonly L[] {
  return lists.filter((list) => list.authorities.includes(authority) && (list.part === '' || list.part === part));
}

/** The first moment from `nowMs` on at which none is in date; of lists that have ended all, the last end. */
function coveredUntilMs(lists: readonly ListSpan[], nowMs: number): number {
  const [first, ...more] = lists.toSorted((a, b) => a.thisUpdateMs - b.thisUpdateMs);
  let untilMs = first?.nextUpdateMs ?? Number.POSITIVE_INFINITY;
  for (const { thisUpdateMs, nextUpdateMs = Number.POSITIVE_INFINITY } of more) {
    if (thisUpdateMs > Math.max(untilMs, nowMs)) break;
    untilMs = Math.max(untilMs, nextUpdateMs);
  }
  return untilMs;
}
