/** Upstream servers to try the balancer with: each answers HTTP with its own address and how often it was called. */
import { once } from 'node:events';
import { createServer, type Server } from 'node:http';
import { isIP } from 'node:net';
import { parseArgs } from 'node:util';
import { formatAddress } from '../domain/model.ts';
import { failureOf, wholeNumber } from './arguments.ts';

export interface SampleServersOptions {
  readonly count: number;
  /** IP address to listen on. */
  readonly ip: string;
  /** The first server's port; the others follow. 0: each gets a port of the system's choice. */
  readonly startPort: number;
}

export const SAMPLE_SERVERS: SampleServersOptions = { count: 2, ip: '127.0.0.1', startPort: 8081 };

export interface SampleServers {
  /** `host:port` of each, in order. */
  readonly addresses: readonly string[];
  close(): Promise<void>;
}

/** Starts all servers or none. @throws Error with one line that says what to do, when a port is taken. */
export async function startSampleServers({ count, ip, startPort }: SampleServersOptions): Promise<SampleServers> {
  const started: Server[] = [];
  const close = async () => {
    await Promise.all(started.map(closeServer));
  };
  const addresses: string[] = [];
  try {
    for (let index = 0; index < count; index++) {
      const { server, address } = await startSampleServer(ip, startPort === 0 ? 0 : startPort + index);
      started.push(server);
      addresses.push(address);
    }
  } catch (error) {
    await close();
    if (error instanceof Error && 'code' in error && error.code === 'EADDRINUSE') {
      throw new Error(`port ${startPort + started.length} is in use: free it, or choose others with --start-port`, { cause: error });
    }
    throw error;
  }
  return { addresses, close };
}

async function startSampleServer(ip: string, port: number): Promise<{ server: Server; address: string }> {
  let calls = 0;
  let address = '';
  const server = createServer((_request, response) => {
    calls++;
    // One connection a request, so that every request is balanced anew.
    response.writeHead(200, { 'content-type': 'text/plain', connection: 'close' }).end(`server ${address}, call ${calls}\n`);
  });
  server.listen(port, ip);
  await once(server, 'listening');
  const bound = server.address();
  address = formatAddress({ host: ip, port: typeof bound === 'object' && bound !== null ? bound.port : port });
  return { server, address };
}

async function closeServer(server: Server): Promise<void> {
  const closed = once(server, 'close');
  server.close();
  server.closeAllConnections();
  await closed;
}

const USAGE = 'usage: sample-servers [--count 2] [--ip 127.0.0.1] [--start-port 8081]';

function readArguments(): SampleServersOptions {
  const text = (value: string | number) => ({ type: 'string', default: String(value) }) as const;
  const { values } = parseArgs({
    options: { count: text(SAMPLE_SERVERS.count), ip: text(SAMPLE_SERVERS.ip), 'start-port': text(SAMPLE_SERVERS.startPort) },
  });
  if (isIP(values.ip) === 0) throw new TypeError(`--ip is ${JSON.stringify(values.ip)}, expected an IP address`);
  const count = wholeNumber('--count', values.count, 1, 1000);
  return { count, ip: values.ip, startPort: wholeNumber('--start-port', values['start-port'], 0, 65_536 - count) };
}

async function main(): Promise<void> {
  const servers = await startSampleServers(readArguments());
  for (const address of servers.addresses) console.log(`sample server on ${address}`);
  for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => void servers.close());
}

if (import.meta.main) {
  main().catch((error: unknown) => {
    const { message, exitCode } = failureOf('sample-servers', USAGE, error);
    console.error(message);
    process.exitCode = exitCode;
  });
}
