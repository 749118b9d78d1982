/** A connection to an upstream server as clients' connections and health checks both make it: TCP, PROXY protocol header, TLS. */
import { connect, isIP, type Socket } from 'node:net';
import { connect as connectTls, createSecureContext, type SecureContext } from 'node:tls';
import type { Address, UpstreamTls, UpstreamTlsMaterial } from '../domain/model.ts';
import { connectLending } from './lent-buffer.ts';
import { failIfReset } from './silent-resets.ts';

/** What goes before the bytes of whoever connects. */
export interface Opening {
  /** A PROXY protocol header, sent before everything else. */
  readonly header: Uint8Array | undefined;
  /** undefined: plain TCP. */
  readonly tls: OpeningTls | undefined;
  /** What is read from plain TCP is lent, as connectLending() says. */
  readonly lends?: true;
}

export interface OpeningTls {
  /** The target group whose settings they are. */
  readonly group: string;
  readonly settings: Pick<UpstreamTls, 'serverName' | 'insecureSkipVerify'>;
  readonly context: SecureContext;
  /** The only application protocol that is offered. */
  readonly alpn: string | undefined;
}

export const PLAIN_OPENING: Opening = { header: undefined, tls: undefined };

/** The TLS handshake with a server of the group failed; `cause` is what Node.js or OpenSSL said. */
export class UpstreamTlsError extends Error {
  override readonly cause: Error;

  constructor(cause: Error, group: string) {
    super(describe(cause, group));
    this.name = 'UpstreamTlsError';
    this.cause = cause;
  }
}

/**
 * Connects to `target`, which is where the server `host` is. Resolves when its bytes can be read and written; half-open connections
 * are allowed. Rejects with the system's error, with UpstreamTlsError, or with the signal's reason when it is aborted.
 */
export async function openUpstream(target: Address, host: string, { header, tls, lends }: Opening, signal: AbortSignal): Promise<Socket> {
  const tcp = (lends ? connectLending : connect)({ ...target, allowHalfOpen: true, noDelay: true, keepAlive: true });
  await ready(tcp, 'connect', signal);
  if (header !== undefined) tcp.write(header);
  if (tls === undefined) return tcp;
  const { group, settings, context, alpn } = tls;
  const name = settings.serverName ?? host;
  const secure = connectTls({
    socket: tcp,
    secureContext: context,
    // Whom the certificate must be for; an address is not sent as SNI (RFC 6066).
    host: name,
    servername: isIP(name) === 0 ? name : '',
    rejectUnauthorized: !settings.insecureSkipVerify,
    ...(alpn === undefined ? {} : { ALPNProtocols: [alpn] }),
  });
  below.set(secure, tcp);
  try {
    await ready(secure, 'secureConnect', signal);
  } catch (error) {
    tcp.destroy();
    throw signal.aborted || !(error instanceof Error) ? error : new UpstreamTlsError(error, group);
  }
  failIfReset(secure, tcp);
  return secure;
}

const below = new WeakMap<Socket, Socket>();

/** The TCP connection that carries the socket's TLS, for a reset; the socket itself when it is plain. */
export function tcpBelow(socket: Socket): Socket {
  return below.get(socket) ?? socket;
}

/** What connections to the servers of a group share. */
export function upstreamContext({ caPem, keyPair }: UpstreamTlsMaterial): SecureContext {
  return createSecureContext({
    ...(caPem === undefined ? {} : { ca: caPem }),
    ...(keyPair === undefined ? {} : { cert: keyPair.certificatePem, key: keyPair.privateKeyPem }),
    minVersion: 'TLSv1.2',
  });
}

function ready(socket: Socket, event: 'connect' | 'secureConnect', signal: AbortSignal): Promise<void> {
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  const onAbort = () => reject(signal.reason);
  const onClose = () => reject(new Error('the server closed the connection'));
  // What it says before it is served, or once it is destroyed, must not become an uncaught error: its `close` says all there is to do.
  socket.on('error', ignore).once(event, resolve).once('error', reject).once('close', onClose);
  if (signal.aborted) onAbort();
  else signal.addEventListener('abort', onAbort);
  return promise
    .catch((error: unknown) => {
      socket.destroy();
      throw error;
    })
    .finally(() => {
      signal.removeEventListener('abort', onAbort);
      socket.removeListener(event, resolve).removeListener('error', reject).removeListener('close', onClose);
    });
}

function ignore(): void {
  // Said above.
}

/**
 * What broke the TLS of a connection that was served; undefined: it was no matter of TLS. With TLS 1.3 a server says only after the
 * handshake that it takes no connection without a certificate, or not this one (RFC 8446, 4.4.2.4).
 */
export function brokenTls(error: Error & { readonly code?: string }, group: string): string | undefined {
  return error.code?.startsWith('ERR_SSL_') ? describe(error, group) : undefined;
}

/** `certificate has expired`, `no application protocol`: one line, without addresses, of printable characters. */
function describe(error: Error & { code?: string; reason?: string }, group: string): string {
  const { code, reason, message } = error;
  if (code !== undefined && UNKNOWN_CA.has(code)) {
    // Node.js goes on with advice for its own command line.
    const [sentence = message] = message.split('; ');
    return printable(`${code}: ${sentence}; its CA is not among those of upstreamTls.ca of group "${group}", or it sends no intermediate`);
  }
  if (code === NOT_TLS)
    return printable(`${reason}: what it answers is not TLS; name its port for TLS, or take upstreamTls away from group "${group}"`);
  if (code === NO_CERTIFICATE) return printable(`${reason}: name one in upstreamTls.certificate of group "${group}"`);
  return printable(reason ?? (code === undefined || code.startsWith('ERR_SSL') ? message : `${code}: ${message}`));
}

/** No chain to a trusted certificate, verify(1) of OpenSSL. */
const UNKNOWN_CA: ReadonlySet<string> = new Set([
  'UNABLE_TO_GET_ISSUER_CERT',
  'UNABLE_TO_GET_ISSUER_CERT_LOCALLY',
  'UNABLE_TO_VERIFY_LEAF_SIGNATURE',
  'DEPTH_ZERO_SELF_SIGNED_CERT',
  'SELF_SIGNED_CERT_IN_CHAIN',
]);
/** What plain HTTP, SSH or SMTP is taken for: their first letters are no TLS record's. */
const NOT_TLS = 'ERR_SSL_WRONG_VERSION_NUMBER';
const NO_CERTIFICATE = 'ERR_SSL_TLSV13_ALERT_CERTIFICATE_REQUIRED';

function printable(text: string): string {
  return text.replace(/[^\x20-\x7e]/g, '?').slice(0, 300);
}
