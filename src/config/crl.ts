/** What a revocation list says of itself. Node.js holds one against certificates but shows neither its dates nor its issuer. */
import { createRequire } from 'node:module';
import type * as x509 from '@peculiar/x509';

export interface RevocationList {
  /** As in a certificate's subject: `CN=Root CA, O=Example`. */
  readonly issuer: string;
  /** undefined: it has no end. */
  readonly nextUpdate: Date | undefined;
  /** Whether the CA of this PEM certificate is the list's issuer, by name. */
  isOf(caPem: string): boolean;
}

/** Reads a PEM revocation list. The library is loaded at the first list: most configurations have none. @throws Error for damaged text */
export function readRevocationList(pem: string): RevocationList {
  const { X509Certificate, X509Crl } = loadX509();
  const list = new X509Crl(pem);
  const name = Buffer.from(list.issuerName.toArrayBuffer());
  return {
    issuer: list.issuer,
    nextUpdate: list.nextUpdate,
    isOf: (caPem) => name.equals(Buffer.from(new X509Certificate(caPem).subjectName.toArrayBuffer())),
  };
}

function loadX509(): typeof x509 {
  const require = createRequire(import.meta.url);
  require('reflect-metadata');
  return require('@peculiar/x509');
}
