/** Why no gRPC connection came about: grpc-js does not say, so one TLS connection of our own finds out. */
import tls from 'node:tls';
import { formatDuration } from './durations.ts';
import { type CliError, errorCode, errorText, unreachable } from './errors.ts';
import type { HostPort } from './values.ts';

/** How far the attempt came before it ended. `admission`: the handshake is over, the server has not yet said a word. */
export type Stage = 'connect' | 'handshake' | 'admission';

export type Outcome =
  | { readonly kind: 'answered' }
  | { readonly kind: 'not_grpc' }
  | { readonly kind: 'timeout'; readonly stage: Stage }
  | { readonly kind: 'closed'; readonly stage: Stage }
  | { readonly kind: 'error'; readonly stage: Stage; readonly error: unknown };

export interface ProbeTarget extends HostPort {
  readonly secureContext: tls.SecureContext;
  /** The name that the server's certificate must carry. */
  readonly expectedName: string;
}

/** What the message may name: the address, the files and the time-out as the operator gave them. */
export interface Named {
  readonly addr: string;
  readonly host: string;
  readonly expectedName: string;
  readonly ca: string | undefined;
  readonly cert: string;
  readonly timeoutMs: number;
}

/** One TLS connection as grpc-js would make it, until the server's first byte, its end, or the time-out. */
export async function probe(target: ProbeTarget, timeoutMs: number): Promise<Outcome> {
  const { promise, resolve } = Promise.withResolvers<Outcome>();
  let stage: Stage = 'connect';
  const socket = tls.connect({
    host: target.host,
    port: target.port,
    secureContext: target.secureContext,
    ALPNProtocols: ['h2'],
    checkServerIdentity: (_host, certificate) => tls.checkServerIdentity(target.expectedName, certificate),
  });
  // On a busy machine the answer may be there and not have been looked at: that comes before what an immediate does.
  const timer = setTimeout(() => setImmediate(() => resolve({ kind: 'timeout', stage })), timeoutMs);
  socket.on('connect', () => {
    stage = 'handshake';
  });
  socket.on('secureConnect', () => {
    stage = 'admission';
    // A gRPC server speaks first, with its settings; it does so only after it has taken the client certificate.
    if (socket.alpnProtocol !== 'h2') resolve({ kind: 'not_grpc' });
  });
  socket.on('data', () => resolve({ kind: 'answered' }));
  socket.on('error', (error) => resolve({ kind: 'error', stage, error }));
  socket.on('close', () => resolve({ kind: 'closed', stage }));
  try {
    return await promise;
  } finally {
    clearTimeout(timer);
    socket.destroy();
  }
}

/** The outcome in one line that says what to do. */
export function explainUnreachable(outcome: Outcome, named: Named): CliError {
  return unreachable(named.addr, why(outcome, named));
}

function why(outcome: Outcome, named: Named): string {
  switch (outcome.kind) {
    case 'answered':
      return 'the first connection failed and a second one did not; try again';
    case 'not_grpc':
      return 'it speaks TLS but not gRPC; is --addr the address of the admin API?';
    case 'timeout':
      return outcome.stage === 'connect'
        ? `no answer within ${formatDuration(named.timeoutMs)}; is --addr right, and does a firewall let you through?`
        : `it accepts connections but says nothing within ${formatDuration(named.timeoutMs)}; is --addr the address of the admin API?`;
    case 'closed':
      return outcome.stage === 'admission'
        ? certificateRefused(named)
        : 'it closed the connection; is --addr the address of the admin API?';
    case 'error':
      return whyError(outcome.stage, outcome.error, named);
  }
}

const certificateRefused = (named: Named) =>
  `it does not accept the client certificate in ${named.cert}; is that signed by the CA of the admin API, still valid, and not revoked?`;

function whyError(stage: Stage, error: unknown, named: Named): string {
  const code = errorCode(error) ?? '';
  switch (code) {
    case 'ECONNREFUSED':
      return 'connection refused; is lbd running, and is --addr right?';
    case 'ENOTFOUND':
    case 'EAI_AGAIN':
      return `the name ${named.host} does not resolve; is --addr right?`;
    case 'EHOSTUNREACH':
    case 'ENETUNREACH':
      return 'there is no route to it; is --addr right?';
    case 'ETIMEDOUT':
      return 'no answer; is --addr right, and does a firewall let you through?';
    case 'ECONNRESET':
    case 'EPIPE':
      return stage === 'admission' ? certificateRefused(named) : 'it closed the connection; is --addr the address of the admin API?';
    case 'ERR_TLS_CERT_ALTNAME_INVALID':
      return `the server's certificate is not for ${named.expectedName} (${namesIn(error)}); give the name it has with --server-name`;
    case 'CERT_HAS_EXPIRED':
      return "the server's certificate has expired; renew it";
    case 'CERT_NOT_YET_VALID':
      return "the server's certificate is not valid yet; are the clocks right?";
    case 'ERR_SSL_WRONG_VERSION_NUMBER':
    case 'ERR_SSL_PACKET_LENGTH_TOO_LONG':
      return 'it does not speak TLS; is --addr the address of the admin API?';
    case 'ERR_SSL_TLSV1_ALERT_NO_APPLICATION_PROTOCOL':
      return 'it speaks TLS but not gRPC; is --addr the address of the admin API?';
  }
  if (/^(?:UNABLE_TO_|SELF_SIGNED_|DEPTH_ZERO_|CERT_SIGNATURE_FAILURE|CERT_UNTRUSTED|INVALID_CA)/.test(code)) {
    return named.ca === undefined
      ? "the server's certificate is not signed by a public CA; give its CA with --ca or LBCTL_CA"
      : `the server's certificate is not signed by the CA in ${named.ca}; give the right one with --ca or LBCTL_CA`;
  }
  if (/ALERT_(?:CERTIFICATE|BAD_CERTIFICATE|UNKNOWN_CA|UNSUPPORTED_CERTIFICATE|ACCESS_DENIED)/.test(code)) return certificateRefused(named);
  return stage === 'connect' ? errorText(error) : `the TLS handshake failed: ${errorText(error)}`;
}

function namesIn(error: unknown): string {
  const certificate = error instanceof Error && 'cert' in error ? error.cert : undefined;
  const names =
    typeof certificate === 'object' && certificate !== null && 'subjectaltname' in certificate ? certificate.subjectaltname : '';
  return typeof names === 'string' && names !== '' ? `it is for ${names}` : 'it names no host';
}
