/** The least that Node.js can do: a TLS server that pipes each connection to a server. What lbd adds to it is lbd's. */
import path from 'node:path';
import { listening, type Peer } from './peer.ts';

export const nodePipe: Peer = {
  name: 'node-pipe',
  defences: [],
  resumes: true,
  version: () => `Node.js ${process.version}, OpenSSL ${process.versions.openssl}`,
  start: async ({ children, folder, certificates, port, servers, processors, resumption }) => {
    const { server, ca } = certificates;
    const program = path.join(import.meta.dirname, 'node-pipe-server.ts');
    const writes = resumption === 'nobody' ? 'no-tickets' : 'tickets';
    const args = [program, String(port), server.certificate, server.key, ca, writes, ...servers];
    return listening('node-pipe', children.start({ command: process.execPath, args, processors, cwd: folder }), port);
  },
};
