/** Certificate fields -> Identity, and which Client it is. Nothing matches by accident: comparison is exact, on whole names. */
import { contains, type Network, networkAround, parseCidr } from './cidr.ts';
import { plainFingerprint } from './fingerprint.ts';
import type { Client, IdentityMatch } from './model.ts';
import { rewrittenCertificates } from './signature-malleability.ts';
import { hasWildcard, keyAs, parseUriPattern, patternKey, patternTakes, plainUri, shapeOf, type UriPattern } from './uri-pattern.ts';

/** What a certificate proves. Names are as the CA wrote them; DNS names are lower-cased. */
export interface Identity {
  /** undefined: the certificate has none. */
  readonly commonName: string | undefined;
  readonly dnsNames: readonly string[];
  readonly uriNames: readonly string[];
  readonly organizationalUnits: readonly string[];
  /** SHA-256 of the DER certificate: 64 lower-case hex digits. */
  readonly fingerprint: string;
  /**
   * Fingerprints of the certificates that anybody can make of this one without the CA (signature-malleability.ts). Each says the same and
   * is as good, so what is forbidden to one is forbidden to all; what is permitted to a fingerprint is permitted to no other.
   */
  readonly twins: readonly string[];
}

/** The fields of Node's X509Certificate that identity rests on. */
export interface CertificateFields {
  /**
   * One `KEY=value` a line, or several with ` + ` between them where one set holds several. Values are escaped as in RFC 2253, so
   * that a newline in a value never starts a line and a plus never starts an attribute.
   */
  readonly subject: string | undefined;
  /** `DNS:a, URI:b`; a value with special characters is a JSON string (Node >= 16.14, CVE-2021-44532). */
  readonly subjectAltName: string | undefined;
  /** Upper-case hex pairs with colons. */
  readonly fingerprint256: string;
  /** DER. */
  readonly raw: Buffer;
}

/**
 * Reads the identity, or says `ambiguous` for a certificate with more than one common name. `fingerprintOf` is SHA-256 in lower-case
 * hex digits.
 */
export function identityOf(certificate: CertificateFields, fingerprintOf: (der: Buffer) => string): Identity | 'ambiguous' {
  // A common name that identifies nobody still is one: beside another it makes the certificate ambiguous.
  const commonNames: (string | undefined)[] = [];
  const organizationalUnits: string[] = [];
  for (const { key, value } of subjectAttributes(certificate.subject ?? '')) {
    if (key === 'CN') commonNames.push(value);
    if (key === 'OU' && value !== undefined) organizationalUnits.push(value);
  }
  if (commonNames.length > 1) return 'ambiguous';
  const dnsNames: string[] = [];
  const uriNames: string[] = [];
  for (const { type, value } of alternativeNames(certificate.subjectAltName ?? '')) {
    if (type === 'DNS') dnsNames.push(value.toLowerCase());
    if (type === 'URI') uriNames.push(value);
  }
  const fingerprint = plainFingerprint(certificate.fingerprint256);
  const twins = rewrittenCertificates(certificate.raw).map(fingerprintOf);
  return { commonName: commonNames[0], dnsNames, uriNames, organizationalUnits, fingerprint, twins };
}

/** True when every given field of `match` that a certificate can have equals one of the identity's. False when none is given. */
export function matchesIdentity(match: IdentityMatch, identity: Identity): boolean {
  const { cn, dns, uri, ou, fingerprint } = match;
  if (!hasField(match)) return false;
  return (
    (cn === undefined || cn === identity.commonName) &&
    (dns === undefined || identity.dnsNames.includes(dns.toLowerCase())) &&
    (uri === undefined || carriesUri(match, uri, identity)) &&
    (ou === undefined || identity.organizationalUnits.includes(ou)) &&
    (fingerprint === undefined || fingerprint === identity.fingerprint)
  );
}

function carriesUri(match: IdentityMatch, uri: string, { uriNames }: Identity): boolean {
  const pattern = patternOf(match);
  return pattern === undefined ? uriNames.includes(uri) : uriNames.some((name) => patternTakes(pattern, name));
}

/** A name for logs and audit: the common name, else the first alternative name, else the fingerprint. */
export function displayName(identity: Identity): string {
  return identity.commonName ?? identity.dnsNames[0] ?? identity.uriNames[0] ?? identity.fingerprint;
}

type Candidates = ReadonlyMap<string, readonly Client[]>;

/** An index that follows another one copies no more than so many keys; now and then all of them are gathered anew. */
const MOST_RECENT = 1000;

/** Finds the client of an identity in a time that does not grow with the number of clients. */
export class ClientIndex {
  /** Name or fingerprint, with its kind, -> the clients that one lookup could mean. Shared between indexes, and never changed. */
  #settled: Candidates = new Map();
  /** What became of some of the keys since: it goes before. */
  #recent = new Map<string, readonly Client[]>();
  /** The lengths of the networks that clients of plain listeners were ever given, longest first. */
  #prefixes: readonly number[] = [];
  /** The shapes that patterns of URIs ever had. */
  #shapes: readonly string[] = [];

