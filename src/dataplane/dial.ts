import { parseAddress } from '../domain/address.ts';
import { type Opening, openUpstream, UpstreamTlsError } from '../shared/upstream-socket.ts';
import { type Dial, DialError } from './upstream.ts';

/** Connects over real sockets; all that the opening says is within the timeout. */
export function dialWith(opening: Opening): Dial {
  return async (server, timeoutMs, gone) => {
    const givenUp = new AbortController();
    const onGone = () => givenUp.abort();
    const timer = setTimeout(onGone, timeoutMs);
    if (gone.aborted) onGone();
    else gone.addEventListener('abort', onGone);
    try {
      return await openUpstream(server.target, hostOf(server.address), opening, givenUp.signal);
    } catch (error) {
      const { reason, why } = failureOf(error, gone, givenUp.signal, timeoutMs);
      throw new DialError(reason, `${server.address}: ${why}`);
    } finally {
      clearTimeout(timer);
      gone.removeEventListener('abort', onGone);
    }
  };
}

function failureOf(
  error: unknown,
  gone: AbortSignal,
  givenUp: AbortSignal,
  timeoutMs: number,
): { readonly reason: DialError['reason']; readonly why: string } {
  if (gone.aborted) return { reason: 'client_gone', why: 'the client left' };
  if (givenUp.aborted) return { reason: 'upstream_timeout', why: `no answer in ${timeoutMs} ms` };
  if (error instanceof UpstreamTlsError) return { reason: 'upstream_tls_failed', why: error.message };
  if (!(error instanceof Error)) throw error;
  return { reason: 'upstream_connect_failed', why: 'code' in error && typeof error.code === 'string' ? error.code : error.message };
}

/** The server's own name, wherever it was found. */
function hostOf(address: string): string {
  const parsed = parseAddress(address);
  return 'problem' in parsed ? address : parsed.host;
}
