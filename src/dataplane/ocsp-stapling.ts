import type { Server } from 'node:tls';
import type { OcspStaple } from '../domain/tls-material.ts';

/** Sends the response to clients that ask for one (RFC 6066, section 8), until it ends; `wallMs` is milliseconds since 1970. */
export function staple(server: Server, { der, endsAtMs = Number.POSITIVE_INFINITY }: OcspStaple, wallMs: () => number): void {
  const response = Buffer.from(der);
  server.on('OCSPRequest', (_certificate, _issuer, answer) => answer(null, wallMs() < endsAtMs ? response : null));
}
