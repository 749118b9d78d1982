/** The TLS side of the admin server: nobody gets further without a certificate of the CA. */
import { constants } from 'node:crypto';
import { createSecureContext, createServer, type SecureContextOptions, type Server, type TLSSocket } from 'node:tls';
import type { Logger } from 'pino';
import type { TlsMaterial } from '../domain/model.ts';

const HANDSHAKE_TIMEOUT_MS = 10_000;
const MAX_CONNECTIONS = 512;

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
    rejectUnauthorized: true,
    ALPNProtocols: ['h2'],
    handshakeTimeout: handshakeTimeoutMs,
    noDelay: true,
  });
  server.maxConnections = MAX_CONNECTIONS;
  server.on('secureConnection', onVerified);
  server.on('tlsClientError', (error, socket) => {
    log.info({ from: socket.remoteAddress, error: error.message }, 'admin handshake failed');
    // Node.js only tells of a handshake that takes too long; it does not end it.
    socket.destroy();
  });
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
