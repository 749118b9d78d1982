/** Who listens on this machine, or in this container: the sockets of its network namespace. */
import { createReadStream, existsSync } from 'node:fs';
import { endianness } from 'node:os';
import path from 'node:path';
import { type ByteOrder, isTitle, type ListedSocket, readSocket } from './socket-list.ts';

/** Finds the TCP sockets that listen; undefined: that cannot be found out. */
export type ListeningSockets = () => Promise<readonly ListedSocket[] | undefined>;

/** A page: what the kernel gives at a time. */
const READ_BYTES = 4096;

/** What the lists in the folder say; undefined: there are none that can be read. */
export async function listeningSockets(
  folder = '/proc/self/net',
  byteOrder: ByteOrder = endianness(),
): Promise<readonly ListedSocket[] | undefined> {
  try {
    const lists = [path.join(folder, 'tcp')];
    // A kernel that is told to do without IPv6 has no such list.
    const ipv6 = path.join(folder, 'tcp6');
    if (existsSync(ipv6)) lists.push(ipv6);
    return (await Promise.all(lists.map((list) => listeningIn(list, byteOrder)))).flat();
  } catch {
    return undefined;
  }
}

/** Linux lists those that listen first, so connections, which may be many, are not read. @throws when it is no such list */
async function listeningIn(list: string, byteOrder: ByteOrder): Promise<readonly ListedSocket[]> {
  const sockets: ListedSocket[] = [];
  let isBegun = false;
  for await (const line of linesOf(list)) {
    if (isBegun) {
      const socket = readSocket(line, byteOrder);
      if (socket === undefined) throw new Error(`${list} has a line that is no socket's`);
      if (!socket.isListening) break;
      sockets.push(socket);
    } else if (isTitle(line)) isBegun = true;
    else break;
  }
  if (!isBegun) throw new Error(`${list} is no list of sockets`);
  return sockets;
}

async function* linesOf(file: string): AsyncGenerator<string> {
  let rest = '';
  for await (const chunk of createReadStream(file, { encoding: 'latin1', highWaterMark: READ_BYTES })) {
    const lines = `${rest}${chunk}`.split('\n');
    rest = lines.pop() ?? '';
    yield* lines;
  }
}