  constructor(clients: Iterable<Client>) {
    for (const client of clients) for (const key of lookupKeys(client)) this.#file(key, client);
    this.#settle();
  }

  /** The one client that this identity is; `unknown` for none, `ambiguous` for several. Without a source it may come from anywhere. */
  find(identity: Identity, source?: bigint): Client | 'unknown' | 'ambiguous' {
    let found: Client | undefined;
    for (const key of identityKeys(identity, this.#shapes)) {
      for (const client of this.#candidates(key)) {
        if (client === found || !isClient(client, { identity, source })) continue;
        if (found !== undefined) return 'ambiguous';
        found = client;
      }
    }
    return found ?? 'unknown';
  }

  /** The one client without a certificate that comes from this address: the one of the longest prefix, `ambiguous` when two share it. */
  findBySource(source: bigint): Client | 'unknown' | 'ambiguous' {
    const [client, ...others] = this.#atSource(source);
    if (client === undefined) return 'unknown';
    return others.length === 0 ? client : 'ambiguous';
  }

  /** All clients that this one is; of a peer without a certificate, those of the longest prefix that holds its address. */
  every({ identity, source }: Peer): readonly Client[] {
    if (identity === undefined) return source === undefined ? [] : this.#atSource(source);
    const found = new Set<Client>();
    for (const key of identityKeys(identity, this.#shapes)) {
      for (const client of this.#candidates(key)) if (isClient(client, { identity, source })) found.add(client);
    }
    return [...found];
  }

  /** The index of `after`, made of this one, which is that of `before` and stays so. */
  following(before: ReadonlyMap<string, Client>, after: ReadonlyMap<string, Client>): ClientIndex {
    const next = new ClientIndex([]);
    next.#settled = this.#settled;
    next.#recent = new Map(this.#recent);
    next.#prefixes = this.#prefixes;
    next.#shapes = this.#shapes;
    next.follow(before, after);
    return next;
  }

  /** Makes this index, which is that of `before`, the one of `after`; what did not change costs a look. */
  follow(before: ReadonlyMap<string, Client>, after: ReadonlyMap<string, Client>): void {
    for (const [clientId, client] of before) {
      if (after.get(clientId) !== client) for (const key of lookupKeys(client)) this.#unfile(key, client);
    }
    for (const [clientId, client] of after) {
      if (before.get(clientId) !== client) for (const key of lookupKeys(client)) this.#file(key, client);
    }
    this.#settle();
  }

  #atSource(source: bigint): readonly Client[] {
    for (const prefix of this.#prefixes) {
      const clients = this.#candidates(networkKey(networkAround(source, prefix)));
      if (clients.length > 0) return clients;
    }
    return [];
  }

  #candidates(key: string): readonly Client[] {
    return this.#recent.get(key) ?? this.#settled.get(key) ?? [];
  }

  // Lists are replaced and never changed: an index that follows another one shares them with it.
  #file(key: string, client: Client): void {
    const prefix = networkOf(client.match)?.prefix;
    if (prefix !== undefined && !this.#prefixes.includes(prefix)) this.#prefixes = [...this.#prefixes, prefix].sort((a, b) => b - a);
    const pattern = patternOf(client.match);
    const shape = pattern === undefined ? undefined : shapeOf(pattern);
    if (shape !== undefined && !this.#shapes.includes(shape)) this.#shapes = [...this.#shapes, shape];
    this.#recent.set(key, [...this.#candidates(key), client]);
  }

  #unfile(key: string, client: Client): void {
    this.#recent.set(
      key,
      this.#candidates(key).filter((each) => each !== client),
    );
  }

