import { once } from 'node:events';
import { createServer } from 'node:net';
import type { TestContext } from 'node:test';

/** A loopback port that another program has. */
export interface TakenPort {
  readonly port: number;
  /** The other program ends. */
  free(): Promise<void>;
}

/** Takes a port until the end of the test, or until it is freed. */
export async function takenPort(t: Pick<TestContext, 'after'>): Promise<TakenPort> {
  const server = createServer().listen(0, '127.0.0.1');
  t.after(() => void server.close());
  await once(server, 'listening');
  const address = server.address();
  if (address === null || typeof address === 'string') throw new Error('a TCP server has an address and a port');
  return {
    port: address.port,
    free: async () => {
      server.close();
      await once(server, 'close');
    },
  };
}
