/** With which certificates a listener answers: the main one, or the first other one that carries the name a client asks for (SNI). */
import { constants, X509Certificate } from 'node:crypto';
import type { SecureContextOptions } from 'node:tls';
import type { KeyPair, TlsMaterial } from '../domain/model.ts';

/** One-label wildcards as in RFC 6125, section 6.4.3; the common name counts where there is no DNS name. */
const NAME_RULES = { subject: 'default', partialWildcards: false } as const;

/** How sessions of a listener are told from those of another server; the same in every worker. */
const SESSION_CONTEXT = 'portcullis';

/** What a listener's TLS context is made of, for a client that asks for no name that one of `certificates` carries. */
export function contextOptions(material: TlsMaterial): SecureContextOptions & { readonly sessionIdContext: string } {
  return optionsWith(mainPairs(material), material);
}

/** What a client is served with that asks for a name which `isFor` takes. */
export interface NamedContext {
  isFor(serverName: string): boolean;
  readonly options: SecureContextOptions;
}

/** The contexts of `certificates`, in their order. */
export function namedContexts(material: TlsMaterial): readonly NamedContext[] {
  return material.certificates.map((pair) => {
    const certificate = new X509Certificate(pair.certificatePem);
    return {
      isFor: (serverName) => certificate.checkHost(serverName, NAME_RULES) !== undefined,
      options: optionsWith(twinsOf(pair, [...material.certificates, material]), material),
    };
  });
}

function optionsWith(pairs: readonly KeyPair[], material: TlsMaterial) {
  const { caPem, crlPem, minVersion, ciphers, sessionTickets } = material;
  return {
    cert: pairs.map(({ certificatePem }) => certificatePem),
    key: pairs.map(({ privateKeyPem }) => privateKeyPem),
    ca: caPem,
    ...(crlPem === undefined ? {} : { crl: crlPem }),
    minVersion,
    ciphers,
    honorCipherOrder: true,
    sessionIdContext: SESSION_CONTEXT,
    secureOptions: constants.SSL_OP_NO_RENEGOTIATION | (sessionTickets === undefined ? constants.SSL_OP_NO_TICKET : 0),
  };
}

function mainPairs(material: TlsMaterial): readonly KeyPair[] {
  return twinsOf(material, material.certificates);
}

/** The pair, and the first other one of each other kind of key that is for the same names: OpenSSL serves the one that the client can verify. */
function twinsOf(pair: KeyPair, others: readonly KeyPair[]): readonly KeyPair[] {
  const leaf = new X509Certificate(pair.certificatePem);
  const byKind = new Map([[leaf.publicKey.asymmetricKeyType, pair]]);
  for (const other of others) {
    const { publicKey, subjectAltName, subject } = new X509Certificate(other.certificatePem);
    const isForSameNames = subjectAltName === leaf.subjectAltName && (subjectAltName !== undefined || subject === leaf.subject);
    if (isForSameNames && !byKind.has(publicKey.asymmetricKeyType)) byKind.set(publicKey.asymmetricKeyType, other);
  }
  return [...byKind.values()];
}
