/** How a client of a TLS listener begins, looked at before there is a TLS socket for it: what is not TLS is refused for a third. */
import type { Socket } from 'node:net';
import { type NotTls, notTls, RECORD_HEADER, readClientHello } from '../domain/client-hello.ts';
import { Refusal } from './refusal.ts';

/** What a log says where OpenSSL says `wrong version number`. */
export const WRONG_VERSION =
  'wrong version number: not TLS, or a PROXY protocol header from an address that acceptProxyProtocol of the listener does not hold';

/** Each is thrown again and again: to make one costs more than to look. */
const REFUSALS: Readonly<Record<NotTls, Refusal>> = {
  'wrong version number': new Refusal('handshake_failed', WRONG_VERSION),
  'http request': new Refusal('handshake_failed', 'http request'),
  'https proxy request': new Refusal('handshake_failed', 'https proxy request'),
};

/**
 * Calls `shake` once the client has begun as TLS does, with the name of the server that it asks for if that is wanted, or `refuse`; neither
 * of them if it leaves before. Call nothing else that reads until then: what was read stays to be read.
 */
export function lookFirst(
  raw: Socket,
  wantsName: boolean,
  shake: (serverName: string | undefined) => void,
  refuse: (refusal: Refusal) => void,
): void {
  let arrived: Buffer | undefined;
  const look = (chunk: Buffer) => {
    arrived = arrived === undefined ? chunk : Buffer.concat([arrived, chunk]);
    if (arrived.length < RECORD_HEADER) return;
    const other = notTls(arrived);
    const hello = other === undefined && wantsName ? readClientHello(arrived) : undefined;
    if (hello?.state === 'more') return;
    raw.removeListener('data', look).pause();
    if (other !== undefined) return refuse(REFUSALS[other]);
    raw.unshift(arrived);
    shake(hello?.state === 'whole' ? hello.serverName : undefined);
  };
  raw.on('data', look).resume();
}
