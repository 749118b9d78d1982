/** A name server for tests, over UDP on loopback: RFC 1035, as far as an answer with addresses needs it. */
import { createSocket } from 'node:dgram';
import { Resolver } from 'node:dns/promises';
import { once } from 'node:events';
import { isIPv4 } from 'node:net';
import type { TestContext } from 'node:test';
import type { Resolve } from '../../src/controlplane/host-resolver.ts';

const HEADER_BYTES = 12;
const TYPE_A = 1;

export interface TestNameServer {
  /** What every name resolves to; none: the name server fails (SERVFAIL). */
  addresses: readonly string[];
  /** Asks this name server. */
  readonly resolve: Resolve;
}

/** Answers every name with the IPv4 addresses that it is told. */
export async function startNameServer(t: Pick<TestContext, 'after'>, addresses: readonly string[]): Promise<TestNameServer> {
  const socket = createSocket('udp4');
  socket.on('message', (query, { port, address }) => socket.send(answerTo(query, nameServer.addresses), port, address));
  socket.bind(0, '127.0.0.1');
  await once(socket, 'listening');
  t.after(() => socket.close());
  const resolver = new Resolver({ timeout: 2000, tries: 2 });
  resolver.setServers([`127.0.0.1:${socket.address().port}`]);
  const nameServer = {
    addresses,
    resolve: (host: string) => resolver.resolve4(host),
  };
  return nameServer;
}

function answerTo(query: Buffer, addresses: readonly string[]): Buffer {
  const nameEnd = query.indexOf(0, HEADER_BYTES) + 1;
  const question = query.subarray(HEADER_BYTES, nameEnd + 4);
  const found = query.readUInt16BE(nameEnd) === TYPE_A ? addresses.filter(isIPv4) : [];
  const header = Buffer.alloc(HEADER_BYTES);
  query.copy(header, 0, 0, 2);
  // A response, recursion available; SERVFAIL where there is nothing to say.
  header.writeUInt16BE(addresses.length === 0 ? 0x8182 : 0x8180, 2);
  header.writeUInt16BE(1, 4);
  header.writeUInt16BE(found.length, 6);
  const answers = found.map((address) => {
    // The name is where the question has it; type A, class IN, no time to live, 4 bytes.
    const head = Buffer.from([0xc0, HEADER_BYTES, 0, TYPE_A, 0, 1, 0, 0, 0, 0, 0, 4]);
    return Buffer.concat([head, Buffer.from(address.split('.').map(Number))]);
  });
  return Buffer.concat([header, question, ...answers]);
}
