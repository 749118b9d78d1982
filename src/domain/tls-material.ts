/** What a listener serves TLS with: the files that its settings name, and what they hold. */
import type { SessionTickets } from './session-tickets.ts';

/** Where TLS material is on disk (absolute paths) and which protocol versions and suites are offered. */
export interface TlsParams {
  readonly certificate: string;
  readonly privateKey: string;
  /** Stapled for clients that ask: DER file with the answer of the certificate's OCSP responder. */
  readonly ocspResponse: string | undefined;
  /** Served instead to a client that asks for a name that one of them carries (SNI); the first that fits. */
  readonly certificates: readonly ServedKeyPairFiles[];
  readonly caCert: string;
  readonly crl: string | undefined;
  readonly minVersion: 'TLSv1.2' | 'TLSv1.3';
  /** OpenSSL cipher list, suites of TLS 1.3 and 1.2 joined by colons. */
  readonly ciphers: string;
  /** Clients may resume sessions; each resumed one is judged anew. */
  readonly sessionTickets: boolean;
}

/** A certificate with its intermediates, and its key: absolute paths of PEM files. */
export interface KeyPairFiles {
  readonly certificate: string;
  readonly privateKey: string;
}

/** The same, of a certificate that is served by its name, with its OCSP response. */
export interface ServedKeyPairFiles extends KeyPairFiles {
  readonly ocspResponse: string | undefined;
}

/** What the files of KeyPairFiles hold: PEM text. */
export interface KeyPair {
  readonly certificatePem: string;
  readonly privateKeyPem: string;
}

/** The good word of a certificate's issuer, for a time (RFC 6960). */
export interface OcspStaple {
  readonly der: Uint8Array;
  /** Milliseconds since 1970; undefined: it says of no end. */
  readonly endsAtMs: number | undefined;
}

export interface ServedKeyPair extends KeyPair {
  /** undefined: none is stapled. */
  readonly ocsp: OcspStaple | undefined;
}

/** What the files of TlsParams hold, read and verified: PEM text. */
export interface TlsMaterial extends ServedKeyPair {
  readonly certificates: readonly ServedKeyPair[];
  readonly caPem: string;
  readonly crlPem: string | undefined;
  readonly minVersion: 'TLSv1.2' | 'TLSv1.3';
  readonly ciphers: string;
  /** undefined: no session is resumed. */
  readonly sessionTickets: SessionTickets | undefined;
}
