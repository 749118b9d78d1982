/** TLS parameters as the file has them. */
import type { z } from 'zod';
import { documented, flag, list, mapping, oneOf } from './fields.ts';
import { ciphers, filePath } from './text-fields.ts';

const ocspResponse = () =>
  documented(
    filePath('an OCSP response').optional(),
    'DER file with the answer of its OCSP responder, stapled for clients that ask until it ends; not beside a twin with another kind of key.',
    'none',
    'certs/loadbalancer.ocsp',
  );

/** A certificate, its key and its OCSP response. */
export const keyPair = mapping({
  certificate: documented(filePath('a certificate'), 'PEM file with the certificate, then its intermediates.', undefined, 'certs/db.crt'),
  privateKey: documented(
    filePath("the certificate's private key"),
    'PEM file with its private key, not encrypted, readable by the owner only.',
    undefined,
    'certs/db.key',
  ),
  ocspResponse: ocspResponse(),
});

export const tlsParams = mapping({
  certificate: documented(
    filePath("the server's certificate"),
    'PEM file with the server certificate, then its intermediates; looked up beside the config file, then in the working directory.',
    undefined,
    'certs/loadbalancer.crt',
  ),
  privateKey: documented(
    filePath("the certificate's private key"),
    'PEM file with the private key, not encrypted, readable by the owner only.',
    undefined,
    'certs/loadbalancer.key',
  ),
  ocspResponse: ocspResponse(),
  certificates: documented(
    list(keyPair, 'certificates with their keys').prefault([]),
    'More certificates of a listener: a client that asks for a name (SNI) gets the first that carries it, others the one above.',
    'none',
    [{ certificate: 'certs/db.crt', privateKey: 'certs/db.key' }],
  ),
  caCert: documented(
    filePath('the CA of client certificates'),
    'PEM file with the CA certificates that client certificates must chain to.',
    undefined,
    'certs/rootCA.pem',
  ),
  crl: documented(
    filePath('the revocation list').optional(),
    'PEM file with the whole revocation list of every CA in caCert, each in force and signed by its CA; delta lists are refused.',
    'none',
    'certs/revoked.crl',
  ),
  minVersion: documented(
    oneOf(['TLSv1.2', 'TLSv1.3']).prefault('TLSv1.2'),
    'The oldest TLS version that is accepted.',
    'TLSv1.2',
    'TLSv1.3',
  ),
  ciphers: documented(
    ciphers().optional(),
    'Cipher suites by IANA or OpenSSL name: a list, or one text with colons.',
    'TLS 1.3 suites, and ECDHE with AES-GCM or ChaCha20',
    ['TLS_AES_128_GCM_SHA256', 'TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256'],
  ),
  sessionTickets: documented(
    flag().prefault(false),
    'Let clients of a listener resume sessions; each resumed one is judged anew.',
    'false',
    true,
  ),
});

export type TlsParamsInFile = z.output<typeof tlsParams>;
