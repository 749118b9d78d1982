/** The front door: TLS handshakes with client certificates, each with a deadline, and never too many at once. */
import { AsyncLocalStorage } from 'node:async_hooks';
import type { X509Certificate } from 'node:crypto';
import type { Socket } from 'node:net';
import { createServer, type Server, type TLSSocket, type TlsOptions } from 'node:tls';
import { saysNotTls } from '../domain/client-hello.ts';
import type { Listener } from '../domain/model.ts';
import { nameText } from '../domain/name-text.ts';
import { SESSION_LIFETIME_MS } from '../domain/session-tickets.ts';
import type { TlsMaterial } from '../domain/tls-material.ts';
import { failIfReset } from '../shared/silent-resets.ts';
import { type CertificateChain, leadsToCa, presentedChain } from './certificate-chain.ts';
import { lookFirst, WRONG_VERSION } from './first-look.ts';
import { NoiseWatch } from './noise-watch.ts';
import { staple } from './ocsp-stapling.ts';
import type { Front } from './plain-front.ts';
import { CertificateRefusal, Refusal } from './refusal.ts';
import { mainContext, namedContexts, type ServingContext } from './server-contexts.ts';
import { honourTickets } from './session-tickets.ts';

/** Stays in memory with its TLS socket, whose events find it. */
interface Handshake {
  /** Nobody waits for it any more once it is over. */
  awaited: { readonly resolve: (socket: TLSSocket) => void; readonly reject: (refusal: Refusal) => void } | undefined;
}

/** What new handshakes are made with. */
interface Served {
  readonly material: TlsMaterial;
  readonly main: Server;
  readonly named: readonly { readonly isFor: (serverName: string) => boolean; readonly server: Server }[];
}

/** Counts the handshakes that a worker has under way, over all its listeners. */
export class HandshakeBudget {
  readonly #limit: number;
  #pending = 0;

  constructor(limit: number) {
    this.#limit = limit;
  }

  /** @throws Refusal `too_many_handshakes` at the bound. */
  take(): void {
    if (this.#pending >= this.#limit) throw new Refusal('too_many_handshakes', `${this.#pending} handshakes are under way in this worker`);
    this.#pending++;
  }

  giveBack(): void {
    this.#pending--;
  }
}

export interface TlsFrontOptions {
  readonly material: TlsMaterial;
  /** Offered to clients, most wanted first. */
  readonly alpn: readonly string[];
  readonly timeoutMs: number;
  readonly budget: HandshakeBudget;
  /** Milliseconds since 1970; the system's clock unless given. */
  readonly wallMs?: () => number;
  /** Milliseconds of a clock that is never set; the process's unless given. */
  readonly nowMs?: () => number;
}

/** One listener's TLS side. It does not listen itself: it is handed accepted sockets, so that they stay at hand for a reset. */
export class TlsFront implements Front {
  readonly #options: Required<TlsFrontOptions>;
  /** Which handshake an event of a server belongs to: the events name the TLS socket, not the socket it was made from. */
  readonly #handshakes = new AsyncLocalStorage<Handshake>();
  readonly #noise = new NoiseWatch();
  #served: Served;

  constructor(options: TlsFrontOptions) {
    this.#options = { wallMs: Date.now, nowMs: () => performance.now(), ...options };
    this.#served = this.#serve(options.material);
  }

  /** New handshakes use this material; connections that are established do not notice. */
  reload(material: TlsMaterial): void {
    this.#served = this.#serve(material);
  }

  /** What new handshakes use. */
  get material(): TlsMaterial {
    return this.#served.material;
  }

