/** The program behind the peer `node-pipe`: PORT CERTIFICATE KEY CA tickets|no-tickets SERVER... */
import { constants } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { connect } from 'node:net';
import { createServer } from 'node:tls';
import { SUITES } from './peer.ts';

const [port = '', certificate = '', key = '', ca = '', tickets = '', ...servers] = process.argv.slice(2);
const targets = servers.map((server) => ({ host: server.split(':')[0] ?? '', port: Number(server.split(':')[1]), noDelay: true }));
let next = 0;

createServer(
  {
    cert: readFileSync(certificate),
    key: readFileSync(key),
    ca: readFileSync(ca),
    requestCert: true,
    ciphers: `${SUITES.tls13}:${SUITES.tls12}`,
    noDelay: true,
    ...(tickets === 'no-tickets' ? { secureOptions: constants.SSL_OP_NO_TICKET } : {}),
  },
  (client) => {
    const target = targets[next++ % targets.length];
    if (target === undefined) throw new Error('a pipe has a server to lead to');
    const server = connect(target);
    client.on('error', () => server.destroy()).on('close', () => server.destroy());
    server.on('error', () => client.destroy()).on('close', () => client.destroy());
    client.pipe(server);
    server.pipe(client);
  },
).listen(Number(port), '127.0.0.1', 4096);
