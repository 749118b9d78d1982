/** What clients hold against a server's certificate, and OpenSSL does not when it loads one. */
import { X509Certificate } from 'node:crypto';
import { type ParsedCertificate, quotedName, Refusal } from './pem-files.ts';

/** RFC 5280, section 4.2.1.12. */
const SERVER_AUTH = '1.3.6.1.5.5.7.3.1';

/** What is worth a line about what the certificate may be used for: one of another purpose is refused, anyExtendedKeyUsage by OpenSSL too. */
export function purposeWarnings(which: string, { subject, keyUsage }: X509Certificate): string[] {
  // Despite its name it is the extended one; undefined: any use.
  if (keyUsage === undefined || keyUsage.includes(SERVER_AUTH)) return [];
  return [
    `${which}: ${quotedName(subject)} is not for servers (its extended key usage lacks serverAuth), so clients refuse it; have the CA issue one with serverAuth`,
  ];
}

/** An ended certificate in the place of one (PEM) that has not ended yet would only do harm. For {@link attemptFile}. */
export function refuseEnded({ certificate: { subject, validToDate } }: ParsedCertificate, inForcePem: string, nowMs: number): void {
  if (validToDate.getTime() > nowMs || new X509Certificate(inForcePem).validToDate.getTime() <= nowMs) return;
  throw new Refusal(`${quotedName(subject)} ended at ${validToDate.toISOString()}: with it every client would refuse lbd; renew it`);
}
