/** What the handshake would say of a client certificate, from the certificate alone: OpenSSL judges it only beside its private key. */
import { X509Certificate } from 'node:crypto';
import type { TlsMaterial } from '../domain/model.ts';
import type { Refusal } from './refusal.ts';
import { untrusted } from './tls.ts';

const MAX_CHAIN = 10;
const CLIENT_AUTHENTICATION = '1.3.6.1.5.5.7.3.2';
const PEM_CERTIFICATE = /-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----/g;
const PEM_REVOCATION_LIST = /-----BEGIN X509 CRL-----[^-]+-----END X509 CRL-----/g;

/**
 * Why a client that presents this chain (the leaf first) would be refused; undefined: the certificate is good. Where several things
 * are wrong it is the one that OpenSSL tells: the last that it finds, going from the chain over revocation to the dates.
 */
export async function certificateVerdict(
  [leaf, ...given]: readonly [X509Certificate, ...X509Certificate[]],
  material: Pick<TlsMaterial, 'caPem' | 'crlPem'>,
  nowMs: number,
): Promise<Refusal | undefined> {
  const authorities = [...material.caPem.matchAll(PEM_CERTIFICATE)].map(([pem]) => new X509Certificate(pem));
  const { chain, problem } = chainOf(leaf, given, authorities);
  const problems = problem === undefined ? [] : [problem];
  if (leaf.keyUsage !== undefined && !leaf.keyUsage.includes(CLIENT_AUTHENTICATION)) problems.push('INVALID_PURPOSE');
  if (material.crlPem !== undefined && problem === undefined) problems.push(...(await revocationProblems(chain, material.crlPem, nowMs)));
  for (const { validFromDate, validToDate } of chain.toReversed()) {
    if (validFromDate.getTime() > nowMs) problems.push('CERT_NOT_YET_VALID');
    if (validToDate.getTime() <= nowMs) problems.push('CERT_HAS_EXPIRED');
  }
  const last = problems.at(-1);
  return last === undefined ? undefined : untrusted(last, leaf.subject);
}

/** From the leaf up to a self-signed CA of the bundle, or as far as it goes. */
function chainOf(
  leaf: X509Certificate,
  given: readonly X509Certificate[],
  authorities: readonly X509Certificate[],
): { readonly chain: readonly X509Certificate[]; readonly problem?: string } {
  const chain = [leaf];
  for (let subject = leaf; chain.length <= MAX_CHAIN; ) {
    const isSelfSigned = isIssuedBy(subject, subject);
    if (isSelfSigned && authorities.some((authority) => authority.fingerprint256 === subject.fingerprint256)) return { chain };
    if (isSelfSigned) return { chain, problem: subject === leaf ? 'DEPTH_ZERO_SELF_SIGNED_CERT' : 'SELF_SIGNED_CERT_IN_CHAIN' };
    const issuer = [...authorities, ...given].find((candidate) => candidate.ca && isIssuedBy(subject, candidate));
    if (issuer === undefined) return { chain, problem: subject === leaf ? 'UNABLE_TO_VERIFY_LEAF_SIGNATURE' : 'UNABLE_TO_GET_ISSUER_CERT' };
    chain.push(issuer);
    subject = issuer;
  }
  return { chain, problem: 'CERT_CHAIN_TOO_LONG' };
}

function isIssuedBy(subject: X509Certificate, issuer: X509Certificate): boolean {
  return subject.checkIssued(issuer) && subject.verify(issuer.publicKey);
}

/** With a list, every certificate of the chain needs one of its issuer. */
async function revocationProblems(chain: readonly X509Certificate[], crlPem: string, nowMs: number): Promise<string[]> {
  // Loaded when somebody asks: a worker that only serves has no use for it.
  await import('reflect-metadata');
  const x509 = await import('@peculiar/x509');
  const lists = [...crlPem.matchAll(PEM_REVOCATION_LIST)].map(([pem]) => new x509.X509Crl(pem));
  return chain.flatMap((certificate) => {
    const { issuer, serialNumber } = new x509.X509Certificate(certificate.raw);
    const list = lists.find((each) => each.issuer === issuer);
    if (list === undefined) return ['UNABLE_TO_GET_CRL'];
    const overdue = list.nextUpdate !== undefined && list.nextUpdate.getTime() <= nowMs;
    return [...(overdue ? ['CRL_HAS_EXPIRED'] : []), ...(list.findRevoked(serialNumber) === null ? [] : ['CERT_REVOKED'])];
  });
}
