import type { Socket } from 'node:net';
import { TLSSocket } from 'node:tls';
import type { Requested } from '../domain/authz.ts';

/** The server name and protocol that the client asked for in its handshake; neither on a plain listener. */
export function requestedOf(downstream: Socket): Requested {
  if (!(downstream instanceof TLSSocket)) return { sni: undefined, alpn: undefined };
  // @types/node types both loosely; without SNI servername is false, without ALPN alpnProtocol is false.
  const sni: unknown = downstream.servername;
  const alpn: unknown = downstream.alpnProtocol;
  return {
    sni: typeof sni === 'string' && sni !== '' ? sni.toLowerCase() : undefined,
    alpn: typeof alpn === 'string' && alpn !== '' ? alpn : undefined,
  };
}
