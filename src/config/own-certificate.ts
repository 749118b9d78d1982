/** What peers hold against a certificate that lbd shows them, and OpenSSL does not when it loads one. */
import { X509Certificate } from 'node:crypto';
import { neverServed } from '../domain/served-names.ts';
import { type ParsedCertificate, quotedName, Refusal } from './pem-files.ts';

/** Whom lbd shows a certificate to. */
export type ShownTo = 'clients' | 'servers';

/** The use that they want of it (RFC 5280, section 4.2.1.12), and what comes of a certificate without. */
const WANTED = {
  clients: { oid: '1.3.6.1.5.5.7.3.1', use: 'serverAuth', missing: 'is not for servers', refusedBy: 'clients refuse it' },
  servers: { oid: '1.3.6.1.5.5.7.3.2', use: 'clientAuth', missing: 'is not for clients', refusedBy: 'servers that ask for one refuse it' },
} as const satisfies Readonly<Record<ShownTo, unknown>>;

/** What is worth a line about what the certificate may be used for: one of another purpose is refused, anyExtendedKeyUsage by OpenSSL too. */
export function purposeWarnings(which: string, { subject, keyUsage }: X509Certificate, shownTo: ShownTo): string[] {
  const { oid, use, missing, refusedBy } = WANTED[shownTo];
  // Despite its name it is the extended one; undefined: any use.
  if (keyUsage === undefined || keyUsage.includes(oid)) return [];
  return [
    `${which}: ${quotedName(subject)} ${missing} (its extended key usage lacks ${use}), so ${refusedBy}; have the CA issue one with ${use}`,
  ];
}

/** What is worth a line about certificates that are chosen by name: `which` says where the one at a position stands; `main` is for other names. */
export function neverServedWarnings(
  which: (index: number) => string,
  main: X509Certificate,
  certificates: readonly X509Certificate[],
): string[] {
  return neverServed(main, certificates).map(({ index, takenBy }) => {
    const name = quotedName(certificates[index]?.subject ?? '');
    const takers = `${takenBy.slice(0, MOST_TAKERS).map(which).join(', ')}${takenBy.length > MOST_TAKERS ? ' and others' : ''}`;
    const why =
      takenBy.length === 0
        ? 'it carries no host name that a client can ask for; have the CA issue one with a DNS name, or remove it'
        : `those who ask for one of its names get an earlier one that carries it: ${takers}; move it up before that, or remove it`;
    return `${which(index)}: ${name} is served to nobody: ${why}`;
  });
}

/** Certificates told where one is served to nobody. */
const MOST_TAKERS = 3;

/** An ended certificate in the place of one (PEM) that has not ended yet would only do harm. For {@link attemptFile}. */
export function refuseEnded({ certificate: { subject, validToDate } }: ParsedCertificate, inForcePem: string, nowMs: number): void {
  if (validToDate.getTime() > nowMs || new X509Certificate(inForcePem).validToDate.getTime() <= nowMs) return;
  throw new Refusal(`${quotedName(subject)} ended at ${validToDate.toISOString()}: with it every client would refuse lbd; renew it`);
}
