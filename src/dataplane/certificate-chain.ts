/** The certificates that a client presents, and what their signatures prove, whatever else may be wrong with them. */
import { X509Certificate } from 'node:crypto';
import type { Socket } from 'node:net';
import { TLSSocket } from 'node:tls';
import type { TlsMaterial } from '../domain/tls-material.ts';

/** The client's own certificate first. */
export type CertificateChain = readonly [X509Certificate, ...X509Certificate[]];

/** A chain that is longer than OpenSSL follows by default. */
const MOST_CERTIFICATES = 100;
/** What a client may have verified at the most: one that presents many issuers of the same name costs no more. */
const MOST_SIGNATURES = 16;

/** The chain that the client has shown, read from the connection itself, which keeps it anyway; undefined: none, or it is gone. */
export function presentedChain(socket: Socket | undefined): CertificateChain | undefined {
  const leaf = socket instanceof TLSSocket ? socket.getPeerX509Certificate() : undefined;
  if (leaf === undefined) return undefined;
  const issuers: X509Certificate[] = [];
  for (let next = leaf.issuerCertificate; next !== undefined && issuers.length < MOST_CERTIFICATES; next = next.issuerCertificate)
    issuers.push(next);
  return [leaf, ...issuers];
}

/**
 * Whether signatures lead from the client's certificate to one of the CAs. OpenSSL's verdict does not say so: of all that is wrong with
 * a chain it names what it has found last, and a forged certificate that has ended is just one that has ended.
 */
export function leadsToCa([leaf, ...shown]: CertificateChain, material: TlsMaterial): boolean {
  let signatures = 0;
  const hasIssued = (issuer: X509Certificate, certificate: X509Certificate) =>
    certificate.checkIssued(issuer) && ++signatures <= MOST_SIGNATURES && certificate.verify(issuer.publicKey);
  const left = new Set(shown);
  for (let certificate: X509Certificate | undefined = leaf; certificate !== undefined; ) {
    const current: X509Certificate = certificate;
    if (authoritiesOf(material).some((authority) => hasIssued(authority, current))) return true;
    certificate = [...left].find((issuer) => issuer.ca && hasIssued(issuer, current));
    if (certificate !== undefined) left.delete(certificate);
  }
  return false;
}

/** Read once: the material of a listener is another object after each reload. */
const authorities = new WeakMap<TlsMaterial, readonly X509Certificate[]>();

function authoritiesOf(material: TlsMaterial): readonly X509Certificate[] {
  const known = authorities.get(material);
  if (known !== undefined) return known;
  const blocks = material.caPem.match(/-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----/g) ?? [];
  const read = blocks.map((block) => new X509Certificate(block));
  authorities.set(material, read);
  return read;
}
