/** Where the servers that are configured by a host name are, and how a connection goes through several addresses. */
import { isIP, type Socket } from 'node:net';
import type { Address } from '../domain/model.ts';
import { monotonicMs } from './clock.ts';
import { atDeadline } from './deadline.ts';
import { type Opening, openUpstream } from './upstream-socket.ts';

/** Host name -> its addresses, in the order in which they were found. */
export type ResolvedHosts = ReadonlyMap<string, readonly string[]>;

/** A host name that has no address, because it was not resolved yet or never could be. */
export class UnresolvedHostError extends Error {
  constructor(host: string) {
    super(`the host name ${host} is not resolved`);
    this.name = 'UnresolvedHostError';
  }
}

/** The addresses of host names as one thread knows them. */
export class HostAddresses {
  readonly #known = new Map<string, readonly string[]>();
  readonly #turns = new Map<string, number>();

  constructor(hosts: ResolvedHosts = new Map()) {
    this.use(hosts);
  }

  /** These hosts are there from now on; one without addresses is forgotten. */
  use(hosts: ResolvedHosts): void {
    for (const [host, addresses] of hosts) {
      if (addresses.length > 0) this.#known.set(host, addresses);
      else this.#known.delete(host);
      if (addresses.length === 0) this.#turns.delete(host);
    }
  }

  /** The addresses to try, each time beginning with another one; an IP address is its own. @throws UnresolvedHostError */
  inTurn(host: string): readonly string[] {
    if (isIP(host) !== 0) return [host];
    const addresses = this.#known.get(host);
    if (addresses === undefined) throw new UnresolvedHostError(host);
    if (addresses.length === 1) return addresses;
    const turn = (this.#turns.get(host) ?? 0) % addresses.length;
    this.#turns.set(host, turn + 1);
    return [...addresses.slice(turn), ...addresses.slice(0, turn)];
  }
}

/**
 * Opens a connection to the first of the addresses that lets us in. An address that does not answer holds up the next one for an
 * even part of what is left until `deadlineMs` on the monotonic clock. Rejects as openUpstream does, with what the last one failed with.
 */
export async function openFirst(
  addresses: readonly string[],
  { host, port }: Address,
  opening: Opening,
  signal: AbortSignal,
  deadlineMs: number,
): Promise<Socket> {
  const [first, ...others] = addresses;
  if (first === undefined) throw new UnresolvedHostError(host);
  if (others.length === 0) return openUpstream({ host: first, port }, host, opening, signal);
  const turn = new AbortController();
  const pass = () => turn.abort();
  const callOff = atDeadline(Math.max(0, deadlineMs - monotonicMs()) / addresses.length, pass);
  if (signal.aborted) pass();
  else signal.addEventListener('abort', pass);
  try {
    return await openUpstream({ host: first, port }, host, opening, turn.signal);
  } catch (error) {
    if (signal.aborted) throw error;
  } finally {
    callOff();
    signal.removeEventListener('abort', pass);
  }
  return openFirst(others, { host, port }, opening, signal, deadlineMs);
}
