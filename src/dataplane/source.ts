/** Where a connection comes from: its own address, or what a trusted proxy says in a PROXY protocol header. */
import type { Socket } from 'node:net';
import { addressBits, contains, type Network, parseCidr } from '../domain/cidr.ts';
import { type Address, formatAddress, type Listener } from '../domain/model.ts';
import { LONGEST_V2, type ReadHeader, readProxyHeader } from '../domain/proxy-protocol.ts';
import { Refusal } from './refusal.ts';
import type { HandshakeBudget } from './tls.ts';

export interface Source {
  /** The client's own end. */
  readonly address: Address;
  /** The end that it connected to, for who tells it: the system is asked only then. */
  readonly destination: () => Address;
  /** The client's address, as of cidr.ts. */
  readonly bits: bigint;
  /** host:port of the proxy that spoke for the client; undefined: it came by itself. */
  readonly via: string | undefined;
}

/** What bounds the wait for a header. */
export interface HeaderBounds {
  readonly timeoutMs: number;
  /** A connection whose header has not come counts as one in the handshake. */
  readonly budget: HandshakeBudget;
}

/** host:port of the other end for people to read; `unknown`: the client has reset, and the system knows it no longer. */
export function remoteOf({ remoteAddress, remotePort }: Socket): string {
  return remoteAddress === undefined ? 'unknown' : `${remoteAddress}:${remotePort}`;
}

/** The two ends of the connection as the system knows them. @throws Refusal `client_gone` when it knows it no longer */
export function directSource(raw: Socket): Source {
  const { remoteAddress, remotePort = 0 } = raw;
  if (remoteAddress === undefined) throw new Refusal('client_gone', 'the client left before it was looked at');
  return {
    address: { host: remoteAddress, port: remotePort },
    destination: () => ({ host: raw.localAddress ?? '', port: raw.localPort ?? 0 }),
    bits: addressBits(remoteAddress) ?? 0n,
    via: undefined,
  };
}

/**
 * Reads the header that a connection from a network of `acceptProxyProtocol` must begin with, which came as `direct`; what follows the
 * header stays to be read.
 * @throws Refusal `proxy_protocol_invalid` when it is none or does not come in time, `too_many_handshakes`
 */
export async function announcedSource(raw: Socket, direct: Source, bounds: HeaderBounds): Promise<Source> {
  bounds.budget.take();
  try {
    const ends = await headerEnds(raw, bounds.timeoutMs);
    // The proxy's own connection, such as its health check.
    if (ends === undefined) return direct;
    return {
      address: ends.source,
      destination: () => ends.destination,
      bits: addressBits(ends.source.host) ?? 0n,
      via: formatAddress(direct.address),
    };
  } finally {
    bounds.budget.giveBack();
  }
}

/** True when connections from the address (as of cidr.ts) begin with a header. */
export function accepts(listener: Listener, bits: bigint): boolean {
  return trustedBy(listener).some((network) => contains(network, bits));
}

function headerEnds(raw: Socket, timeoutMs: number): Promise<ReadHeaderWhole['header']['ends']> {
  const { promise, resolve, reject } = Promise.withResolvers<ReadHeaderWhole['header']['ends']>();
  const refuse = (detail: string) => reject(new Refusal('proxy_protocol_invalid', detail));
  let arrived: Buffer = Buffer.alloc(0);
  const look = () => {
    for (let chunk: Buffer | null = raw.read(); chunk !== null; chunk = raw.read()) {
      arrived = Buffer.concat([arrived, chunk]);
      const read = readProxyHeader(arrived.subarray(0, LONGEST_V2));
      if (read.state === 'more') continue;
      if (read.state === 'invalid') return refuse(read.problem);
      raw.removeListener('readable', look);
      if (arrived.length > read.length) raw.unshift(arrived.subarray(read.length));
      return resolve(read.header.ends);
    }
  };
  const left = () => refuse(`the proxy left after ${arrived.length} bytes of a header`);
  const deadline = setTimeout(() => refuse(`no whole header after ${timeoutMs} ms`), timeoutMs);
  raw.on('readable', look).once('end', left).once('close', left);
  return promise.finally(() => {
    clearTimeout(deadline);
    raw.removeListener('readable', look).removeListener('end', left).removeListener('close', left);
  });
}

type ReadHeaderWhole = Extract<ReadHeader, { state: 'whole' }>;

/** A listener is never changed; another one takes its place. */
const networksOf = new WeakMap<Listener, readonly Network[]>();

function trustedBy(listener: Listener): readonly Network[] {
  const known = networksOf.get(listener);
  if (known !== undefined) return known;
  const networks = listener.acceptProxyProtocol.map((cidr) => {
    const network = parseCidr(cidr);
    if ('problem' in network) throw new Error(`the state holds a malformed network: ${network.problem}`);
    return network;
  });
  networksOf.set(listener, networks);
  return networks;
}
