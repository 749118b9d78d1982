/** Portcullis: the real daemon, started by the launcher that users start it by, on the Node.js that runs the benchmark. */
import { readFileSync } from 'node:fs';
import { writeFile } from 'node:fs/promises';
import path from 'node:path';
import { CLIENT_NAME } from '../certificates.ts';
import type { Child } from '../children.ts';
import { type Defence, listening, type Peer, SUITES, type Surroundings } from './peer.ts';

const ROOT = path.join(import.meta.dirname, '../..');

/** What the scale part changes of the daemon. */
export interface LbdSettings {
  readonly workers: number;
  /** How many clients the state has; the load is always the first. */
  readonly clients: number;
  /** Milliseconds between two TCP probes of a server; undefined: none. */
  readonly probeEveryMs: number | undefined;
}

export const LBD_SETTINGS: LbdSettings = { workers: 1, clients: 1, probeEveryMs: undefined };

export const lbd: Peer = {
  name: 'lbd',
  defences: ['strangers', 'addresses'],
  resumes: false,
  version: () => {
    const manifest: unknown = JSON.parse(readFileSync(path.join(ROOT, 'package.json'), 'utf8'));
    const version = typeof manifest === 'object' && manifest !== null && 'version' in manifest ? String(manifest.version) : 'unknown';
    return `${version}, Node.js ${process.version}, OpenSSL ${process.versions.openssl}`;
  },
  start: (surroundings) => startLbd(surroundings, LBD_SETTINGS),
};

/** It always knows its clients by name; addresses are guarded only where that is asked for. */
const GUARDED: Partial<Record<Defence, object>> = { addresses: { perAddress: { connectionsPerSecond: 1, burst: 1 } } };

/** Starts the daemon. The peers log no connections in their default form, and none that they refuse: so it logs neither. */
export async function startLbd(
  { children, folder, certificates, port, servers, processors, resumption, defence }: Surroundings,
  { workers, clients, probeEveryMs }: LbdSettings,
): Promise<Child> {
  const tlsParams = { certificate: certificates.server.certificate, privateKey: certificates.server.key, caCert: certificates.ca };
  const group = {
    name: 'backends',
    healthCheck:
      probeEveryMs === undefined ? { type: 'none' } : { type: 'tcp', interval: `${probeEveryMs}ms`, timeout: `${probeEveryMs}ms` },
    upstreamServers: servers,
  };
  const config = {
    listeners: [{ name: 'main', address: `127.0.0.1:${port}`, ...(defence === undefined ? {} : GUARDED[defence]) }],
    tlsParams: { ...tlsParams, ciphers: `${SUITES.tls13}:${SUITES.tls12}`, sessionTickets: resumption === 'everybody' },
    logLevel: 'error',
    workers,
    admin: { address: '127.0.0.1:0' },
    store: { kind: 'memory' },
    targetGroups: [group],
    clients: Array.from({ length: clients }, (_, index) => ({
      clientId: index === 0 ? CLIENT_NAME : `client-${index}`,
      allowedTargetGroup: group.name,
    })),
  };
  return startLbdWith(config, { children, folder, processors, port });
}

/** Starts the daemon with this configuration; resolves when it listens on the port. */
export async function startLbdWith(
  config: object,
  { children, folder, processors, port }: Pick<Surroundings, 'children' | 'folder' | 'processors' | 'port'>,
): Promise<Child> {
  const file = path.join(folder, 'lb.yaml');
  await writeFile(file, JSON.stringify(config));
  const args = [path.join(ROOT, 'bin/lbd.cjs'), 'start', '--config', file];
  return listening('lbd', children.start({ command: process.execPath, args, processors, cwd: folder }), port);
}
