/** Upstream servers that begin as a group's settings say: a PROXY protocol header, then TLS. */
import type { Socket } from 'node:net';
import type { TestContext } from 'node:test';
import { createSecureContext, TLSSocket, type TLSSocketOptions } from 'node:tls';
import { type ProxyHeader, readProxyHeader } from '../../src/domain/proxy-protocol.ts';
import { startUpstream, type TestUpstream } from './echo-servers.ts';

type Cleanup = Pick<TestContext, 'after'>;

/** Reads the header that the connection begins with, leaves what follows to be read; resolves with undefined for one that begins otherwise. */
export function readHeader(socket: Socket): Promise<ProxyHeader | undefined> {
  return new Promise((resolve) => {
    let arrived = Buffer.alloc(0);
    const look = () => {
      for (let chunk: Buffer | null = socket.read(); chunk !== null; chunk = socket.read()) {
        arrived = Buffer.concat([arrived, chunk]);
        const read = readProxyHeader(arrived);
        if (read.state === 'more') continue;
        socket.removeListener('readable', look);
        socket.unshift(arrived.subarray(read.state === 'whole' ? read.length : 0));
        return resolve(read.state === 'whole' ? read.header : undefined);
      }
    };
    socket.on('readable', look);
  });
}

export interface HeaderServer extends TestUpstream {
  /** What each connection began with, in order of arrival. */
  readonly headers: readonly (ProxyHeader | undefined)[];
}

/** Echoes what comes after a header. */
export async function proxiedEchoServer(t: Cleanup): Promise<HeaderServer> {
  const headers: (ProxyHeader | undefined)[] = [];
  const upstream = await startUpstream(t, (socket) => {
    void readHeader(socket).then((header) => {
      headers.push(header);
      socket.pipe(socket);
    });
  });
  return Object.assign(upstream, { headers });
}

/** Does `serve` with each connection once TLS stands; failed handshakes are dropped. */
export function tlsUpstream(
  t: Cleanup,
  { cert, key, ...options }: TLSSocketOptions & { readonly cert: string; readonly key: string; readonly ca?: string },
  serve: (socket: TLSSocket, header: ProxyHeader | undefined) => void,
  { expectHeader = false } = {},
): Promise<TestUpstream> {
  const { ca, ...rest } = options;
  const secureContext = createSecureContext({ cert, key, ...(ca === undefined ? {} : { ca }) });
  return startUpstream(t, (raw) => {
    void (async () => {
      const header = expectHeader ? await readHeader(raw) : undefined;
      const socket = new TLSSocket(raw, { isServer: true, secureContext, ...rest });
      socket.on('error', () => raw.destroy());
      socket.once('secure', () => serve(socket, header));
    })();
  });
}
