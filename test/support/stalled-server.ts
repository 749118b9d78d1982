/** An upstream server that does not answer at all: its process is stuck and its queue of connections is full. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { connect } from 'node:net';
import { createInterface } from 'node:readline';
import type { TestContext } from 'node:test';

/** Linux lets one connection more into the queue than it was told. */
const BACKLOG = 1;
/** It waits for a word that is never said, in a way that keeps it from accepting. */
const PROGRAM = `
  const { readSync, writeSync } = require('node:fs');
  const server = require('node:net').createServer();
  server.listen({ port: 0, host: '127.0.0.1', backlog: ${BACKLOG} }, () => {
    writeSync(1, server.address().port + '\\n');
    readSync(0, Buffer.alloc(1));
  });
`;

/** Its `host:port`: whoever connects there gets no answer, neither a yes nor a no. */
export async function stalledServer(t: Pick<TestContext, 'after'>): Promise<string> {
  const child = spawn(process.execPath, ['-e', PROGRAM], { stdio: ['pipe', 'pipe', 'inherit'] });
  const exited = once(child, 'exit');
  t.after(() => {
    child.kill('SIGKILL');
    return exited;
  });
  const [line] = await once(createInterface({ input: child.stdout }), 'line');
  const port = Number(line);
  for (let queued = 0; queued <= BACKLOG; queued++) {
    const socket = connect(port, '127.0.0.1');
    await once(socket, 'connect');
    // It ends when the process is killed.
    socket.on('error', () => undefined);
  }
  return `127.0.0.1:${port}`;
}
