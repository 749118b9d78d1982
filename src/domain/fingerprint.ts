/** The SHA-256 fingerprint of a certificate as text: 64 lower-case hex digits, whichever way it was written. */

/** Without the colons and the capitals that Node.js and OpenSSL write. What is no fingerprint is none after it either. */
export function plainFingerprint(text: string): string {
  return text.replaceAll(':', '').toLowerCase();
}

/** Whether it is a fingerprint, and plain. */
export function isFingerprint(text: string): boolean {
  return /^[\da-f]{64}$/.test(text);
}
