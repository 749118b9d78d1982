/** The ports of listeners: had for this process alone, and opened by the workers before a change that needs them is kept. */
import { lookup } from 'node:dns/promises';
import { createServer } from 'node:net';
import { addressBits } from '../domain/cidr.ts';
import { DomainError } from '../domain/errors.ts';
import { type Address, formatAddress, type Listener, type Snapshot } from '../domain/model.ts';
import { placeOf } from '../shared/messages.ts';
import { type ListeningSockets, listeningSockets } from './listening-sockets.ts';
import { type ListedSocket, mayMeet } from './socket-list.ts';
import { ListenError } from './worker-thread.ts';
import type { Workers } from './workers.ts';

/**
 * Workers share their ports (reusePort), and so would a second daemon, unnoticed, taking half of the connections. Where somebody may be
 * there, opening the port alone, once, before the workers do, finds it out. Whoever connects just then is reset: so it is not opened
 * where the system tells that nobody listens there.
 * @throws ListenError when somebody is there, or when a port that was tried cannot be opened
 */
export async function refuseTakenPorts(listeners: readonly Listener[], listening: ListeningSockets = listeningSockets): Promise<void> {
  const fixed = listeners.filter(({ address }) => address.port !== 0);
  if (fixed.length === 0) return;
  const sockets = await listening();
  for (const listener of fixed) if (sockets === undefined || (await isSomebodyAt(listener.address, sockets))) await openAlone(listener);
}

async function isSomebodyAt({ host, port }: Address, sockets: readonly ListedSocket[]): Promise<boolean> {
  const there = sockets.filter((socket) => socket.port === port);
  if (there.length === 0) return false;
  const addresses = await addressesOf(host);
  // A name that is not known now: opening the port says so, too.
  return addresses === undefined || there.some((socket) => addresses.some((address) => mayMeet(socket.address, address)));
}

async function addressesOf(host: string): Promise<readonly bigint[] | undefined> {
  const literal = addressBits(host);
  if (literal !== undefined) return [literal];
  const found = await lookup(host, { all: true }).catch(() => []);
  const addresses = found.map(({ address }) => addressBits(address)).filter((bits) => bits !== undefined);
  return addresses.length === 0 ? undefined : addresses;
}

function openAlone({ name, address }: Listener): Promise<void> {
  return new Promise((resolve, reject) => {
    const server = createServer();
    server.once('error', ({ code = 'UNKNOWN', message }: NodeJS.ErrnoException) => reject(new ListenError(name, code, message)));
    server.listen({ ...address, exclusive: true }, () => server.close(() => resolve()));
  });
}

/**
 * Opens what the next state has and the previous one has not; what is returned closes it again.
 * @throws DomainError when one of the ports cannot be had: none is open then
 */
export async function openPorts(workers: Workers, previous: Snapshot, next: Snapshot): Promise<() => void> {
  const open = new Set(previous.listeners.map(placeOf));
  const fresh = next.listeners.filter((listener) => !open.has(placeOf(listener)));
  if (fresh.length === 0) return () => undefined;
  const ownPorts = new Set(previous.listeners.map(({ address }) => address.port));
  try {
    // A port that is ours already, on another address that may hold this one, is not to be had alone.
    await refuseTakenPorts(fresh.filter(({ address }) => !ownPorts.has(address.port)));
    await workers.open(fresh);
  } catch (error) {
    if (!(error instanceof ListenError)) throw error;
    throw notOpened(error, fresh);
  }
  return () => workers.shut();
}

function notOpened({ listener, code, message }: ListenError, listeners: readonly Listener[]): DomainError {
  const address = listeners.find(({ name }) => name === listener)?.address;
  const where = address === undefined ? 'its address' : formatAddress(address);
  const why = code === 'EADDRINUSE' ? 'another program has the port' : message;
  return new DomainError('invalid', `listeners.${listener}.address`, `listener "${listener}" cannot listen on ${where}: ${why}`);
}
