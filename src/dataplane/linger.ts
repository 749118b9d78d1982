import type { Socket } from 'node:net';

/** What nginx calls lingering: long enough for the client's answer to our end to come back. */
const LINGER_MS = 1_000;

/**
 * Ends a connection in good order, whatever the client is sending: what it sends is read and dropped until it has ended too, for at
 * most a second. Closing on bytes that were not read sends a TCP RST instead, which takes the end along (RFC 9112, section 9.6).
 */
export function endAndLinger(socket: Socket): void {
  const deadline = setTimeout(() => socket.destroy(), LINGER_MS);
  socket.once('close', () => clearTimeout(deadline));
  socket.end();
  socket.resume();
}
