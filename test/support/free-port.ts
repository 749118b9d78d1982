import { areFree } from './port-block.ts';

/** Below the ports that the system hands out by itself, as sources of connections too (Linux: from 32768), and apart from freePortBlock's. */
const [LOWEST, HIGHEST] = [20_000, 25_999];
const ATTEMPTS = 100;

let next = LOWEST + Math.floor(Math.random() * (HIGHEST - LOWEST + 1));

/**
 * A port on which nothing listens, another one each time: for connections that must be refused, and for programs that cannot be told
 * "any port". Everything else listens on port 0 and asks which it was given. One of the system's choice would soon be the choice of another test.
 */
export async function freePort(): Promise<number> {
  for (let attempt = 0; attempt < ATTEMPTS; attempt++) {
    const port = next;
    next = port === HIGHEST ? LOWEST : port + 1;
    if (await areFree(port, 1)) return port;
  }
  throw new Error(`no free port within ${ATTEMPTS} before ${next}`);
}
