/** One look at an upstream server, by the kind of its group's health check. */
import type { Socket } from 'node:net';
import { createSecureContext } from 'node:tls';
import { type Address, formatAddress, type HealthCheck } from '../domain/model.ts';
import { type Opening, openUpstream, UpstreamTlsError } from '../shared/upstream-socket.ts';

export interface ProbeResult {
  readonly ok: boolean;
  /** What was seen, short and printable: "connected", "connection refused", "HTTP 503". */
  readonly cause: string;
}

/** Looks once; `opening` is how the group's connections begin with its servers. Settles soon after `signal` is aborted, if not before, and leaves no socket open. The caller keeps the time. */
export type Probe = (address: Address, check: HealthCheck, signal: AbortSignal, opening: Opening) => Promise<ProbeResult>;

/** Over real sockets. Never rejects. */
export const probe: Probe = async (address, check, signal, opening) => {
  switch (check.type) {
    case 'none':
      return { ok: true, cause: 'not checked' };
    case 'tcp':
      return probeTcp(address, opening, signal);
    case 'tls':
      return probeTls(address, opening, signal);
    case 'http':
      return probeHttp(address, check, opening, signal);
  }
};

function probeTcp(address: Address, opening: Opening, signal: AbortSignal): Promise<ProbeResult> {
  return look(address, { ...opening, tls: undefined }, signal, (_, settle) => settle({ ok: true, cause: 'connected' }));
}

/** Where connections speak no TLS the handshake is what is looked at, whose certificate it is being nobody's matter. */
function probeTls(address: Address, opening: Opening, signal: AbortSignal): Promise<ProbeResult> {
  const tls = opening.tls ?? {
    settings: { serverName: undefined, insecureSkipVerify: true },
    context: createSecureContext(),
    alpn: undefined,
  };
  return look(address, { ...opening, tls }, signal, (_, settle) => settle({ ok: true, cause: 'TLS handshake done' }));
}

/** As much of an answer as is read in search of its first line. */
const LONGEST_STATUS_LINE = 4096;

function probeHttp(address: Address, { http }: HealthCheck, opening: Opening, signal: AbortSignal): Promise<ProbeResult> {
  if (http === undefined) return Promise.resolve({ ok: false, cause: 'the health check does not say what to ask for' });
  const request = `GET ${http.path} HTTP/1.1\r\nHost: ${http.host ?? formatAddress(address)}\r\nUser-Agent: portcullis-health-check\r\nConnection: close\r\n\r\n`;
  return look(address, opening, signal, (socket, settle) => {
    let answer = '';
    const judge = () => {
      const status = Number(/^HTTP\/1\.[01] (\d{3})(?: |$)/.exec(answer.split('\r\n', 1)[0] ?? '')?.[1]);
      if (Number.isNaN(status)) settle({ ok: false, cause: answer === '' ? 'closed without an answer' : 'the answer is not HTTP' });
      else settle({ ok: status >= http.statusFrom && status <= http.statusTo, cause: `HTTP ${status}` });
    };
    socket.setEncoding('latin1');
    socket.write(request);
    socket.on('data', (text: string) => {
      answer += text;
      if (answer.includes('\r\n') || answer.length >= LONGEST_STATUS_LINE) judge();
    });
    socket.once('end', judge);
    socket.once('error', (error) => settle({ ok: false, cause: wordsOf(error) }));
  });
}

type Settle = (result: ProbeResult) => void;

/** Connects, and gives what `watcher` settles on. */
async function look(
  address: Address,
  opening: Opening,
  signal: AbortSignal,
  watcher: (socket: Socket, settle: Settle) => void,
): Promise<ProbeResult> {
  let socket: Socket;
  try {
    socket = await openUpstream(address, address.host, opening, signal);
  } catch (error) {
    if (signal.aborted || !(error instanceof Error)) return { ok: false, cause: 'given up' };
    const cause = error instanceof UpstreamTlsError ? `TLS handshake failed: ${wordsOf(error.cause)}` : wordsOf(error);
    return { ok: false, cause };
  }
  return watch(socket, signal, watcher);
}

/** Gives what `look` settles on first, and destroys the socket then or when the signal is aborted. */
function watch(socket: Socket, signal: AbortSignal, look: (socket: Socket, settle: Settle) => void): Promise<ProbeResult> {
  return new Promise((resolve) => {
    const settle: Settle = (result) => {
      socket.destroy();
      resolve(result);
    };
    const abort = () => settle({ ok: false, cause: 'given up' });
    if (signal.aborted) abort();
    signal.addEventListener('abort', abort, { once: true });
    socket.once('close', () => {
      signal.removeEventListener('abort', abort);
      settle({ ok: false, cause: 'closed by the server' });
    });
    look(socket, settle);
    // What a destroyed socket still has to say must not become an uncaught error.
    socket.on('error', () => undefined);
  });
}

const WORDS: Readonly<Record<string, string>> = {
  ECONNREFUSED: 'connection refused',
  ECONNRESET: 'connection reset',
  EPIPE: 'connection reset',
  ETIMEDOUT: 'no answer to the connection attempt',
  EHOSTUNREACH: 'host unreachable',
  ENETUNREACH: 'network unreachable',
  ENETDOWN: 'network down',
  EADDRNOTAVAIL: 'no local port or address left to connect from',
  EMFILE: 'lbd has no file descriptor left',
  ENFILE: 'the system has no file descriptor left',
  EACCES: 'connecting is not permitted',
  EPERM: 'connecting is not permitted',
  ENOTFOUND: 'host name not found',
  EAI_AGAIN: 'host name not resolved',
};

/** The one place where the platform's error codes become words. Nothing that the server sent gets through unless printable and short. */
function wordsOf(error: Error): string {
  const code = 'code' in error && typeof error.code === 'string' ? error.code : '';
  const known = WORDS[code];
  if (known !== undefined) return known;
  const reason = 'reason' in error && typeof error.reason === 'string' ? error.reason : code || error.message;
  return reason.replace(/[^\x20-\x7e]/g, '?').slice(0, 100);
}
