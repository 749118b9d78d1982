/** Which clients a certificate could be both of. Such a certificate is refused as ambiguous, so nobody wants two clients like that. */
import { contains, parseCidr } from './cidr.ts';
import { ANY_NAME_MATCH, type Client, type IdentityMatch } from './model.ts';
import { hasWildcard, intersect, keyAs, parseUriPattern, patternKey, plainUri, shapeOf, takesIn, type UriPattern } from './uri-pattern.ts';

/** What says which certificates are a client. */
export type Known = Pick<Client, 'clientId' | 'match'>;

/** A certificate may be both clients; `always`: each certificate of `narrow` is one of `wide` as well. */
export interface Overlap {
  readonly narrow: string;
  readonly wide: string;
  readonly always: boolean;
}

const FIELDS = ['cn', 'dns', 'uri', 'ou', 'fingerprint', 'cidr'] as const;
const NAMES = ['cn', 'dns', 'uri', 'fingerprint'] as const;
/** Clients that share one name are compared with so many others of them, when no two of them are the same. */
const COMPARED = 20;

/** Every overlap of `client` with one of the others, those of the same id aside. */
export function overlapsOf(client: Known, others: Iterable<Known>): Overlap[] {
  const overlaps: Overlap[] = [];
  for (const other of others) {
    const overlap = other.clientId === client.clientId ? undefined : overlapOf(client, other);
    if (overlap !== undefined) overlaps.push(overlap);
  }
  return overlaps;
}

/**
 * The overlaps among all of these, in a time that grows as their number does: at most one that is always there for each client as the
 * narrower one, and at most `limit` others.
 */
export function overlapsAmong(clients: readonly Known[], limit = 100): Overlap[] {
  const wholes = new Map<string, Known[]>();
  const byName = new Map<string, Known[]>();
  const shapes = new Set<string>();
  for (const client of clients) {
    const pattern = patternIn(client.match);
    if (pattern !== undefined) shapes.add(shapeOf(pattern));
    for (const whole of wholesOf(client)) file(wholes, whole, client);
    for (const name of namesOf(client)) file(byName, name, client);
  }
  const always = clients.flatMap((client) => {
    const wide = partsOf(client, shapes)
      .flatMap((part) => wholes.get(part)?.slice(0, 2) ?? [])
      .find((other) => other.clientId !== client.clientId);
    return wide === undefined ? [] : [{ narrow: client.clientId, wide: wide.clientId, always: true }];
  });
  const maybe = new Map<string, Overlap>();
  for (const client of clients) {
    const names = [...namesOf(client), ...wilderUris(uriOf(client), shapes).map((uri) => `uri=${uri}`)];
    const sharing = names.flatMap((name) => byName.get(name)?.slice(0, COMPARED) ?? []);
    for (const overlap of overlapsOf(client, sharing)) {
      const pair = [overlap.narrow, overlap.wide].sort().join('\0');
      if (!overlap.always && maybe.size < limit) maybe.set(pair, overlap);
    }
  }
  return [...always, ...maybe.values()];
}

/** True when both match the same certificates, whatever else differs. */
export function isSameMatch(before: Client | undefined, after: Client): boolean {
  return before !== undefined && FIELDS.every((field) => before.match[field] === after.match[field]);
}

/** True when each certificate that `inner` matches is one of `client` as well. */
export function takesInAll(client: Known, inner: IdentityMatch): boolean {
  const given = FIELDS.filter((field) => client.match[field] !== undefined);
  if (given.length === 0) return carries(inner, client.clientId);
  // A network alone is for those without a certificate.
  return (
    hasField(inner) &&
    isNetworkAlone(client.match) === isNetworkAlone(inner) &&
    given.every((field) =>
      field === 'uri' ? takesInUri(client.match, inner) : comparable(client.match, field) === comparable(inner, field),
    )
  );
}

