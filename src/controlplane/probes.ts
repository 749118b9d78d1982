/** One look at an upstream server, by the kind of its group's health check. */
import { connect, isIP, type Socket } from 'node:net';
import { connect as connectTls } from 'node:tls';
import { type Address, formatAddress, type HealthCheck } from '../domain/model.ts';

export interface ProbeResult {
  readonly ok: boolean;
  /** What was seen, short and printable: "connected", "connection refused", "HTTP 503". */
  readonly cause: string;
}

/** Looks once. Settles soon after `signal` is aborted, if not before, and leaves no socket open. The caller keeps the time. */
export type Probe = (address: Address, check: HealthCheck, signal: AbortSignal) => Promise<ProbeResult>;

/** Over real sockets. Never rejects. */
export const probe: Probe = async (address, check, signal) => {
  switch (check.type) {
    case 'none':
      return { ok: true, cause: 'not checked' };
    case 'tcp':
      return probeTcp(address, signal);
    case 'tls':
      return probeTls(address, signal);
    case 'http':
      return probeHttp(address, check, signal);
  }
};

function probeTcp(address: Address, signal: AbortSignal): Promise<ProbeResult> {
  return watch(connect(address), signal, (socket, settle) => {
    socket.once('connect', () => settle({ ok: true, cause: 'connected' }));
    socket.once('error', (error) => settle({ ok: false, cause: wordsOf(error) }));
  });
}

/** The handshake is what is looked at; whose certificate it is, connections verify for themselves. */
function probeTls(address: Address, signal: AbortSignal): Promise<ProbeResult> {
  const servername = isIP(address.host) === 0 ? address.host : '';
  const socket = connectTls({ ...address, servername, rejectUnauthorized: false });
  return watch(socket, signal, (_, settle) => {
    let connected = false;
    socket.once('connect', () => (connected = true));
    socket.once('secureConnect', () => settle({ ok: true, cause: 'TLS handshake done' }));
    socket.once('error', (error) => settle({ ok: false, cause: connected ? `TLS handshake failed: ${wordsOf(error)}` : wordsOf(error) }));
  });
}

/** As much of an answer as is read in search of its first line. */
const LONGEST_STATUS_LINE = 4096;

function probeHttp(address: Address, { http }: HealthCheck, signal: AbortSignal): Promise<ProbeResult> {
  if (http === undefined) return Promise.resolve({ ok: false, cause: 'the health check does not say what to ask for' });
  const request = `GET ${http.path} HTTP/1.1\r\nHost: ${http.host ?? formatAddress(address)}\r\nUser-Agent: portcullis-health-check\r\nConnection: close\r\n\r\n`;
  return watch(connect(address), signal, (socket, settle) => {
    let answer = '';
    const judge = () => {
      const status = Number(/^HTTP\/1\.[01] (\d{3})(?: |$)/.exec(answer.split('\r\n', 1)[0] ?? '')?.[1]);
      if (Number.isNaN(status)) settle({ ok: false, cause: answer === '' ? 'closed without an answer' : 'the answer is not HTTP' });
      else settle({ ok: status >= http.statusFrom && status <= http.statusTo, cause: `HTTP ${status}` });
    };
    socket.setEncoding('latin1');
    socket.once('connect', () => socket.write(request));
    socket.on('data', (text: string) => {
      answer += text;
      if (answer.includes('\r\n') || answer.length >= LONGEST_STATUS_LINE) judge();
    });
    socket.once('end', judge);
    socket.once('error', (error) => settle({ ok: false, cause: wordsOf(error) }));
  });
}

type Settle = (result: ProbeResult) => void;

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
