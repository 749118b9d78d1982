import assert from 'node:assert/strict';
import { once } from 'node:events';
import { Duplex, duplexPair } from 'node:stream';
import { describe, test } from 'node:test';
import { type ConnectionOptions, connect, createServer } from 'node:tls';
import fc from 'fast-check';
import { notTls, readClientHello } from '../../../src/domain/client-hello.ts';

/** What Node's own client begins with. */
async function helloOf(options: ConnectionOptions): Promise<Buffer> {
  const written: Buffer[] = [];
  const wire = new Duplex({
    read: () => undefined,
    write: (chunk: Buffer, _encoding, done) => {
      written.push(chunk);
      done();
      wire.emit('sent');
    },
  });
  const client = connect({ socket: wire, ...options });
  client.on('error', () => undefined);
  if (written.length === 0) await once(wire, 'sent');
  client.destroy();
  return Buffer.concat(written);
}

/** The same message, a record for each so many bytes. */
function inRecords(hello: Buffer, size: number): Buffer {
  const message = hello.subarray(5);
  const count = Math.ceil(message.length / size);
  return Buffer.concat(
    Array.from({ length: count }, (_, index) => {
      const part = message.subarray(index * size, (index + 1) * size);
      return Buffer.concat([Buffer.of(22, 3, 1, part.length >> 8, part.length & 255), part]);
    }),
  );
}

const NAMED = await helloOf({ servername: 'DB.Example.com', ALPNProtocols: ['h2'] });
const OLD = await helloOf({ servername: 'old.example.com', maxVersion: 'TLSv1.2' });

describe('a hello', () => {
  test('says which server is asked for, in either version of TLS', async () => {
    assert.deepEqual(readClientHello(NAMED), { state: 'whole', serverName: 'db.example.com' });
    assert.deepEqual(readClientHello(OLD), { state: 'whole', serverName: 'old.example.com' });
    assert.deepEqual(readClientHello(await helloOf({})), { state: 'whole', serverName: undefined });
  });

  test('is read once it is whole, however it comes in pieces', () => {
    for (let length = 0; length < NAMED.length; length++)
      assert.equal(readClientHello(NAMED.subarray(0, length)).state, 'more', `${length} bytes`);
    for (const size of [100, 200, 511])
      assert.deepEqual(readClientHello(inRecords(NAMED, size)), { state: 'whole', serverName: 'db.example.com' });
    assert.equal(readClientHello(inRecords(NAMED, 10)).state, 'other', 'hundreds of records are no client that anybody uses');
    assert.deepEqual(readClientHello(Buffer.concat([NAMED, Buffer.of(23, 3, 3)])), { state: 'whole', serverName: 'db.example.com' });
  });

  test('is not what HTTP, SSH or a long message begin with', () => {
    for (const text of [
      'GET / HTTP/1.1\r\n\r\n',
      'SSH-2.0-x\r\n',
      '\x16\x03\x01\x40\x00\x02\x00\x00\x00',
      '\x16\x03\x01\x40\x00\x01\x01\x00\x00',
    ])
      assert.equal(readClientHello(Buffer.from(text, 'latin1')).state, 'other', JSON.stringify(text));
  });

  test('that is damaged is read in some way, and never thrown at', () => {
    fc.assert(
      fc.property(fc.constantFrom(NAMED, OLD), fc.nat(2000), fc.nat(255), fc.nat(2000), (hello, at, value, end) => {
        const damaged = Buffer.from(hello);
        damaged[at % damaged.length] = value;
        assert.ok(['whole', 'more', 'other'].includes(readClientHello(damaged.subarray(0, end)).state));
      }),
    );
  });
});

describe('what is not TLS', () => {
  /** What OpenSSL says of a client that sends this and ends; nothing when it would have waited for more. */
  function opinion(bytes: Uint8Array): Promise<string> {
    const { promise, resolve } = Promise.withResolvers<string>();
    const server = createServer({ ciphers: 'PSK', pskCallback: () => Buffer.alloc(16) });
    server.once('tlsClientError', (error: NodeJS.ErrnoException & { reason?: string }) => resolve(error.reason ?? error.code ?? ''));
    const [near, far] = duplexPair();
    server.emit('connection', near);
    near.once('end', () => setImmediate(resolve, 'nothing'));
    far.end(bytes);
    return promise;
  }
  const OURS = ['wrong version number', 'http request', 'https proxy request'];

  test('is what OpenSSL says of it, in the same words, from the first five bytes on', async () => {
    const version = fc.oneof({ weight: 3, arbitrary: fc.constant(3) }, fc.nat(255));
    const anything = fc.tuple(fc.nat(255), version, fc.nat(3), fc.nat(255), fc.nat(255));
    const words = [
      'GET /',
      'POST ',
      'HEAD ',
      'PUT /',
      'DELETE ',
      'OPTIONS ',
      'PATCH ',
      'TRACE ',
      'CONNECT ',
      'GETS ',
      'POSTS',
      'SSH-2',
      'PRI * ',
      'PROXY ',
    ];
    const word = fc.constantFrom(...words).map((text) => [...Buffer.from(text)]);
    await fc.assert(
      fc.asyncProperty(fc.oneof(anything, word), fc.uint8Array({ maxLength: 40 }), async (begin, rest) => {
        const bytes = Uint8Array.of(...begin, ...rest);
        const said = await opinion(bytes);
        assert.equal(notTls(bytes), OURS.includes(said) ? said : undefined, said);
        assert.equal(notTls(bytes.subarray(0, 5)), notTls(bytes));
      }),
      { numRuns: 1000 },
    );
  });
});
