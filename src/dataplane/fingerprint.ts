import { hash } from 'node:crypto';

/** The SHA-256 of a certificate's DER, as 64 lower-case hex digits. */
export function fingerprintOf(der: Buffer): string {
  return hash('sha256', der, 'hex');
}
