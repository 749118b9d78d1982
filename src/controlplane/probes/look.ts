/** What every kind of probe has in common: where it looks, how it connects, how it ends. */
import type { Socket } from 'node:net';
import type { Address } from '../../domain/model.ts';
import { monotonicMs } from '../../shared/clock.ts';
import { isLocalFailure } from '../../shared/local-failures.ts';
import { openFirst, UnresolvedHostError } from '../../shared/upstream-addresses.ts';
import { type Opening, UpstreamTlsError } from '../../shared/upstream-socket.ts';
import { wordsOf } from './words.ts';

export interface ProbeResult {
  readonly ok: boolean;
  /** What was seen, short and printable: "connected", "connection refused", "HTTP 503". */
  readonly cause: string;
  /** lbd itself could not look, and nothing is known of the server. */
  readonly inconclusive?: boolean;
}

/** What is looked at. */
export interface ProbeTarget {
  /** As configured. */
  readonly address: Address;
  /** The IP addresses of its host, in the order in which they are tried; none: its name is not resolved. */
  readonly addresses: readonly string[];
  /** How the group's connections begin with its servers. */
  readonly opening: Opening;
  readonly timeoutMs: number;
}

export type Settle = (result: ProbeResult) => void;

/** Watches a connected socket, and settles. */
export type Watcher = (socket: Socket, settle: Settle) => void;

/** Connects, gives what `watcher` settles on first, and leaves no socket open then or when the signal is aborted. */
export async function look(
  { address, addresses, opening, timeoutMs }: ProbeTarget,
  signal: AbortSignal,
  watcher: Watcher,
): Promise<ProbeResult> {
  let socket: Socket;
  try {
    socket = await openFirst(addresses, address, opening, signal, monotonicMs() + timeoutMs);
  } catch (error) {
    return failureOf(error, signal);
  }
  return watch(socket, signal, watcher);
}

function failureOf(error: unknown, signal: AbortSignal): ProbeResult {
  if (signal.aborted || !(error instanceof Error)) return { ok: false, cause: 'given up' };
  if (error instanceof UnresolvedHostError) return { ok: false, cause: 'host name not resolved' };
  if (error instanceof UpstreamTlsError) return { ok: false, cause: `TLS handshake failed: ${wordsOf(error.cause)}` };
  return { ok: false, cause: wordsOf(error), inconclusive: isLocalFailure(error) };
}

function watch(socket: Socket, signal: AbortSignal, watcher: Watcher): Promise<ProbeResult> {
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
    watcher(socket, settle);
    // What a destroyed socket still has to say must not become an uncaught error.
    socket.on('error', () => undefined);
  });
}
