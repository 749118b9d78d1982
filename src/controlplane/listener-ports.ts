/** The ports of listeners: had for this process alone, and opened by the workers before a change that needs them is kept. */
import { createServer } from 'node:net';
import { DomainError } from '../domain/errors.ts';
import { formatAddress, type Listener, type Snapshot } from '../domain/model.ts';
import { placeOf } from '../shared/messages.ts';
import { ListenError } from './worker-thread.ts';
import type { Workers } from './workers.ts';

/**
 * Workers share their ports (reusePort), and so would a second daemon, unnoticed, taking half of the connections. Opening each
 * port alone, once, before the workers do, finds out whether somebody is there.
 * @throws ListenError when somebody is, or when it cannot be opened
 */
export async function refuseTakenPorts(listeners: readonly Listener[]): Promise<void> {
  for (const listener of listeners) if (listener.address.port !== 0) await openAlone(listener);
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
