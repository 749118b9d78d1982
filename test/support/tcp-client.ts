/** A TCP client for tests of what is not TLS, or not yet. */
import { connect, type Socket } from 'node:net';
import type { TestContext } from 'node:test';

export interface TcpClient {
  readonly socket: Socket;
  /** How the connection ended. Never rejects. */
  readonly ending: Promise<{ readonly how: 'closed' | 'reset' }>;
}

/** Connects to loopback, and resolves when the connection stands, or was reset so soon that nobody saw it stand. The socket is destroyed with the test. */
export async function tcpClient(t: Pick<TestContext, 'after'>, port: number): Promise<TcpClient> {
  const socket = connect({ port, host: '127.0.0.1' });
  t.after(() => socket.destroy());
  let how: 'closed' | 'reset' = 'closed';
  socket.on('error', () => {
    how = 'reset';
  });
  const ending = new Promise<{ readonly how: 'closed' | 'reset' }>((resolve) => socket.once('close', () => resolve({ how })));
  socket.resume();
  await Promise.race([new Promise((resolve) => socket.once('connect', resolve)), ending]);
  return { socket, ending };
}
