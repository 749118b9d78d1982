import assert from 'node:assert/strict';
import { writeFile } from 'node:fs/promises';
import path from 'node:path';
import { type TestContext, test } from 'node:test';
import { listeningSockets } from '../../../src/controlplane/listening-sockets.ts';
import { addressText } from '../../../src/domain/cidr.ts';
import { takenPort } from '../../support/taken-port.ts';
import { temporaryFolder } from '../../support/temp-dir.ts';

const TITLE = '  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode';
const LISTENING = '0A';
const ESTABLISHED = '01';

/** A line on a little-endian machine. */
function line(address: string, port: number, state: string): string {
  const zeros = '0'.repeat(address.length);
  return `   0: ${address}:${port.toString(16).toUpperCase().padStart(4, '0')} ${zeros}:0000 ${state} 00000000:00000000 00:00000000 00000000`;
}

async function folderOf(t: TestContext, lists: Readonly<Record<string, readonly string[]>>): Promise<string> {
  const folder = await temporaryFolder(t);
  for (const [name, lines] of Object.entries(lists)) await writeFile(path.join(folder, name), lines.map((each) => `${each}\n`).join(''));
  return folder;
}

async function listedIn(folder: string): Promise<readonly string[] | undefined> {
  return (await listeningSockets(folder, 'LE'))?.map(({ address, port }) => `${addressText(address)} ${port}`);
}

test('those that listen in both lists, over as many reads as it takes', async (t) => {
  const ports = Array.from({ length: 500 }, (_, index) => 1000 + index);
  const folder = await folderOf(t, {
    tcp: [TITLE, ...ports.map((port) => line('0100007F', port, LISTENING))],
    tcp6: [TITLE, line('0'.repeat(32), 443, LISTENING)],
  });
  assert.deepEqual(await listedIn(folder), [...ports.map((port) => `127.0.0.1 ${port}`), ':: 443']);
});

test('a list is read up to the first connection: what comes after it is not looked at', async (t) => {
  const folder = await folderOf(t, {
    tcp: [TITLE, line('0100007F', 1, LISTENING), line('0100007F', 2, ESTABLISHED), 'garbage'],
    tcp6: [TITLE],
  });
  assert.deepEqual(await listedIn(folder), ['127.0.0.1 1']);
});

test('without IPv6 there is one list', async (t) => {
  assert.deepEqual(await listedIn(await folderOf(t, { tcp: [TITLE, line('0100007F', 1, LISTENING)] })), ['127.0.0.1 1']);
});

test('nothing can be said where there are no lists, or others', async (t) => {
  const good = [TITLE, line('0100007F', 1, LISTENING)];
  const cases: readonly Readonly<Record<string, readonly string[]>>[] = [
    {},
    { tcp6: good },
    { tcp: [] },
    { tcp: ['something else'] },
    { tcp: [TITLE, 'something else'] },
    { tcp: good, tcp6: [] },
    { tcp: good, tcp6: ['something else'] },
  ];
  for (const lists of cases) assert.equal(await listedIn(await folderOf(t, lists)), undefined, JSON.stringify(lists));
});

test('a port that is open on this machine is among them', { skip: process.platform !== 'linux' && 'the lists are of Linux' }, async (t) => {
  const { port } = await takenPort(t);
  const sockets = await listeningSockets();
  assert.ok(sockets?.some((socket) => addressText(socket.address) === '127.0.0.1' && socket.port === port && socket.isListening));
});
