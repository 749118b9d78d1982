/** Gives and takes session tickets with the keys that all workers have. */
import { randomBytes } from 'node:crypto';
import type { Server } from 'node:tls';
import { isHonoured, type SessionTickets, type TicketKey } from '../domain/session-tickets.ts';
import { ticketContextOf } from '../shared/hidden-node.ts';

const NOT_HONOURED = 0;
const HONOURED = 1;

/** What OpenSSL is told of a ticket; Node.js wants every field, whatever the verdict. */
type TicketVerdict = readonly [verdict: number, hmac: Buffer, aes: Buffer, name: Buffer, iv: Buffer];

/**
 * Makes a server write tickets with the newest of these keys and read them with each. The public `setTicketKeys` takes a single one:
 * with it every client would shake hands in full after a change of keys.
 * @throws Error when this Node.js does not let a server have several
 */
export function honourTickets(server: Server, { keys, turningPointsMs }: SessionTickets, wallMs: () => number): void {
  const [newest] = keys;
  if (newest === undefined) throw new Error('there is no key for session tickets');
  const context = ticketContextOf<TicketVerdict>(server);
  if (context === undefined) {
    throw new Error(`this Node.js (${process.version}) does not let session tickets have several keys; set sessionTickets: false`);
  }
  context.onticketkeycallback = (name, _iv, isNew) => {
    if (isNew) return verdict(HONOURED, newest, randomBytes(16));
    const key = keys.find((each) => partsOf(each).name.equals(name));
    const isGood = key !== undefined && isHonoured(key, turningPointsMs, wallMs());
    return verdict(isGood ? HONOURED : NOT_HONOURED, key ?? newest, Buffer.alloc(16));
  };
  context.enableTicketKeyCallback();
}

function verdict(code: number, key: TicketKey, iv: Buffer): TicketVerdict {
  const { name, hmac, aes } = partsOf(key);
  return [code, hmac, aes, name, iv];
}

function partsOf({ bytes }: TicketKey) {
  const { buffer, byteOffset } = bytes;
  return {
    name: Buffer.from(buffer, byteOffset, 16),
    hmac: Buffer.from(buffer, byteOffset + 16, 16),
    aes: Buffer.from(buffer, byteOffset + 32, 16),
  };
}
