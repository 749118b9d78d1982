/** The TLS side of the admin server: nobody gets further without a certificate of the CA. */
import { constants } from 'node:crypto';
import { createSecureContext, createServer, type SecureContextOptions, type Server, type TLSSocket } from 'node:tls';
import type { Logger } from 'pino';
import { plainFingerprint } from '../domain/fingerprint.ts';
import { nameText } from '../domain/name-text.ts';
import type { TlsMaterial } from '../domain/tls-material.ts';
import { Repeats } from './repeats.ts';

/** Whoever reaches the port can fail here, so it is in the log alone, and told once with a count. */
interface FailedHandshake {
  readonly from: string | undefined;
  readonly error: string;
  /** What an untrusted certificate claims. */
  readonly subject?: string;
  readonly fingerprint?: string;
}

const HANDSHAKE_TIMEOUT_MS = 10_000;
const MAX_CONNECTIONS = 512;
const MAX_SUBJECT = 256;

/**
 * A server that hands over the connections whose client certificate has been verified.
 * @throws when the material does not make a working TLS context
 */
export function createMutualTlsServer(
  material: TlsMaterial,
  log: Logger,
  onVerified: (socket: TLSSocket) => void,
  handshakeTimeoutMs = HANDSHAKE_TIMEOUT_MS,
): Server {
  const server = createServer({
    ...contextOptions(material),
    requestCert: true,
    // Refused below, where there still is something to tell of who it was.
    rejectUnauthorized: false,
    ALPNProtocols: ['h2'],
    handshakeTimeout: handshakeTimeoutMs,
    noDelay: true,
  });
  server.maxConnections = MAX_CONNECTIONS;
  const repeats = new Repeats<FailedHandshake>(({ last, count, sinceMs }) =>
    log.warn({ ...last, count, since: new Date(sinceMs).toISOString() }, 'admin handshakes failed again'),
  );
  const refuse = (socket: TLSSocket, error: string) => {
    const failed = failedHandshake(socket, error);
    if (repeats.isNews(failed.from ?? '', `${error} ${failed.fingerprint}`, failed)) log.warn(failed, 'admin handshake failed');
    // Node.js only tells of a handshake that takes too long; it does not end it.
    socket.destroy();
  };
  server.on('secureConnection', (socket) => {
    if (socket.authorized) onVerified(socket);
    else refuse(socket, String(socket.authorizationError));
  });
  server.on('tlsClientError', (error, socket) => refuse(socket, error.message));
  server.on('close', () => repeats.flush());
  return server;
}

/**
 * New connections get the new certificate and are held to the new CA; those there are go on.
 * @throws when the material does not make a working TLS context; the old one stays
 */
export function swapMaterial(server: Server, material: TlsMaterial): void {
  const options = contextOptions(material);
  // setSecureContext writes its fields one by one: what it would throw at is found before.
  createSecureContext(options);
  server.setSecureContext(options);
}

function failedHandshake(socket: TLSSocket, error: string): FailedHandshake {
  const from = socket.remoteAddress;
  const certificate = socket.getPeerX509Certificate();
  if (certificate === undefined) return { from, error };
  return { from, error, subject: nameText(certificate.subject, MAX_SUBJECT), fingerprint: plainFingerprint(certificate.fingerprint256) };
}

function contextOptions(material: TlsMaterial): SecureContextOptions {
  return {
    cert: material.certificatePem,
    key: material.privateKeyPem,
    ca: material.caPem,
    minVersion: material.minVersion,
    ciphers: material.ciphers,
    // A resumed session would not be verified again: every connection shows its certificate.
    secureOptions: constants.SSL_OP_NO_TICKET,
    ...(material.crlPem === undefined ? {} : { crl: material.crlPem }),
  };
}
