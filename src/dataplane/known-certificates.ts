/** Certificates that clients have shown before: reading one costs more than looking it up. */
import type { TLSSocket } from 'node:tls';
import type { Identity } from '../domain/identity.ts';
import { fingerprintOf } from './fingerprint.ts';
import { identityIn } from './gates.ts';
import { Refusal } from './refusal.ts';

/** In a worker; beyond it, the one that was read first is read anew. */
const MOST_KNOWN = 4_096;

/** What OpenSSL puts around the peer's certificate in a session (ssl/ssl_asn1.c, `SSL_SESSION_ASN1`): `[3] EXPLICIT`. */
const PEER = 0xa3;
const SEQUENCE = 0x30;

/** Knows whose certificates are, by their fingerprints. */
export class KnownCertificates {
  readonly #identities = new Map<string, Identity>();

  /** What the certificate proves that the client has shown, in this handshake or in that of its session. @throws Refusal */
  identityOf(socket: Pick<TLSSocket, 'getSession' | 'getPeerX509Certificate'>): Identity {
    const der = certificateInSession(socket.getSession());
    const fingerprint = der === undefined ? '' : fingerprintOf(der);
    const known = this.#identities.get(fingerprint);
    if (known !== undefined) return known;
    const certificate = socket.getPeerX509Certificate();
    if (certificate === undefined) throw new Refusal('no_client_certificate', 'the certificate is gone');
    const identity = identityIn(certificate);
    // Otherwise the session does not look as it should here, and each certificate is read.
    if (identity.fingerprint === fingerprint) this.#keep(identity);
    return identity;
  }

  #keep(identity: Identity): void {
    this.#identities.set(identity.fingerprint, identity);
    const [oldest] = this.#identities.keys();
    if (this.#identities.size > MOST_KNOWN && oldest !== undefined) this.#identities.delete(oldest);
  }
}

/** The DER of the peer's certificate in a TLS session as getSession() gives it; undefined: it has none, or is something else. */
export function certificateInSession(session: Buffer | undefined): Buffer | undefined {
  if (session === undefined) return undefined;
  let { begin: at, end } = valueAt(session, 0);
  if (session[0] !== SEQUENCE || end !== session.length) return undefined;
  while (at < session.length) {
    const tag = session[at];
    ({ begin: at, end } = valueAt(session, at));
    if (end > session.length) return undefined;
    if (tag === PEER) return session.subarray(at, end);
    at = end;
  }
  return undefined;
}

/** Where the content of a DER value is, whose tag is one byte; it may say to end where there is nothing any more. */
function valueAt(bytes: Buffer, at: number): { readonly begin: number; readonly end: number } {
  const first = bytes[at + 1] ?? 0;
  const lengthBytes = first < 0x80 ? 0 : first & 0x7f;
  const begin = at + 2 + lengthBytes;
  if (lengthBytes > 4 || begin > bytes.length) return { begin, end: Number.POSITIVE_INFINITY };
  return { begin, end: begin + (lengthBytes === 0 ? first : bytes.readUIntBE(at + 2, lengthBytes)) };
}
