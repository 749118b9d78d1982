/** Certificates that say odd things, really encoded, and read by Node as a handshake would hand them over. */
import 'reflect-metadata';
import { webcrypto, X509Certificate } from 'node:crypto';
import * as x509 from '@peculiar/x509';

const P256 = { name: 'ECDSA', namedCurve: 'P-256', hash: 'SHA-256' } as const;
const keys = await webcrypto.subtle.generateKey(P256, true, ['sign', 'verify']);

export interface CertificateText {
  /** One entry for each set of the subject; a set may hold several attributes. */
  readonly subject?: x509.JsonName;
  readonly dns?: readonly string[];
  readonly uri?: readonly string[];
  /** Further names, by the type that the library calls them. */
  readonly others?: readonly x509.JsonGeneralName[];
}

/** Values of a subject that go into the certificate as they are, as UTF8String: what begins with # is taken for their encoding. */
export function utf8(...values: readonly string[]): string[] {
  return values.map((value) => {
    const bytes = Buffer.from(value);
    return `#${Buffer.concat([Buffer.of(0x0c, bytes.length), bytes]).toString('hex')}`;
  });
}

export async function certificate({ subject = [], dns = [], uri = [], others = [] }: CertificateText): Promise<X509Certificate> {
  const names: x509.JsonGeneralName[] = [
    ...others,
    ...dns.map((value) => ({ type: 'dns' as const, value })),
    ...uri.map((value) => ({ type: 'url' as const, value })),
  ];
  const made = await x509.X509CertificateGenerator.create({
    subject,
    issuer: 'CN=test CA',
    publicKey: keys.publicKey,
    signingKey: keys.privateKey,
    signingAlgorithm: P256,
    extensions: names.length > 0 ? [new x509.SubjectAlternativeNameExtension(names)] : [],
  });
  return new X509Certificate(new Uint8Array(made.rawData));
}
