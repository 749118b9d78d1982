/** With which certificates a listener answers: the main one, or the first other one that carries the name a client asks for (SNI). */
import { constants, X509Certificate } from 'node:crypto';
import type { SecureContextOptions } from 'node:tls';
import { carries, twinsOf } from '../domain/served-names.ts';
import type { KeyPair, OcspStaple, ServedKeyPair, TlsMaterial } from '../domain/tls-material.ts';

/** How sessions of a listener are told from those of another server; the same in every worker. */
const SESSION_CONTEXT = 'portcullis';

/** What a listener's TLS context is made of, for a client that asks for no name that one of `certificates` carries. */
export function contextOptions(material: TlsMaterial): SecureContextOptions & { readonly sessionIdContext: string } {
  return optionsWith(mainPairs(material), material);
}

/** What clients are served with. */
export interface ServingContext {
  readonly options: SecureContextOptions;
  /** Stapled for those that ask. Of twins, none is: which of them OpenSSL chooses is not known when the response is asked for. */
  readonly ocsp: OcspStaple | undefined;
}

/** What a client is served with that asks for a name which `isFor` takes. */
export interface NamedContext extends ServingContext {
  isFor(serverName: string): boolean;
}

/** What a client is served with that asks for no name that one of `certificates` carries. */
export function mainContext(material: TlsMaterial): ServingContext {
  return servingContext(mainPairs(material), material);
}

/** The contexts of `certificates`, in their order. */
export function namedContexts(material: TlsMaterial): readonly NamedContext[] {
  return material.certificates.map((pair) => {
    const certificate = new X509Certificate(pair.certificatePem);
    return {
      isFor: (serverName) => carries(certificate, serverName),
      ...servingContext(twinsOf(pair, [...material.certificates, material], leafOf), material),
    };
  });
}

function servingContext(pairs: readonly ServedKeyPair[], material: TlsMaterial): ServingContext {
  return { options: optionsWith(pairs, material), ocsp: pairs.length === 1 ? pairs[0]?.ocsp : undefined };
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

function mainPairs(material: TlsMaterial): readonly ServedKeyPair[] {
  return twinsOf(material, material.certificates, leafOf);
}

function leafOf({ certificatePem }: ServedKeyPair): X509Certificate {
  return new X509Certificate(certificatePem);
}
