/** What a revocation list says of itself (RFC 5280, section 5). Node.js holds one against certificates but shows nothing of it. */
import { bitsOf, DER_TAG, type DerValue, derCount, derValues, eitherTimeOf, explicitTag, valuesIn } from '../domain/der.ts';
import { nameText } from '../domain/name-text.ts';
import { type Extension, extension, extensionsIn, isTrue } from './certificate-fields.ts';
import { type DistinguishedName, readName } from './distinguished-name.ts';
import type { Signed } from './signature.ts';

export interface RevocationList extends Signed {
  /** For people: `O=Example, CN=Root CA`. */
  readonly issuer: string;
  readonly issuerName: DistinguishedName;
  readonly thisUpdate: Date;
  /** undefined: it has no end. */
  readonly nextUpdate: Date | undefined;
  /** How many certificates it revokes. */
  readonly entries: number;
  /** A delta list: what has changed since another one. */
  readonly isDelta: boolean;
  readonly issuerKey: IssuerKey;
  /** Which certificates it is of; undefined: all of its issuer. */
  readonly scope: ListScope | undefined;
  /** Object identifiers, hex, of critical extensions that OpenSSL does not know, of the list or of an entry. */
  readonly unknownCritical: readonly string[];
}

/** AuthorityKeyIdentifier: which of its issuer's certificates has signed it. What is undefined is not said. */
export interface IssuerKey {
  readonly keyId: Buffer | undefined;
  /** The name of the issuer's own issuer. */
  readonly grandIssuer: DistinguishedName | undefined;
  readonly serial: Buffer | undefined;
}

/** IssuingDistributionPoint. */
export interface ListScope {
  /** Its DER, hex: lists with the same one are of the same certificates. */
  readonly der: string;
  /** Only certificates that name the same distribution point. */
  readonly ofDistributionPoint: boolean;
  readonly onlyUsers: boolean;
  readonly onlyAuthorities: boolean;
  readonly onlyAttributes: boolean;
  readonly onlySomeReasons: boolean;
  readonly indirect: boolean;
}

const AUTHORITY_KEY_IDENTIFIER = '551d23';
const DELTA_INDICATOR = '551d1b';
const ISSUING_DISTRIBUTION_POINT = '551d1c';
const CERTIFICATE_ISSUER = '551d1d';
const KNOWN = new Set([AUTHORITY_KEY_IDENTIFIER, DELTA_INDICATOR, ISSUING_DISTRIBUTION_POINT]);
/** DER of BOOLEAN TRUE, which every critical extension holds. */
const TRUE = Buffer.of(0x01, 0x01, 0xff);
/** `[4]` of GeneralName: a directoryName. */
const DIRECTORY_NAME = 0xa4;

/** Reads a PEM revocation list. @throws Error for one that is damaged */
export function readRevocationList(pem: string): RevocationList {
  const [list, ...more] = derValues(Buffer.from(pem.replace(/-----[^-]+-----/g, ''), 'base64'));
  const [signed, algorithm, signature] = valuesIn(list);
  if (signed === undefined || more.length > 0) throw new Error('damaged');
  // The version is left out in the oldest form.
  const [, issuer, thisUpdate, ...rest] = valuesIn(signed).filter(({ tag }) => tag !== DER_TAG.integer);
  if (issuer === undefined) throw new Error('damaged');
  const issuerName = readName(issuer.whole);
  const next = rest.find(({ tag }) => tag === DER_TAG.shortTime || tag === DER_TAG.time);
  const extensions = extensionsIn(rest.find(({ tag }) => tag === explicitTag(0)));
  const entries = rest.find(({ tag }) => tag === DER_TAG.sequence);
  const foreign = criticalOfEntries(entries);
  const scope = scopeIn(extensions.find(({ oid }) => oid === ISSUING_DISTRIBUTION_POINT));
  return {
    signed: signed.whole,
    algorithm,
    signature: bitsOf(signature),
    issuer: nameText(issuerName.holder.subject),
    issuerName,
    thisUpdate: eitherTimeOf(thisUpdate),
    nextUpdate: next === undefined ? undefined : eitherTimeOf(next),
    entries: entries === undefined ? 0 : derCount(entries.content),
    isDelta: extensions.some(({ oid }) => oid === DELTA_INDICATOR),
    issuerKey: issuerKeyIn(extensions.find(({ oid }) => oid === AUTHORITY_KEY_IDENTIFIER)),
    // An entry of another issuer makes the list an indirect one, whatever the list says.
    scope: foreign.has(CERTIFICATE_ISSUER) ? { ...(scope ?? WHOLE), indirect: true } : scope,
    unknownCritical: [
      ...extensions.filter(({ oid, critical }) => critical && !KNOWN.has(oid)).map(({ oid }) => oid),
      ...[...foreign].filter((oid) => oid !== CERTIFICATE_ISSUER),
    ],
  };
}

function criticalOfEntries(entries: DerValue | undefined): ReadonlySet<string> {
  // A list may hold hundreds of thousands of entries, and hardly one has anything critical.
  if (entries === undefined || !entries.content.includes(TRUE)) return new Set();
  const critical = valuesIn(entries).flatMap((entry) => {
    const extensions = valuesIn(entry).find(({ tag }) => tag === DER_TAG.sequence);
    return extensions === undefined ? [] : valuesIn(extensions).map(extension);
  });
  return new Set(critical.filter((each) => each.critical).map(({ oid }) => oid));
}

function issuerKeyIn(identifier: Extension | undefined): IssuerKey {
  const fields = identifier === undefined ? [] : valuesIn(derValues(identifier.value)[0]);
  const names = fields.find(({ tag }) => tag === explicitTag(1));
  const name = names === undefined ? undefined : derValues(names.content).find(({ tag }) => tag === DIRECTORY_NAME);
  return {
    keyId: fields.find(({ tag }) => tag === 0x80)?.content,
    grandIssuer: name === undefined ? undefined : readName(name.content),
    serial: fields.find(({ tag }) => tag === 0x82)?.content,
  };
}

const WHOLE: ListScope = {
  der: '',
  ofDistributionPoint: false,
  onlyUsers: false,
  onlyAuthorities: false,
  onlyAttributes: false,
  onlySomeReasons: false,
  indirect: false,
};

function scopeIn(point: Extension | undefined): ListScope | undefined {
  if (point === undefined) return undefined;
  const fields = new Map(valuesIn(derValues(point.value)[0]).map((value) => [value.tag, value]));
  return {
    der: point.value.toString('hex'),
    ofDistributionPoint: fields.has(explicitTag(0)),
    onlyUsers: isTrue(fields.get(0x81)),
    onlyAuthorities: isTrue(fields.get(0x82)),
    onlySomeReasons: fields.has(0x83),
    indirect: isTrue(fields.get(0x84)),
    onlyAttributes: isTrue(fields.get(0x85)),
  };
}
