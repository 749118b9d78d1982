/** What Linux says of TCP sockets in /proc/net/tcp and /proc/net/tcp6, a line each (proc_pid_net(5)), and whose address leaves room for whose. */

/** The byte order of the machine that wrote the list: big endian or little endian. */
export type ByteOrder = 'BE' | 'LE';

/** A socket's own end. */
export interface ListedSocket {
  /** 128 bits, IPv4 as IPv4-mapped IPv6. */
  readonly address: bigint;
  readonly port: number;
  readonly isListening: boolean;
}

const TITLE = /^ +sl +local_address /;
const SOCKET = /^ *\d+: (?<address>[\dA-F]{8}|[\dA-F]{32}):(?<port>[\dA-F]{4}) [\dA-F]+:[\dA-F]{4} (?<state>[\dA-F]{2}) /;
/** TCP_LISTEN of the kernel's tcp_states.h. */
const LISTENING = '0A';

/** Whether a list begins with this line. */
export function isTitle(line: string): boolean {
  return TITLE.test(line);
}

/** Reads a line after the first; undefined: it is of no such list. */
export function readSocket(line: string, byteOrder: ByteOrder): ListedSocket | undefined {
  const { address, port, state } = SOCKET.exec(line)?.groups ?? {};
  if (address === undefined || port === undefined) return undefined;
  // The kernel prints the four bytes that it holds in network order as one number of its own order; those of IPv6, four times. The port is plain.
  const inOrder = byteOrder === 'BE' ? address : address.replace(/(..)(..)(..)(..)/g, '$4$3$2$1');
  const bits = BigInt(`0x${inOrder}`);
  return { address: address.length === 8 ? IPV4_ANY | bits : bits, port: Number.parseInt(port, 16), isListening: state === LISTENING };
}

const ANY = 0n;
const IPV4_ANY = 0xffff_0000_0000n;

/**
 * Whether sockets at these addresses (as in {@link ListedSocket}) could be sent the same connection. One at `::` is taken to serve IPv4 too, as
 * it does unless it says IPV6_V6ONLY, which is not listed.
 */
export function mayMeet(one: bigint, other: bigint): boolean {
  return one === other || holds(one, other) || holds(other, one);
}

function holds(any: bigint, address: bigint): boolean {
  return any === ANY || (any === IPV4_ANY && address >> 32n === IPV4_ANY >> 32n);
}
