/** How the names of certificates (RFC 5280, section 4.1.2.4) are shown. */

/** What OpenSSL leaves as it is, and a terminal does not: it may steer it, or seem to be another text. */
const UNSAFE = /[\p{Cc}\p{Cf}\p{Zl}\p{Zp}\p{Cs}]/gu;
const ESCAPED = /\\(?:[\dA-F]{2}|.)|./gsu;

/**
 * A subject or issuer of Node's X509Certificate in one line: `C=DE, O=Acme\, Inc., CN=Root CA`. The order is the certificate's own, and
 * values are escaped as in RFC 2253 (`openssl x509 -nameopt RFC2253`), once; letters of all languages stand for themselves. Cut behind
 * `most` characters, escaped ones counted as one. Empty for a name of nothing.
 */
export function nameText(name: string | undefined, most: number = Number.POSITIVE_INFINITY): string {
  const text = (name ?? '').replaceAll('\n', ', ').replace(UNSAFE, hexPairs);
  if (text.length <= most) return text;
  const characters = text.match(ESCAPED) ?? [];
  return characters.length <= most ? text : `${characters.slice(0, most).join('')}…`;
}

function hexPairs(char: string): string {
  return [...Buffer.from(char)].map((byte) => `\\${byte.toString(16).toUpperCase().padStart(2, '0')}`).join('');
}
