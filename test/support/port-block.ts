import { once } from 'node:events';
import { createServer, type Server } from 'node:net';

/** Below the ports that the system hands out by itself (Linux: from 32768), and above those of freePort. */
const [LOWEST, HIGHEST] = [26_000, 32_000];
const ATTEMPTS = 100;

/** The first of `count` ports in a row on which nothing listens: for programs that are told one port and take the next ones too. */
export async function freePortBlock(count: number): Promise<number> {
  for (let attempt = 0; attempt < ATTEMPTS; attempt++) {
    const first = LOWEST + Math.floor(Math.random() * (HIGHEST - LOWEST - count));
    if (await areFree(first, count)) return first;
  }
  throw new Error(`no ${count} free ports in a row between ${LOWEST} and ${HIGHEST}`);
}

/** Whether nothing listens on any of these ports, at whatever IPv4 address. */
export async function areFree(first: number, count: number): Promise<boolean> {
  const servers: Server[] = [];
  try {
    for (let port = first; port < first + count; port++) {
      const server = createServer();
      servers.push(server);
      server.listen(port, '0.0.0.0');
      await once(server, 'listening');
    }
    return true;
  } catch {
    return false;
  } finally {
    for (const server of servers) server.close();
  }
}
