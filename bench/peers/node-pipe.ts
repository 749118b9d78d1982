/** The least that Node.js can do: a TLS server that pipes each connection to a server. What lbd adds to it is lbd's. */
import path from 'node:path';
import { listening, type Peer } from './peer.ts';

export const nodePipe: Peer = {
  name: 'node-pipe',
  defences: [],
  version: () => `Node.js ${process.version}, OpenSSL ${process.versions.openssl}`,
  start: async ({ children, folder, certificates, port, servers, processors }) => {
    const { server, ca } = certificates;
    const args = [path.join(import.meta.dirname, 'node-pipe-server.ts'), String(port), server.certificate, server.key, ca, ...servers];
    return listening('node-pipe', children.start({ command: process.execPath, args, processors, cwd: folder }), port);
  },
};