  /**
   * Shakes hands on an accepted socket.
   * @throws Refusal when it fails, takes longer than the deadline, or leaves the client without a certificate that is trusted now.
   */
  async handshake(raw: Socket): Promise<TLSSocket> {
    const { budget, timeoutMs, wallMs, nowMs } = this.#options;
    budget.take();
    let fail: (refusal: Refusal) => void = ignore;
    const deadline = setTimeout(() => fail(new Refusal('handshake_timeout', `no handshake after ${timeoutMs} ms`)), timeoutMs);
    const onClose = () => fail(new Refusal('handshake_failed', CLIENT_LEFT));
    raw.once('close', onClose);
    const shaking: Handshake = { awaited: undefined };
    try {
      const serverName = await new Promise<string | undefined>((resolve, reject) => {
        fail = reject;
        // Then no event will say so.
        if (raw.destroyed) return onClose();
        const wantsName = looksAtNames(this.#served);
        if (!wantsName && !this.#noise.isNoiseExpected(nowMs())) return resolve(undefined);
        lookFirst(raw, wantsName, resolve, (refusal) => {
          this.#noise.count(nowMs());
          reject(refusal);
        });
      });
      const { material } = this.#served;
      const server = serverFor(serverName, this.#served);
      const socket = await new Promise<TLSSocket>((resolve, reject) => {
        fail = reject;
        shaking.awaited = { resolve, reject };
        this.#handshakes.run(shaking, () => server.emit('connection', raw));
      });
      verifyPeer(socket, material, wallMs());
      failIfReset(socket, raw);
      // A resumed session of TLS 1.2 does not say again which name it was asked for.
      if (serverName !== undefined) socket.servername = serverName;
      return socket;
    } finally {
      shaking.awaited = undefined;
      raw.removeListener('close', onClose);
      clearTimeout(deadline);
      budget.giveBack();
    }
  }

  /** Node.js switches certificates by SNI for one kind of key only (SNICallback): so each choice of certificates is a server. */
  #serve(material: TlsMaterial): Served {
    return {
      material,
      main: this.#serverWith(mainContext(material), material),
      named: namedContexts(material).map((context) => ({ isFor: context.isFor, server: this.#serverWith(context, material) })),
    };
  }

  #serverWith({ options, ocsp }: ServingContext, { sessionTickets }: TlsMaterial): Server {
    const server = createServer({ ...options, ...serverOptions(this.#options.alpn) });
    if (ocsp !== undefined) staple(server, ocsp, this.#options.wallMs);
    if (sessionTickets !== undefined) honourTickets(server, sessionTickets, this.#options.wallMs);
    server.on('secureConnection', (socket) => {
      // Until now a client that ended had left; from now on it may have ended only its own half.
      socket.allowHalfOpen = true;
      socket.on('error', ignore);
      this.#handshakes.getStore()?.awaited?.resolve(socket);
    });
    server.on('tlsClientError', (error: TlsError) => {
      if (saysNotTls(error.reason)) this.#noise.count(this.#options.nowMs());
      this.#handshakes.getStore()?.awaited?.reject(new Refusal('handshake_failed', describe(error)));
    });
    return server;
  }
}

/**
 * The protocols that the listener names, then those that its routes tell apart. A client that offers others only is refused with
 * `no_application_protocol` (RFC 7301, section 3.2); one that offers none is not.
 */
export function offeredAlpn({ alpn, routes }: Pick<Listener, 'alpn' | 'routes'>): readonly string[] {
  return [...new Set([...alpn, ...routes.flatMap((route) => route.alpn ?? [])])];
}

/** The client is asked for its certificate, and let in with any: the verdict comes after. */
export function serverOptions(alpn: readonly string[]): TlsOptions {
  return {
    requestCert: true,
    // The certificate is judged in verifyPeer, where the verdict gets its own reason.
    rejectUnauthorized: false,
    // None, which is not documented: the deadline is that of handshake(). Even when it is over, a timer stays in memory with its socket.
    handshakeTimeout: -1,
    sessionTimeout: SESSION_LIFETIME_MS / 1000,
    ...(alpn.length === 0 ? {} : { ALPNProtocols: [...alpn] }),
  };
}

function ignore(): void {
  // Its `close` says all there is to do.
}

/** The name makes a difference only where there are several certificates, and for tickets. */
function looksAtNames({ named, material }: Served): boolean {
  return named.length > 0 || material.sessionTickets !== undefined;
}

function serverFor(serverName: string | undefined, { main, named }: Served): Server {
  return (serverName === undefined ? undefined : named.find(({ isFor }) => isFor(serverName))?.server) ?? main;
}

const EXPIRY_ERRORS: ReadonlySet<string> = new Set(['CERT_HAS_EXPIRED', 'CERT_NOT_YET_VALID']);

function verifyPeer(socket: TLSSocket, material: TlsMaterial, nowMs: number): void {
  // Reading a certificate copies it: nothing here needs the one that was verified just now.
  if (socket.authorized && !socket.isSessionReused()) return;
  const leaf = socket.getPeerX509Certificate();
  if (leaf === undefined) throw new Refusal('no_client_certificate', 'the client presented no certificate');
  // @types/node declares an Error; at run time it is the verification code (`CERT_HAS_EXPIRED`).
  if (!socket.authorized) throw untrusted(String(socket.authorizationError), presentedChain(socket) ?? [leaf], material);
  if (socket.isSessionReused()) refuseOutsideItsDates(leaf, nowMs);
}

/** A session remembers the verdict of its first handshake; its ticket sees to the CA and the revocation list, and time goes on. */
function refuseOutsideItsDates(leaf: X509Certificate, nowMs: number): void {
  const refusal = (code: string) => new CertificateRefusal('certificate_expired', detailOf(code, leaf), leaf);
  if (nowMs > leaf.validToDate.getTime()) throw refusal('CERT_HAS_EXPIRED');
  if (nowMs < leaf.validFromDate.getTime()) throw refusal('CERT_NOT_YET_VALID');
}

/** The refusal of a certificate that OpenSSL's verification ended with this code. */
export function untrusted(code: string, chain: CertificateChain, material: TlsMaterial): CertificateRefusal {
  const [leaf] = chain;
  const detail = detailOf(code, leaf);
  const aged = EXPIRY_ERRORS.has(code) ? 'certificate_expired' : code === 'CERT_REVOKED' ? 'certificate_revoked' : undefined;
  if (aged !== undefined) return new CertificateRefusal(aged, detail, leadsToCa(chain, material) ? leaf : undefined);
  if (code !== 'UNABLE_TO_GET_CRL') return new CertificateRefusal('certificate_untrusted', detail, undefined);
  // With a list, OpenSSL says so of every foreign certificate too.
  const why = leadsToCa(chain, material)
    ? 'crl has no list of a CA that it leads to'
    : 'it leads to no CA of caCert: its CA is another one, or an intermediate that the client does not send';
  return new CertificateRefusal('certificate_untrusted', `${detail}; ${why}`, undefined);
}

const MAX_SUBJECT = 256;

/** Whose the certificate claims to be: nothing of it need be proven, but it says where to look. */
function detailOf(code: string, { subject }: X509Certificate): string {
  return `${code}: ${nameText(subject, MAX_SUBJECT)}`;
}

const CLIENT_LEFT = 'the client left during the handshake';

/** As Node.js makes it of what OpenSSL says. */
type TlsError = Error & { readonly code?: string; readonly reason?: string };

/** OpenSSL's sentence without its addresses: `error:0A00009C:SSL routines::http request` -> `http request`. */
export function describe(error: TlsError): string {
  // Node.js says so of an end as well.
  if (error.code === 'ECONNRESET') return CLIENT_LEFT;
  if (error.reason === 'wrong version number') return WRONG_VERSION;
  return (error.reason ?? error.code ?? error.message).slice(0, 200);
}
