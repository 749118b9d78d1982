import assert from 'node:assert/strict';
import { test } from 'node:test';
import { isTitle, mayMeet, readSocket } from '../../../src/controlplane/socket-list.ts';
import { addressBits, addressText } from '../../../src/domain/cidr.ts';

const TITLES = [
  '  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode                                                     ',
  '  sl  local_address                         remote_address                        st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode',
];
/** Of Linux on x86-64, as they stood there. */
const LITTLE_ENDIAN: readonly (readonly [line: string, address: string, port: number, isListening: boolean])[] = [
  [
    '   0: 0100007F:20FB 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 20777655 1 00000000cf95b16f 100 0 0 10 0                  ',
    '127.0.0.1',
    8443,
    true,
  ],
  [
    '   2: 00000000:20FB 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 20777656 1 00000000c88eb185 100 0 0 10 0                  ',
    '0.0.0.0',
    8443,
    true,
  ],
  [
    '   1: 0100007F:9BB5 0100007F:BCDC 06 00000000:00000000 03:00000ED3 00000000     0        0 0 3 0000000056fe784e                                      ',
    '127.0.0.1',
    39861,
    false,
  ],
  [
    ' 481: 0100007F:CA32 0100007F:20FB 01 00000000:00000000 00:00000000 00000000     0        0 20777661 2 000000002ed01cd2 20 0 0 10 -1                  ',
    '127.0.0.1',
    51762,
    false,
  ],
  [
    '   0: 000000FD000000000000000002000000:20FB 00000000000000000000000000000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 20777660 1 00000000d95d31e8 100 0 0 10 0',
    'fd00::2',
    8443,
    true,
  ],
  [
    '   1: 0000000000000000FFFF00000100007F:20FB 00000000000000000000000000000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 20777659 1 00000000ef33d0da 100 0 0 10 0',
    '127.0.0.1',
    8443,
    true,
  ],
  [
    '   2: 00000000000000000000000001000000:20FB 00000000000000000000000000000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 20777658 1 000000003d41dcec 100 0 0 10 0',
    '::1',
    8443,
    true,
  ],
  [
    '   3: 00000000000000000000000000000000:20FB 00000000000000000000000000000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 20777657 1 00000000d4b0ae85 100 0 0 10 0',
    '::',
    8443,
    true,
  ],
];

test('the title of each list is known, and no other line is one', () => {
  for (const title of TITLES) assert.ok(isTitle(title), title);
  for (const [line] of LITTLE_ENDIAN) assert.ok(!isTitle(line), line);
  assert.ok(!isTitle(''));
});

test('a line says the address, the port and whether the socket listens', () => {
  for (const [line, address, port, isListening] of LITTLE_ENDIAN) {
    const socket = readSocket(line, 'LE');
    assert.ok(socket, line);
    assert.deepEqual([addressText(socket.address), socket.port, socket.isListening], [address, port, isListening], line);
  }
});

test('a big-endian machine prints addresses as they are read', () => {
  const rest = '0A 00000000:00000000 00:00000000 00000000     0        0 1 1 0 100 0 0 10 0';
  const text = (line: string) => addressText(readSocket(line, 'BE')?.address ?? -1n);
  assert.equal(text(`   0: C0000201:20FB 00000000:0000 ${rest}`), '192.0.2.1');
  assert.equal(text(`   0: 20010DB8000000000000000000000001:20FB ${'0'.repeat(32)}:0000 ${rest}`), '2001:db8::1');
});

test('what is no line of such a list is not read', () => {
  const [[whole] = ['']] = LITTLE_ENDIAN;
  for (const line of [...TITLES, '', 'garbage', whole.slice(0, 20), whole.replace('0100007F', '0100007'), whole.replace(' 0A ', ' ')])
    assert.equal(readSocket(line, 'LE'), undefined, line);
});

test('addresses meet that are the same, or of which one holds the other', () => {
  const every = ['127.0.0.1', '127.0.0.2', '0.0.0.0', '::', '::1', 'fd00::2', '::ffff:127.0.0.1', '::ffff:0.0.0.0'] as const;
  const meeting: Readonly<Record<(typeof every)[number], readonly string[]>> = {
    '127.0.0.1': ['127.0.0.1', '0.0.0.0', '::', '::ffff:127.0.0.1', '::ffff:0.0.0.0'],
    '127.0.0.2': ['127.0.0.2', '0.0.0.0', '::', '::ffff:0.0.0.0'],
    '0.0.0.0': ['127.0.0.1', '127.0.0.2', '0.0.0.0', '::', '::ffff:127.0.0.1', '::ffff:0.0.0.0'],
    '::': every,
    '::1': ['::', '::1'],
    'fd00::2': ['::', 'fd00::2'],
    '::ffff:127.0.0.1': ['127.0.0.1', '0.0.0.0', '::', '::ffff:127.0.0.1', '::ffff:0.0.0.0'],
    '::ffff:0.0.0.0': ['127.0.0.1', '127.0.0.2', '0.0.0.0', '::', '::ffff:127.0.0.1', '::ffff:0.0.0.0'],
  };
  const bits = (text: string) => addressBits(text) ?? -1n;
  for (const one of every)
    assert.deepEqual(
      every.filter((other) => mayMeet(bits(one), bits(other))),
      meeting[one],
      one,
    );
});
