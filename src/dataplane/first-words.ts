/** What a client of a plain listener says first, looked at before a server hears it. */
import type { Socket } from 'node:net';
import { addressBits } from '../domain/cidr.ts';
import type { Listener } from '../domain/model.ts';
import { signatureIn } from '../domain/proxy-protocol.ts';
import { accepts } from './source.ts';

/**
 * Whether this connection may not begin with a PROXY header: servers of a listener that accepts headers may believe them, and only
 * certain proxies are to be believed.
 */
export function isToBeScreened(raw: Socket, listener: Listener | undefined): boolean {
  if (listener === undefined || listener.tls !== undefined || listener.acceptProxyProtocol.length === 0) return false;
  return !accepts(listener, addressBits(raw.remoteAddress ?? '') ?? 0n);
}

/**
 * Resolves with what the client says first, or with nothing when it ends without a word; undefined: it begins as a PROXY header does, or
 * with a part of that and no more within `timeoutMs`. A client that waits for the server's words may take its time.
 */
export function firstWords(raw: Socket, timeoutMs: number): Promise<Buffer | undefined> {
  if (raw.readableEnded || raw.destroyed) return Promise.resolve(Buffer.alloc(0));
  const { promise, resolve } = Promise.withResolvers<Buffer | undefined>();
  let arrived: Buffer = Buffer.alloc(0);
  let deadline: NodeJS.Timeout | undefined;
  const look = () => {
    for (let chunk: Buffer | null = raw.read(); chunk !== null; chunk = raw.read()) {
      arrived = Buffer.concat([arrived, chunk]);
      const found = signatureIn(arrived);
      if (found === 'none') return resolve(arrived);
      if (found === 'whole') return resolve(undefined);
      deadline ??= setTimeout(() => resolve(undefined), timeoutMs);
    }
  };
  const left = () => resolve(arrived);
  raw.on('readable', look).once('end', left).once('close', left);
  return promise.finally(() => {
    clearTimeout(deadline);
    raw.removeListener('readable', look).removeListener('end', left).removeListener('close', left);
  });
}
