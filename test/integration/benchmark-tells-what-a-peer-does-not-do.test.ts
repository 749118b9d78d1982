/** Handshakes that a peer refuses, and sessions that it does not resume, are told instead of measured; and the others go on. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { makeCertificates } from '../../bench/certificates.ts';
import { Children } from '../../bench/children.ts';
import { measureHandshakes } from '../../bench/handshakes.ts';
import { Load, startServers } from '../../bench/load.ts';
import { nodePipe } from '../../bench/peers/node-pipe.ts';
import { listening, type Peer } from '../../bench/peers/peer.ts';
import { temporaryFolder } from '../support/temp-dir.ts';

/** Takes TLS 1.3 only, forgets its sessions, and answers what clients say itself. */
const PROGRAM = `
  const [port, cert, key] = process.argv.slice(1);
  const read = require('node:fs').readFileSync;
  const options = { cert: read(cert), key: read(key), minVersion: 'TLSv1.3', secureOptions: require('node:crypto').constants.SSL_OP_NO_TICKET };
  const server = require('node:tls').createServer(options, (socket) => socket.on('error', () => undefined).pipe(socket));
  server.listen(Number(port), '127.0.0.1');
`;

const choosy: Peer = {
  name: 'choosy',
  defences: [],
  resumes: false,
  version: () => '1.0',
  start: async ({ children, certificates: { server }, port, processors }) => {
    const args = ['-e', PROGRAM, String(port), server.certificate, server.key];
    return listening('choosy', children.start({ command: process.execPath, args, processors }), port);
  },
};

test('a peer that takes no TLS 1.2 and resumes nothing has a reason where others have a figure', async (t) => {
  const folder = await temporaryFolder(t);
  const children = new Children();
  t.after(() => children.close());
  const servers = await startServers(children, 1, undefined);
  const nothing = () => undefined;
  const pinning = { balancer: undefined, load: undefined };
  const stage = { children, pinning, folder, load: new Load(children, undefined), servers, warn: assert.fail, say: nothing };
  const costs = await measureHandshakes([nodePipe, choosy], stage, [await makeCertificates(folder, 'P-256')], 4);
  const told = costs.map(({ peer, tls, handshake, cpuMsPerConnection, reason }) =>
    [peer, tls, handshake, cpuMsPerConnection === null ? reason : 'measured'].join(' '),
  );
  assert.deepEqual(told.toSorted(), [
    'choosy TLSv1.2 full tlsv1 alert protocol version',
    'choosy TLSv1.2 resumed tlsv1 alert protocol version',
    'choosy TLSv1.3 full measured',
    'choosy TLSv1.3 resumed resumes none',
    'node-pipe TLSv1.2 full measured',
    'node-pipe TLSv1.2 resumed measured',
    'node-pipe TLSv1.3 full measured',
    'node-pipe TLSv1.3 resumed measured',
  ]);
});
