import type { Socket } from 'node:net';
import { readClientHello } from '../domain/client-hello.ts';

/**
 * The name of the server that a TLS client asks for, read before its handshake begins; what was read stays to be read. undefined: it
 * asks for none, has left, or does not speak TLS. Waits for as long as the socket is open.
 */
export function serverNameOf(raw: Socket): Promise<string | undefined> {
  const { promise, resolve } = Promise.withResolvers<string | undefined>();
  let arrived: Buffer = Buffer.alloc(0);
  const done = (serverName: string | undefined) => {
    raw.removeListener('readable', look).removeListener('end', left).removeListener('close', left);
    if (arrived.length > 0 && !raw.destroyed) raw.unshift(arrived);
    resolve(serverName);
  };
  const look = () => {
    for (let chunk: Buffer | null = raw.read(); chunk !== null; chunk = raw.read()) arrived = Buffer.concat([arrived, chunk]);
    const hello = readClientHello(arrived);
    if (hello.state !== 'more') done(hello.state === 'whole' ? hello.serverName : undefined);
  };
  const left = () => done(undefined);
  raw.on('readable', look).once('end', left).once('close', left);
  return promise;
}
