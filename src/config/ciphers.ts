/**
 * The cipher suites that may be offered: all of TLS 1.3's common ones, and of TLS 1.2 those with forward secrecy and
 * authenticated encryption. Names as IANA registers them (https://www.iana.org/assignments/tls-parameters) -> as OpenSSL does.
 */
const SUITES: ReadonlyMap<string, string> = new Map([
  ['TLS_AES_128_GCM_SHA256', 'TLS_AES_128_GCM_SHA256'],
  ['TLS_AES_256_GCM_SHA384', 'TLS_AES_256_GCM_SHA384'],
  ['TLS_CHACHA20_POLY1305_SHA256', 'TLS_CHACHA20_POLY1305_SHA256'],
  ['TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256', 'ECDHE-ECDSA-AES128-GCM-SHA256'],
  ['TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256', 'ECDHE-RSA-AES128-GCM-SHA256'],
  ['TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384', 'ECDHE-ECDSA-AES256-GCM-SHA384'],
  ['TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384', 'ECDHE-RSA-AES256-GCM-SHA384'],
  ['TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256', 'ECDHE-ECDSA-CHACHA20-POLY1305'],
  ['TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256', 'ECDHE-RSA-CHACHA20-POLY1305'],
]);

const OPENSSL_NAMES: ReadonlySet<string> = new Set(SUITES.values());

/** Every suite that may be offered, by its OpenSSL name. */
export const SUITE_NAMES: readonly string[] = [...OPENSSL_NAMES];

/** OpenSSL cipher list that is offered when the config names none. */
export const DEFAULT_CIPHERS = SUITE_NAMES.join(':');

/** The OpenSSL name of a suite given by its IANA or its OpenSSL name; undefined for one that is unknown or too weak. */
export function suiteName(name: string): string | undefined {
  const upper = name.toUpperCase();
  return OPENSSL_NAMES.has(upper) ? upper : SUITES.get(upper);
}

/** True for an OpenSSL cipher list that has a suite of TLS 1.3 in it. */
export function offersTls13(ciphers: string): boolean {
  return ciphers.split(':').some((name) => name.startsWith('TLS_'));
}
