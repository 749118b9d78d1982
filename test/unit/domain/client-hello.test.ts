import assert from 'node:assert/strict';
import { once } from 'node:events';
import { Duplex } from 'node:stream';
import { describe, test } from 'node:test';
import { type ConnectionOptions, connect } from 'node:tls';
import fc from 'fast-check';
import { readClientHello } from '../../../src/domain/client-hello.ts';

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
