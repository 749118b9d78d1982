/** Whether a revocation list is a CA's own as OpenSSL sees it: by name, by the key that the list names, and by its signature. */
import type { X509Certificate } from 'node:crypto';
import { contentOf, DER_TAG, derValues } from '../domain/der.ts';
import type { ListSpan } from '../domain/list-in-use.ts';
import { type CertificateFields, fieldsOf } from './certificate-fields.ts';
import type { RevocationList } from './crl.ts';
import { type DistinguishedName, isSameName, readName } from './distinguished-name.ts';
import { type ParsedCertificate, quotedName } from './pem-files.ts';
import { isSignedWith } from './signature.ts';

/** A CA that lists are held against. */
export interface ListIssuer {
  readonly certificate: X509Certificate;
  readonly subject: DistinguishedName;
  /** The name of its own issuer. */
  readonly issuer: DistinguishedName;
  readonly serial: Buffer;
  /** SubjectKeyIdentifier. */
  readonly keyId: Buffer | undefined;
  readonly maySignLists: boolean;
  readonly namesDistributionPoint: boolean;
}

/** The first that is not as it should be, or `own`: what OpenSSL applies, or would if its signature were known here. */
export type Standing = 'other name' | 'other signature' | 'other key named' | 'may not sign lists' | 'own';

const SUBJECT_KEY_IDENTIFIER = '551d0e';
const KEY_USAGE = '551d0f';
const DISTRIBUTION_POINTS = '551d1f';
/** Bit 6, in the first byte of the bits. */
const CRL_SIGN = 0x02;

/** Reads a CA's certificate. @throws Error for one that has not all parts */
export function listIssuer({ certificate }: Pick<ParsedCertificate, 'certificate'>): ListIssuer {
  const { subject, issuer, serial, extensions } = fieldsOf(certificate);
  const keyId = valueIn(extensions, SUBJECT_KEY_IDENTIFIER);
  const usage = valueIn(extensions, KEY_USAGE);
  return {
    certificate,
    subject: readName(subject),
    issuer: readName(issuer),
    serial,
    keyId: keyId === undefined ? undefined : contentOf(derValues(keyId)[0], DER_TAG.octets),
    maySignLists: usage === undefined || ((contentOf(derValues(usage)[0], DER_TAG.bits)[1] ?? 0) & CRL_SIGN) !== 0,
    namesDistributionPoint: valueIn(extensions, DISTRIBUTION_POINTS) !== undefined,
  };
}

/** What the list is to the CA. */
export function standing(list: RevocationList, ca: ListIssuer): Standing {
  if (!isSameName(list.issuerName, ca.subject)) return 'other name';
  if (isSignedWith(list, ca.certificate.publicKey) === false) return 'other signature';
  if (!namesKeyOf(list, ca)) return 'other key named';
  return ca.maySignLists ? 'own' : 'may not sign lists';
}

/** Whether OpenSSL may choose the list for certificates of the CA: it looks at the signature only once it has chosen. */
export function mayBeChosenFor(list: RevocationList, ca: ListIssuer): boolean {
  return isSameName(list.issuerName, ca.subject) && namesKeyOf(list, ca);
}

/** When the list counts, and for which of `all` CAs. */
export function spanOf(list: RevocationList, all: readonly ListIssuer[]): ListSpan {
  return {
    authorities: all.filter((ca) => standing(list, ca) === 'own').map((ca) => nameOf(ca, all)),
    part: list.scope?.der ?? '',
    thisUpdateMs: list.thisUpdate.getTime(),
    nextUpdateMs: list.nextUpdate?.getTime(),
  };
}

/** The name of one of `all` CAs for people: with its number where it is another one's too, as that of a CA with a new key. */
export function nameOf({ certificate: { subject, serialNumber } }: ListIssuer, all: readonly ListIssuer[]): string {
  const isShared = all.filter((other) => other.certificate.subject === subject).length > 1;
  return `${quotedName(subject)}${isShared ? ` (serial number ${serialNumber})` : ''}`;
}

function namesKeyOf({ issuerKey: { keyId, serial, grandIssuer } }: RevocationList, ca: ListIssuer): boolean {
  return (
    (keyId === undefined || ca.keyId === undefined || keyId.equals(ca.keyId)) &&
    (serial === undefined || serial.equals(ca.serial)) &&
    (grandIssuer === undefined || isSameName(grandIssuer, ca.issuer))
  );
}

function valueIn(extensions: CertificateFields['extensions'], oid: string): Buffer | undefined {
  return extensions.find((each) => each.oid === oid)?.value;
}