  #settle(): void {
    if (this.#recent.size <= MOST_RECENT) return;
    const settled = new Map(this.#settled);
    for (const [key, clients] of this.#recent) {
      if (clients.length > 0) settled.set(key, clients);
      else settled.delete(key);
    }
    this.#settled = settled;
    this.#recent = new Map();
  }
}

/** Who is at the other end of a connection. */
export interface Peer {
  /** undefined: on a plain listener, which asks for no certificate. */
  readonly identity: Identity | undefined;
  /** The bits of its address, as of cidr.ts; undefined: from wherever it comes. */
  readonly source: bigint | undefined;
}

/** True when this is the client, whoever else it may be. A network alone identifies a client without a certificate, and no other. */
export function isClient(client: Client, { identity, source }: Peer): boolean {
  const { match } = client;
  const network = networkOf(match);
  const comesFromThere = network === undefined || source === undefined || contains(network, source);
  if (identity === undefined) return network !== undefined && !hasField(match) && comesFromThere;
  if (hasField(match)) return matchesIdentity(match, identity) && comesFromThere;
  return network === undefined && carriesName(identity, client.clientId);
}

function carriesName(identity: Identity, name: string): boolean {
  return identity.commonName === name || identity.dnsNames.includes(name.toLowerCase()) || identity.uriNames.includes(name);
}

function hasField({ cn, dns, uri, ou, fingerprint }: IdentityMatch): boolean {
  return (cn ?? dns ?? uri ?? ou ?? fingerprint) !== undefined;
}

/** Reading a network takes longer than a connection may wait for; a match is never changed. */
const networks = new WeakMap<IdentityMatch, Network>();

function networkOf(match: IdentityMatch): Network | undefined {
  if (match.cidr === undefined) return undefined;
  const known = networks.get(match);
  if (known !== undefined) return known;
  const network = parseCidr(match.cidr);
  if ('problem' in network) throw new Error(`the state holds a malformed network: ${network.problem}`);
  networks.set(match, network);
  return network;
}

/** As with networks. A text that is no pattern stands for itself: states of before there were patterns may have one. */
const patterns = new WeakMap<IdentityMatch, UriPattern | 'none'>();

function patternOf(match: IdentityMatch): UriPattern | undefined {
  if (match.uri === undefined || !hasWildcard(match.uri)) return undefined;
  const known = patterns.get(match);
  if (known !== undefined) return known === 'none' ? undefined : known;
  const parsed = parseUriPattern(match.uri);
  const pattern = 'problem' in parsed ? undefined : parsed;
  patterns.set(match, pattern ?? 'none');
  return pattern;
}

function networkKey({ bits, prefix }: Network): string {
  return `network:${prefix}:${bits.toString(36)}`;
}

/** One key that every identity of this client carries; three for a client known by its id alone. */
function lookupKeys({ clientId, match }: Client): string[] {
  const network = networkOf(match);
  if (!hasField(match) && network !== undefined) return [networkKey(network)];
  if (!hasField(match)) return [`cn:${clientId}`, `dns:${clientId.toLowerCase()}`, `uri:${clientId}`];
  if (match.fingerprint !== undefined) return [`fingerprint:${match.fingerprint}`];
  if (match.cn !== undefined) return [`cn:${match.cn}`];
  if (match.dns !== undefined) return [`dns:${match.dns.toLowerCase()}`];
  const pattern = patternOf(match);
  if (pattern !== undefined) return [`pattern:${patternKey(pattern)}`];
  if (match.uri !== undefined) return [`uri:${match.uri}`];
  return [`ou:${match.ou ?? ''}`];
}

function* identityKeys(identity: Identity, shapes: readonly string[]): Generator<string> {
  if (identity.commonName !== undefined) yield `cn:${identity.commonName}`;
  for (const name of identity.dnsNames) yield `dns:${name}`;
  for (const name of identity.uriNames) {
    yield `uri:${name}`;
    const plain = shapes.length === 0 ? undefined : plainUri(name);
    if (plain !== undefined) for (const shape of shapes) yield `pattern:${keyAs(shape, plain)}`;
  }
  for (const unit of identity.organizationalUnits) yield `ou:${unit}`;
  yield `fingerprint:${identity.fingerprint}`;
}

/** Of a subject as CertificateFields has it; an undefined value identifies nobody. */
export function* subjectAttributes(subject: string): Generator<{ key: string; value: string | undefined }> {
  for (const line of subject.split('\n')) {
    const attribute = /(?<key>[^=+]+)=(?<value>(?:[^\\+]|\\.)*?)(?: \+ |$)/gy;
    for (const { groups } of line.matchAll(attribute)) {
      yield { key: groups?.['key'] ?? '', value: unescapeRfc2253(groups?.['value'] ?? '') };
    }
  }
}

/** undefined for an empty value and for one with a control character: such a name identifies nobody. */
function unescapeRfc2253(value: string): string | undefined {
  const text = value.replace(/\\([\da-f]{2})|\\(.)/gi, (_, hex: string | undefined, char: string | undefined) =>
    hex === undefined ? (char ?? '') : String.fromCharCode(Number.parseInt(hex, 16)),
  );
  return text === '' || hasControlCharacter(text) ? undefined : text;
}

/** Of alternative names as CertificateFields has them. */
export function* alternativeNames(names: string): Generator<{ type: string; value: string }> {
  const entry = /(?<type>[A-Za-z ]+):(?:(?<quoted>"(?:[^"\\]|\\.)*")|(?<plain>[^,]*))(?:, |$)/gy;
  for (let match = entry.exec(names); match?.groups !== undefined; match = entry.exec(names)) {
    const { type = '', quoted, plain = '' } = match.groups;
    const value = quoted === undefined ? plain : String(JSON.parse(quoted));
    if (value !== '' && !hasControlCharacter(value)) yield { type, value };
    if (entry.lastIndex >= names.length) return;
  }
}

function hasControlCharacter(text: string): boolean {
  return [...text].some((char) => char < ' ' || char === '\x7f');
}
