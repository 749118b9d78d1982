/** Answers of a certificate's OCSP responder (RFC 6960), which a listener staples to its handshakes. */
import { createHash, X509Certificate } from 'node:crypto';
import { bitsOf, contentOf, DER_TAG, type DerValue, derValues, explicitTag, timeOf, valuesIn } from '../domain/der.ts';
import type { OcspStaple } from '../domain/tls-material.ts';
import { fieldsOf } from './certificate-fields.ts';
import { Refusal } from './pem-files.ts';
import { readBoundedFile } from './read-file.ts';
import { hashNamed, isSignedWith, type Signed } from './signature.ts';

/** What a response says of one certificate. */
export interface OcspAnswer {
  /** undefined: it says of no end. */
  readonly nextUpdate: Date | undefined;
}

const STATUSES = ['successful', 'malformedRequest', 'internalError', 'tryLater', '', 'sigRequired', 'unauthorized'];
/** DER of the object identifiers, hex. */
const BASIC_RESPONSE = '2b0601050507300101';
const OCSP_SIGNING = '1.3.6.1.5.5.7.3.9';
/** A responder's clock may be so much ahead. */
const CLOCK_SKEW_MS = 5 * 60_000;
/** Responses are often made for a week; a day is what it takes to notice and fetch one. */
const WARN_BEFORE_MS = 86_400_000;

/**
 * Reads a DER response, and proves that it is a good word of the issuer for this certificate at `nowMs` (milliseconds since 1970).
 * `authorities` are those among which the issuer is looked for.
 * @throws Refusal
 */
export function readOcspResponse(
  der: Buffer,
  certificate: X509Certificate,
  authorities: readonly X509Certificate[],
  nowMs: number,
): OcspAnswer {
  const basic = readable(() => basicResponseIn(der));
  const issuer = authorities.find((each) => certificate.checkIssued(each) && certificate.verify(each.publicKey));
  if (issuer === undefined)
    throw new Refusal('the issuer of the certificate is not at hand to check it: put its certificate after the other in the same file');
  const answer = readable(() => basic.responses.find((each) => isFor(each, certificate, issuer)));
  if (answer === undefined) throw new Refusal('it is not for this certificate; ask the responder for this one');
  const signers = [issuer, ...basic.certificates.filter((each) => isDelegate(each, issuer, nowMs))];
  if (!signers.some((signer) => isSignedWith(basic, signer.publicKey) === true))
    throw new Refusal("it is not signed by the certificate's issuer or a responder of its, or in a way that is not known");
  return readable(() => goodAnswer(answer, nowMs));
}

/** What a file holds that is to be stapled for `certificate`. @throws Refusal, UnreadableFileError */
export function readStaple(file: string, certificate: X509Certificate, authorities: readonly X509Certificate[], nowMs: number): OcspStaple {
  const der = readBoundedFile(file);
  return { der, endsAtMs: readOcspResponse(der, certificate, authorities, nowMs).nextUpdate?.getTime() };
}

/** At `nowMs`: the line that is due when the response will not be stapled for long. */
export function stapleWarnings(which: string, staple: OcspStaple | undefined, nowMs: number): string[] {
  const endsAtMs = staple?.endsAtMs;
  if (endsAtMs === undefined || endsAtMs - nowMs >= WARN_BEFORE_MS) return [];
  return [`${which}: the response ends at ${new Date(endsAtMs).toISOString()} and is not stapled from then on; fetch a new one and reload`];
}

interface BasicResponse extends Signed {
  readonly responses: readonly DerValue[];
  readonly certificates: readonly X509Certificate[];
}

function basicResponseIn(der: Buffer): BasicResponse {
  const [response, ...rest] = derValues(der);
  if (rest.length > 0) throw new Error('more follows');
  const [statusValue, bytes] = valuesIn(response);
  const status = contentOf(statusValue, DER_TAG.enumerated)[0] ?? -1;
  if (status !== 0) throw new Refusal(`the responder refused to answer: ${STATUSES[status] ?? status}; ask it again`);
  const [type, octets] = valuesIn(valuesIn(bytes, explicitTag(0))[0]);
  if (contentOf(type, DER_TAG.oid).toString('hex') !== BASIC_RESPONSE) throw new Error('not a basic response');
  const [data, algorithm, signature, certificates] = valuesIn(derValues(contentOf(octets, DER_TAG.octets))[0]);
  if (data === undefined) throw new Error('empty');
  // The version, [0], is left out as a rule; then come whose it is and when it was made.
  const fields = valuesIn(data).filter(({ tag }) => tag !== explicitTag(0));
  return {
    signed: data.whole,
    responses: valuesIn(fields[2]),
    algorithm,
    signature: bitsOf(signature),
    certificates:
      certificates === undefined ? [] : valuesIn(valuesIn(certificates, explicitTag(0))[0]).map(({ whole }) => new X509Certificate(whole)),
  };
}

/** Whether a single response is about the certificate: its number, and its issuer's name and key. */
function isFor(single: DerValue, certificate: X509Certificate, issuer: X509Certificate): boolean {
  const [algorithm, nameHash, keyHash, serial] = valuesIn(valuesIn(single)[0]);
  const hash = hashNamed(algorithm);
  if (hash === undefined) return false;
  const digest = (bytes: Buffer) => createHash(hash).update(bytes).digest();
  const [own, its] = [fieldsOf(certificate), fieldsOf(issuer)];
  return (
    contentOf(serial, DER_TAG.integer).equals(own.serial) &&
    contentOf(nameHash, DER_TAG.octets).equals(digest(its.subject)) &&
    contentOf(keyHash, DER_TAG.octets).equals(digest(its.key))
  );
}

/** RFC 6960, section 4.2.2.2: issued by the same CA, for this purpose. */
function isDelegate(signer: X509Certificate, issuer: X509Certificate, nowMs: number): boolean {
  return (
    (signer.keyUsage ?? []).includes(OCSP_SIGNING) &&
    signer.checkIssued(issuer) &&
    signer.verify(issuer.publicKey) &&
    signer.validFromDate.getTime() <= nowMs &&
    signer.validToDate.getTime() > nowMs
  );
}

function goodAnswer(single: DerValue, nowMs: number): OcspAnswer {
  const [, status, thisUpdate, next] = valuesIn(single);
  // The choice is by tag: good [0], revoked [1] with when and why, unknown [2].
  const number = (status?.tag ?? 0) & 0x1f;
  if (number === 1) throw new Refusal('it says that the certificate is revoked; get another certificate');
  if (number !== 0) throw new Refusal('it says that the responder does not know the certificate');
  const [from, nextUpdate] = [timeOf(thisUpdate), next?.tag === explicitTag(0) ? timeOf(derValues(next.content)[0]) : undefined];
  if (from.getTime() > nowMs + CLOCK_SKEW_MS)
    throw new Refusal(`it holds from ${from.toISOString()} on; look at the clock of this machine`);
  if (nextUpdate !== undefined && nextUpdate.getTime() <= nowMs)
    throw new Refusal(`it ended at ${nextUpdate.toISOString()}; fetch a new one from the responder`);
  return { nextUpdate };
}

/** @throws Refusal for whatever is not DER of this shape */
function readable<T>(read: () => T): T {
  try {
    return read();
  } catch (error) {
    if (error instanceof Refusal) throw error;
    throw new Refusal('this is not an OCSP response in DER; expected what openssl ocsp -respout writes');
  }
}
