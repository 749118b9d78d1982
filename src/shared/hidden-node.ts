/**
 * All that the balancer uses of Node.js beyond its documentation. Each function finds out whether this Node.js has what it looks for, and
 * says so where it has not; its callers do without, or say what cannot be had.
 */
import { type Server as NetServer, Socket } from 'node:net';
import type { Server, TLSSocket } from 'node:tls';

/** Where a socket has what net.connect() was given as `onread`; to a server's sockets it cannot be given. */
const ONREAD = Object.getOwnPropertySymbols(new Socket());
const ONREAD_BUFFER = ONREAD.find(({ description }) => description === 'kBuffer');
const ONREAD_CALLBACK = ONREAD.find(({ description }) => description === 'kBufferCb');

/**
 * What `onread` of net.connect() does, for a socket of a server: reads go into the buffer, and `callback` hears how many bytes came.
 * False: it cannot be had, and nothing is changed.
 */
export function readInto(socket: Socket, buffer: Uint8Array, callback: (bytes: number) => boolean): boolean {
  const handle: unknown = Reflect.get(socket, '_handle');
  if (!takesBuffers(handle) || ONREAD_BUFFER === undefined || ONREAD_CALLBACK === undefined) return false;
  Reflect.set(socket, ONREAD_BUFFER, buffer);
  Reflect.set(socket, ONREAD_CALLBACK, callback);
  handle.useUserBuffer(buffer);
  return true;
}

function takesBuffers(handle: unknown): handle is { useUserBuffer(buffer: Uint8Array): void } {
  return typeof handle === 'object' && handle !== null && 'useUserBuffer' in handle && typeof handle.useUserBuffer === 'function';
}

/** How much of what was written the layer below has not taken yet: the records of a TLS socket, the bytes of another. undefined: it cannot be had. */
export function unsentBytes(socket: Socket): number | undefined {
  const handle: unknown = Reflect.get(socket, '_handle');
  const bytes: unknown = typeof handle === 'object' && handle !== null ? Reflect.get(handle, 'writeQueueSize') : undefined;
  return typeof bytes === 'number' ? bytes : undefined;
}

/** A connection that a server has taken from the system, and that has no socket yet. */
export interface Arrival {
  /** Its other end; undefined: it is gone already. */
  peer(): { readonly host: string; readonly port: number } | undefined;
  reset(): void;
}

/**
 * Shows `take` each connection before the listening server makes a socket of it (lib/net.js, onconnection), which costs more than all else that is
 * done for one that is refused; the server never hears of those that it takes. Where it cannot be had, each gets its socket.
 */
export function meetFirst(server: NetServer, take: (arrival: Arrival) => boolean): void {
  const listening: unknown = Reflect.get(server, '_handle');
  if (typeof listening !== 'object' || listening === null) return;
  const makeSocket: unknown = Reflect.get(listening, 'onconnection');
  if (typeof makeSocket !== 'function') return;
  Reflect.set(listening, 'onconnection', (failure: unknown, handle: unknown) => {
    if (isAccepted(handle) && take(new HandleOnly(handle))) return;
    Reflect.apply(makeSocket, listening, [failure, handle]);
  });
}

/** What there is of a connection before there is a socket. */
interface AcceptedHandle {
  getpeername(found: object): unknown;
  reset(): unknown;
  close(): void;
}

function isAccepted(handle: unknown): handle is AcceptedHandle {
  return typeof handle === 'object' && handle !== null && 'getpeername' in handle && 'reset' in handle && 'close' in handle;
}

class HandleOnly implements Arrival {
  readonly #handle: AcceptedHandle;

  constructor(handle: AcceptedHandle) {
    this.#handle = handle;
  }

  peer(): { readonly host: string; readonly port: number } | undefined {
    const found: { address?: unknown; port?: unknown } = {};
    this.#handle.getpeername(found);
    const { address: host, port } = found;
    return typeof host === 'string' && typeof port === 'number' ? { host, port } : undefined;
  }

  reset(): void {
    // Other than 0: it could not be reset, and is still open.
    if (this.#handle.reset() !== 0) this.#handle.close();
  }
}

/** Asked by OpenSSL for the key of a session ticket: of a new one, or of the one with this name. */
export interface TicketContext<Verdict> {
  onticketkeycallback: (name: Buffer, iv: Buffer, isNew: boolean) => Verdict;
  enableTicketKeyCallback(): void;
}

/** The object behind a server's contexts (lib/internal/tls/wrap.js, setSecureContext); undefined: it has no such callback. */
export function ticketContextOf<Verdict>(server: Server): TicketContext<Verdict> | undefined {
  const shared: unknown = Reflect.get(server, '_sharedCreds');
  const context: unknown = typeof shared === 'object' && shared !== null ? Reflect.get(shared, 'context') : undefined;
  return isTicketContext<Verdict>(context) ? context : undefined;
}

function isTicketContext<Verdict>(context: unknown): context is TicketContext<Verdict> {
  return (
    typeof context === 'object' &&
    context !== null &&
    'enableTicketKeyCallback' in context &&
    typeof context.enableTicketKeyCallback === 'function'
  );
}

/**
 * What Node.js puts into `authorizationError` once a handshake is complete, from where it takes it (lib/internal/tls/wrap.js,
 * onServerSocketSecure), also before: null where the chain is good; undefined: it cannot be had.
 */
export function verificationErrorOf(socket: TLSSocket): Error | string | null | undefined {
  const handle: unknown = Reflect.get(socket, 'ssl');
  if (typeof handle !== 'object' || handle === null || !('verifyError' in handle) || typeof handle.verifyError !== 'function')
    return undefined;
  const problem: unknown = handle.verifyError();
  if (problem === null || problem === undefined) return null;
  return problem instanceof Error ? problem : String(problem);
}
