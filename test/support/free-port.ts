import { once } from 'node:events';
import { createServer } from 'node:net';

/**
 * A loopback port on which nothing listens: for connections that must be refused, and for programs that cannot be told
 * "any port". Everything else listens on port 0 and asks which it was given.
 */
export async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const address = server.address();
  server.close();
  await once(server, 'close');
  if (address === null || typeof address === 'string') throw new Error('a TCP server has an address and a port');
  return address.port;
}