/** The organizational unit that alone makes a certificate this client's; undefined for a client that is known by a name. */
export function unitAlone({ match }: Known): string | undefined {
  return NAMES.every((name) => match[name] === undefined) ? match.ou : undefined;
}

function overlapOf(a: Known, b: Known): Overlap | undefined {
  // Nearly all pairs end here: nothing is made for them.
  // A network alone is for those without a certificate.
  if (isNetworkAlone(a.match) !== isNetworkAlone(b.match)) return undefined;
  if (!shareName(a, b) && (a.match.ou === undefined || a.match.ou !== b.match.ou)) return undefined;
  if (hasField(a.match) && takesInAll(b, a.match)) return { narrow: a.clientId, wide: b.clientId, always: true };
  if (hasField(b.match) && takesInAll(a, b.match)) return { narrow: b.clientId, wide: a.clientId, always: true };
  return shareName(a, b) && !areApart(a, b) ? { narrow: a.clientId, wide: b.clientId, always: false } : undefined;
}

/**
 * True for two that give something which no certificate has twice, and other values. An organizational unit counts as such,
 * although a certificate may have several: those that tell clients apart by it have one.
 */
function areApart({ match: a }: Known, { match: b }: Known): boolean {
  return differ(a.cn, b.cn) || differ(a.fingerprint, b.fingerprint) || differ(a.ou, b.ou) || areElsewhere(a.cidr, b.cidr);
}

/** True for two networks that have no address in common. */
function areElsewhere(a: string | undefined, b: string | undefined): boolean {
  if (a === undefined || b === undefined) return false;
  const [one, other] = [parseCidr(a), parseCidr(b)];
  if ('problem' in one || 'problem' in other) return false;
  return !contains(one, other.bits) && !contains(other, one.bits);
}

/** True for a match by `cidr` alone: it is for those without a certificate. */
export function isNetworkAlone({ cn, dns, uri, ou, fingerprint, cidr }: IdentityMatch): boolean {
  return cidr !== undefined && (cn ?? dns ?? uri ?? ou ?? fingerprint) === undefined;
}

function differ(a: string | undefined, b: string | undefined): boolean {
  return a !== undefined && b !== undefined && a !== b;
}

function shareName(a: Known, b: Known): boolean {
  if (!hasField(a.match)) return hasField(b.match) ? mayCarry(b.match, a.clientId) : isSameDns(a.clientId, b.clientId);
  if (!hasField(b.match)) return mayCarry(a.match, b.clientId);
  const { cn, dns, uri, fingerprint } = a.match;
  if (isNetworkAlone(a.match) || isNetworkAlone(b.match))
    return isNetworkAlone(a.match) && isNetworkAlone(b.match) && a.match.cidr === b.match.cidr;
  return (
    (cn !== undefined && cn === b.match.cn) ||
    (dns !== undefined && b.match.dns !== undefined && isSameDns(dns, b.match.dns)) ||
    (uri !== undefined && b.match.uri !== undefined && mayBeSameUri(a.match, b.match)) ||
    (fingerprint !== undefined && fingerprint === b.match.fingerprint)
  );
}

/** `cn=a`; what can be looked up of a client. */
function namesOf({ clientId, match }: Known): string[] {
  // DNS names are compared in lower case, so ids that differ in case alone meet here.
  if (!hasField(match)) return [`cn=${clientId}`, `dns=${clientId.toLowerCase()}`, `uri=${clientId}`];
  const names = NAMES.filter((name) => match[name] !== undefined).map((name) => `${name}=${comparable(match, name)}`);
  const pattern = patternIn(match);
  return pattern === undefined ? names : [...names, `patterns of ${pattern.origin}`];
}

/** The whole of what is asked of a certificate; one for each name that an id alone may be. */
function wholesOf(client: Known): string[] {
  return hasField(client.match) ? [partOf(client.match, FIELDS)] : namesOf(client).map((name) => `${name}\0`);
}

