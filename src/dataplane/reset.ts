import type { Socket } from 'node:net';

/**
 * Sends a TCP RST and drops the socket. `secure` is the TLS socket on top, once there is one: while its end is on its way out, the
 * system refuses the reset and Node.js leaks the handle, so that an ordinary close has to do.
 */
export function reset(socket: Socket, secure: Socket = socket): void {
  if (!secure.writableEnded) {
    socket.resetAndDestroy();
    return;
  }
  secure.destroy();
  socket.destroy();
}
