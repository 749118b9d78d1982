/** A TCP relay that notes which TLS records a server sends: they tell a TLS close from a mere end, which a TLS client does not. */
import { connect, type Socket } from 'node:net';
import type { TestContext } from 'node:test';
import { startUpstream } from './echo-servers.ts';

/** Content types of RFC 5246, section 6.2.1. TLS 1.3 shows all that is encrypted as application data, TLS 1.2 does not. */
const CONTENT_TYPES: Readonly<Record<number, string>> = { 20: 'change_cipher_spec', 21: 'alert', 22: 'handshake', 23: 'application_data' };
const HEADER_BYTES = 5;

export interface RecordTap {
  /** Connect here instead of to the server, with TLS 1.2. */
  readonly port: number;
  /** The content types of the whole records that the server has sent so far. */
  records(): readonly string[];
  /** Sends these bytes to the server between what the client sends. */
  inject(bytes: Buffer): void;
}

/** Relays one connection to the server on this loopback port: an end as an end, a reset as a reset. */
export async function tapRecords(t: Pick<TestContext, 'after'>, port: number): Promise<RecordTap> {
  let sent = Buffer.alloc(0);
  let server: Socket | undefined;
  const tap = await startUpstream(t, (near) => {
    const far = connect({ port, host: '127.0.0.1', allowHalfOpen: true });
    server = far;
    far.on('data', (chunk: Buffer) => {
      sent = Buffer.concat([sent, chunk]);
    });
    relay(near, far);
    relay(far, near);
  });
  return {
    port: tap.port,
    records: () => {
      const types: string[] = [];
      for (let at = 0; at + HEADER_BYTES <= sent.length; at += HEADER_BYTES + sent.readUInt16BE(at + 3)) {
        types.push(CONTENT_TYPES[sent.readUInt8(at)] ?? 'unknown');
      }
      return types;
    },
    inject: (bytes) => void server?.write(bytes),
  };
}

function relay(from: Socket, to: Socket): void {
  from.pipe(to);
  from.on('error', () => {
    if (!to.destroyed) to.resetAndDestroy();
  });
}