/** Every part of what is asked of a certificate: a client that asks a part of it asks no more. Ids alone are never one another's. */
function partsOf({ match }: Known, shapes: Iterable<string>): string[] {
  if (!hasField(match)) return [];
  if (isNetworkAlone(match)) return [partOf(match, FIELDS)];
  const given = FIELDS.filter((field) => match[field] !== undefined);
  const wilder = wilderUris(match, shapes).map((uri) => ({ ...match, uri }));
  return [match, ...wilder].flatMap((each) => partsOfFields(each, given));
}

function partsOfFields(match: IdentityMatch, given: readonly (typeof FIELDS)[number][]): string[] {
  return Array.from({ length: 2 ** given.length - 1 }, (_, index) => given.filter((_, bit) => ((index + 1) & (1 << bit)) !== 0))
    .filter((fields) => fields.some((field) => field !== 'cidr'))
    .map((fields) => partOf(match, fields));
}

function partOf(match: IdentityMatch, fields: readonly (typeof FIELDS)[number][]): string {
  return fields
    .filter((field) => match[field] !== undefined)
    .map((field) => `${field}=${comparable(match, field)}\0`)
    .join('');
}

function patternIn({ uri }: IdentityMatch): UriPattern | undefined {
  const parsed = uri !== undefined && hasWildcard(uri) ? parseUriPattern(uri) : undefined;
  return parsed === undefined || 'problem' in parsed ? undefined : parsed;
}

/** What of the client a URI of a certificate may be. */
function uriOf({ clientId, match }: Known): IdentityMatch {
  return hasField(match) ? match : { ...ANY_NAME_MATCH, uri: clientId };
}

/** The patterns of these shapes that stand for every URI that the match takes. */
function wilderUris(match: IdentityMatch, shapes: Iterable<string>): readonly string[] {
  const own = patternIn(match) ?? (match.uri === undefined ? undefined : plainUri(match.uri));
  if (own === undefined) return [];
  return [...shapes].flatMap((shape) => keyAs(shape, own) ?? []).filter((key) => key !== comparable(match, 'uri'));
}

function takesInUri(wide: IdentityMatch, narrow: IdentityMatch): boolean {
  const pattern = patternIn(wide);
  const inner = patternIn(narrow) ?? (narrow.uri === undefined ? undefined : plainUri(narrow.uri));
  return pattern === undefined ? wide.uri === narrow.uri : inner !== undefined && takesIn(pattern, inner);
}

function mayBeSameUri(a: IdentityMatch, b: IdentityMatch): boolean {
  const [one, other] = [patternIn(a), patternIn(b)];
  return one === undefined || other === undefined ? takesInUri(a, b) || takesInUri(b, a) : intersect(one, other);
}

function carries(match: IdentityMatch, name: string): boolean {
  const { cn, dns, uri } = match;
  return cn === name || (uri === name && patternIn(match) === undefined) || (dns !== undefined && isSameDns(dns, name));
}

function mayCarry(match: IdentityMatch, name: string): boolean {
  return carries(match, name) || takesInUri(match, { ...ANY_NAME_MATCH, uri: name });
}

function isSameDns(a: string, b: string): boolean {
  return a.toLowerCase() === b.toLowerCase();
}

function hasField({ cn, dns, uri, ou, fingerprint, cidr }: IdentityMatch): boolean {
  return (cn ?? dns ?? uri ?? ou ?? fingerprint ?? cidr) !== undefined;
}

function comparable(match: IdentityMatch, field: (typeof FIELDS)[number]): string | undefined {
  if (field === 'dns') return match.dns?.toLowerCase();
  const pattern = field === 'uri' ? patternIn(match) : undefined;
  return pattern === undefined ? match[field] : patternKey(pattern);
}

function file(index: Map<string, Known[]>, key: string, client: Known): void {
  const filed = index.get(key);
  if (filed === undefined) index.set(key, [client]);
  else filed.push(client);
}
