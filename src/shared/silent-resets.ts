import type { Socket } from 'node:net';
import { unsentBytes } from './hidden-node.ts';

const NOTHING = Buffer.alloc(0);

/**
 * Call it right after a handshake, with the connection below: the TLS socket fails in a moment if the other side has reset meanwhile. When
 * what TLS writes by itself, such as session tickets, meets the reset, Node.js tells nobody, reads an end and never writes again
 * (TLSWrap::EncOut keeps its write_size_).
 */
export function failIfReset(secure: Socket, tcp: Socket): void {
  // What was written in good order is off its list by then.
  setImmediate(() => {
    if (secure.destroyed || tcp.destroyed) return;
    const isStuck = (unsentBytes(secure) ?? 0) > 0;
    // A write that is queued would be taken for one of TLS; of a connection that stands no longer, this one fails at once.
    if (isStuck && unsentBytes(tcp) === 0) tcp.write(NOTHING);
  });
}
