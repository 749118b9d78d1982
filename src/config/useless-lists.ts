/** Refuses revocation lists with which OpenSSL would let nobody in, or which it would ignore: better no start, or the lists from before. */
import { isSuperseded } from '../domain/list-in-use.ts';
import type { RevocationList } from './crl.ts';
import { isSameName } from './distinguished-name.ts';
import { type ListIssuer, listIssuer, type Standing, spanOf, standing } from './list-issuer.ts';
import { type ParsedCertificate, quotedName, Refusal } from './pem-files.ts';

/** A revocation list, and the words that say which one of its file. */
export interface NamedList extends RevocationList {
  readonly which: string;
}

/**
 * Each list must be one that OpenSSL applies, of a CA at hand, and the lists of a CA must cover what OpenSSL wants a list for. For {@link attemptFile}.
 * `nowMs` is milliseconds since 1970.
 */
export function refuseUselessLists(
  lists: readonly NamedList[],
  authorities: readonly ParsedCertificate[],
  caFile: string,
  nowMs: number,
): void {
  const issuers = authorities.map(listIssuer);
  for (const list of lists) {
    const problem =
      problemOfEnd(list, lists, issuers, nowMs) ??
      problemOf(list) ??
      problemOfIssuer(list, issuers, caFile) ??
      problemOfBeginning(list, lists, issuers, nowMs);
    if (problem !== undefined) throw new Refusal(`${list.which} ${problem}`);
  }
  for (const issuer of issuers) {
    const [first, ...more] = lists.filter((list) => standing(list, issuer) === 'own' && hasBegun(list, nowMs));
    const problem = first === undefined ? undefined : problemOfCoverage([first, ...more], issuer, issuers);
    if (problem !== undefined) throw new Refusal(`${first?.which} ${problem}`);
  }
}

/** Whether the list counts at `nowMs` already. */
function hasBegun({ thisUpdate }: RevocationList, nowMs: number): boolean {
  return thisUpdate.getTime() <= nowMs;
}

const NOT_APPLIED = 'which OpenSSL does not apply here';
const ALL_REFUSED = 'with it every client of that CA would be refused';

/** One that has ended does no harm beside its successor. */
function problemOfEnd(
  list: RevocationList,
  lists: readonly RevocationList[],
  all: readonly ListIssuer[],
  nowMs: number,
): string | undefined {
  const { nextUpdate } = list;
  if (nextUpdate === undefined || nextUpdate.getTime() > nowMs) return undefined;
  const spans = lists.map((each) => spanOf(each, all));
  if (isSuperseded(spanOf(list, all), spans, nowMs)) return undefined;
  return `ended at ${nextUpdate.toISOString()}: ${ALL_REFUSED}; have the CA write a new one`;
}

function problemOf({ isDelta, scope, unknownCritical: [critical] }: RevocationList): string | undefined {
  if (isDelta) return `is a delta list (2.5.29.27), ${NOT_APPLIED}; give the CA's whole list`;
  if (critical !== undefined)
    return `has a critical extension that OpenSSL does not know (${dotted(critical)}): ${ALL_REFUSED}; have the CA write one without it`;
  if (scope === undefined) return undefined;
  if (scope.indirect) return `is an indirect list, of other CAs besides its own, ${NOT_APPLIED}; give a list of each CA's own`;
  if (scope.onlySomeReasons) return `is for some reasons alone (onlySomeReasons), ${NOT_APPLIED}; give the CA's list for all reasons`;
  if (scope.onlyAttributes) return `is of attribute certificates, ${NOT_APPLIED}; give the CA's list of clients' certificates`;
  const says = [scope.onlyUsers, scope.onlyAuthorities].filter(Boolean).length;
  if (says === 2 || (says === 0 && !scope.ofDistributionPoint))
    return `has an issuingDistributionPoint (2.5.29.28) that leaves nothing, ${NOT_APPLIED}; have the CA write one without it`;
  return undefined;
}

function problemOfIssuer(list: RevocationList, all: readonly ListIssuer[], file: string): string | undefined {
  const standings = new Set(all.map((issuer) => standing(list, issuer)));
  const is = (name: Standing) => standings.has(name);
  if (is('own')) return undefined;
  const name = quotedName(list.issuer);
  if (is('may not sign lists'))
    return `is of a CA whose certificate in ${file} does not let it sign lists (keyUsage without cRLSign): ${ALL_REFUSED}; have that certificate renewed with cRLSign`;
  if (is('other key named'))
    return `names another certificate of its CA than ${file} has (authorityKeyIdentifier), so that OpenSSL ignores it; have the CA write a new one, or name the certificate that it is of`;
  if (is('other signature'))
    return `is not signed by ${name} of ${file}, but with another key: ${ALL_REFUSED}; give the list that this CA has signed, or the certificate of the CA that has signed this one`;
  return `is of no CA in ${file}; name the list of a CA that is`;
}

/** A list for later may stand beside the one that counts now. */
function problemOfBeginning(
  list: RevocationList,
  lists: readonly RevocationList[],
  all: readonly ListIssuer[],
  nowMs: number,
): string | undefined {
  if (hasBegun(list, nowMs)) return undefined;
  const present = lists.filter((each) => hasBegun(each, nowMs));
  const isReplaced = all.some((issuer) => [list, ...present].filter((each) => standing(each, issuer) === 'own').length > 1);
  if (isReplaced) return undefined;
  return `begins at ${list.thisUpdate.toISOString()}: until then every client of that CA would be refused; wait, or look at the clocks of its CA and of this machine`;
}

/** OpenSSL asks a list of a root for the root's own certificate too. */
function problemOfCoverage(own: readonly RevocationList[], issuer: ListIssuer, all: readonly ListIssuer[]): string | undefined {
  const isRoot = isSameName(issuer.subject, issuer.issuer);
  const coversAuthorities = ({ scope }: RevocationList) =>
    scope === undefined || !(scope.onlyUsers || (scope.ofDistributionPoint && !issuer.namesDistributionPoint));
  if (isRoot && !own.some(coversAuthorities))
    return `leaves out the certificate of its own CA, for which OpenSSL wants a list too: ${ALL_REFUSED}; give the CA's whole list, or the one of its CA certificates beside this one`;
  const issuesAuthorities = all.some((other) => !isSameName(other.subject, issuer.subject) && isSameName(other.issuer, issuer.subject));
  if (!issuesAuthorities && own.every(({ scope }) => scope?.onlyAuthorities === true))
    return `is of CA certificates alone: ${ALL_REFUSED}; give the CA's whole list, or the one of its clients' certificates beside this one`;
  return undefined;
}

/** `2.5.29.27` for the DER of an object identifier in hex. */
function dotted(oid: string): string {
  const arcs: number[] = [];
  let arc = 0;
  for (const byte of Buffer.from(oid, 'hex')) {
    arc = arc * 128 + (byte & 0x7f);
    if (byte < 0x80) {
      arcs.push(arc);
      arc = 0;
    }
  }
  const [first = 0, ...rest] = arcs;
  const root = Math.min(2, Math.floor(first / 40));
  return [root, first - root * 40, ...rest].join('.');
}
