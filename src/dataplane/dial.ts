import { monotonicMs } from '../shared/clock.ts';
import { atDeadline } from '../shared/deadline.ts';
import { isLocalFailure } from '../shared/local-failures.ts';
import { type HostAddresses, openFirst, UnresolvedHostError } from '../shared/upstream-addresses.ts';
import { type Opening, UpstreamTlsError } from '../shared/upstream-socket.ts';
import { type Dial, DialError } from './upstream.ts';

/** Connects over real sockets, to each address of the server's host name in turn; all that the opening says is within the timeout. */
export function dialWith(opening: Opening, hosts: HostAddresses): Dial {
  return async (server, timeoutMs, gone) => {
    const givenUp = new AbortController();
    const onGone = () => givenUp.abort();
    const callOff = atDeadline(timeoutMs, onGone);
    if (gone.aborted) onGone();
    else gone.addEventListener('abort', onGone);
    try {
      const addresses = hosts.inTurn(server.target.host);
      return await openFirst(addresses, server.target, opening, givenUp.signal, monotonicMs() + timeoutMs);
    } catch (error) {
      const inTime = opening.tls === undefined ? `in ${timeoutMs} ms` : `in ${timeoutMs} ms, TLS handshake included`;
      const { reason, why } = failureOf(error, gone, givenUp.signal, inTime);
      throw new DialError(reason, `${server.address}: ${why}`, isLocalFailure(error) || error instanceof UnresolvedHostError);
    } finally {
      callOff();
      gone.removeEventListener('abort', onGone);
    }
  };
}

function failureOf(
  error: unknown,
  gone: AbortSignal,
  givenUp: AbortSignal,
  inTime: string,
): { readonly reason: DialError['reason']; readonly why: string } {
  if (gone.aborted) return { reason: 'client_gone', why: 'the client left' };
  if (givenUp.aborted) return { reason: 'upstream_timeout', why: `no answer ${inTime}` };
  if (error instanceof UpstreamTlsError) return { reason: 'upstream_tls_failed', why: error.message };
  if (!(error instanceof Error)) throw error;
  return { reason: 'upstream_connect_failed', why: 'code' in error && typeof error.code === 'string' ? error.code : error.message };
}
