/** A listener's TLS side on a port of its own, without a balancer behind it. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer } from 'node:net';
import type { TestContext } from 'node:test';
import type { TLSSocket } from 'node:tls';
import { DEFAULT_CIPHERS } from '../../src/config/ciphers.ts';
import { Refusal } from '../../src/dataplane/refusal.ts';
import { HandshakeBudget, TlsFront, type TlsFrontOptions } from '../../src/dataplane/tls.ts';
import type { TlsMaterial } from '../../src/domain/tls-material.ts';
import { createTestCa, type TestCa } from './certificates.ts';

/** What became of a handshake: the reason it was refused for, or how it was made. */
export type Shaken =
  | { readonly refused: Refusal['reason']; readonly detail: string }
  | { readonly refused?: undefined; readonly version: string; readonly suite: string; readonly resumed: boolean; readonly sni: string };

export interface ServedFront {
  readonly port: number;
  readonly front: TlsFront;
  /** The handshakes that were finished or refused and not asked for yet, the first one; waits for it. */
  next(): Promise<Shaken>;
}

/** Material of a listener whose certificate is for `localhost`, with what the test wants otherwise. */
export async function materialOf(ca: TestCa, changes: Partial<TlsMaterial> = {}): Promise<TlsMaterial> {
  const { certPem, keyPem } = await ca.issueServer();
  return {
    certificatePem: certPem,
    privateKeyPem: keyPem,
    ocsp: undefined,
    certificates: [],
    caPem: ca.caPem,
    crlPem: undefined,
    minVersion: 'TLSv1.2',
    ciphers: DEFAULT_CIPHERS,
    sessionTickets: undefined,
    ...changes,
  };
}

/** Shakes hands with whoever comes and then says `hello` and ends, until the test is over. */
export async function serveFront(t: Pick<TestContext, 'after'>, options: Partial<TlsFrontOptions> = {}): Promise<ServedFront> {
  const material = options.material ?? (await materialOf(await createTestCa()));
  const front = new TlsFront({ alpn: [], timeoutMs: 20_000, budget: new HandshakeBudget(100), ...options, material });
  const shaken: Promise<Shaken>[] = [];
  const waiting: ((next: Promise<Shaken>) => void)[] = [];
  const server = createServer((raw) => {
    raw.on('error', () => undefined);
    const result = front.handshake(raw).then(greeted, (error: unknown) => {
      raw.destroy();
      if (!(error instanceof Refusal)) throw error;
      return { refused: error.reason, detail: error.message };
    });
    const waiter = waiting.shift();
    if (waiter === undefined) shaken.push(result);
    else waiter(result);
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  t.after(() => server.close());
  const address = server.address();
  assert.ok(typeof address === 'object' && address !== null);
  return {
    port: address.port,
    front,
    next: () => shaken.shift() ?? new Promise((resolve) => waiting.push(resolve)),
  };
}

function greeted(socket: TLSSocket): Shaken {
  const sni: unknown = socket.servername;
  socket.end('hello');
  return {
    version: socket.getProtocol() ?? '',
    suite: socket.getCipher().name,
    resumed: socket.isSessionReused(),
    sni: typeof sni === 'string' ? sni : '',
  };
}
