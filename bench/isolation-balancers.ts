/** The balancers that a flood is sent to: lbd and HAProxy, with and without bounds on the client that floods. */
import { freePort } from '../test/support/free-port.ts';
import { type CertificateFiles, CLIENT_NAME, STRANGER_NAME } from './certificates.ts';
import type { Child, Children } from './children.ts';
import { haproxy, startHaproxyWith } from './peers/haproxy.ts';
import { startLbdWith } from './peers/lbd.ts';

export interface Flooded {
  readonly name: string;
  readonly port: number;
  readonly child: Child;
}

/** host:port of the servers of either client. */
export interface TheirServers {
  readonly quiet: string;
  readonly loud: string;
}

interface Surroundings {
  readonly children: Children;
  readonly folder: string;
  readonly certificates: CertificateFiles;
  readonly processors: string | undefined;
  readonly servers: TheirServers;
}

/** The common names of the two clients, and what their target groups are called. */
const QUIET = CLIENT_NAME;
const LOUD = STRANGER_NAME;

const PER_ADDRESS = { connectionsPerSecond: 50, burst: 50, pendingHandshakes: 20, concurrentConnections: 150 };
const FLOODER_LIMITS = {
  connectionRate: { limit: 50, window: '1s' },
  concurrentConnections: 100,
  bandwidth: { upload: '4MiB', download: '4MiB' },
};

/** The daemon with one worker. */
export async function startLbd(bounded: boolean, { children, folder, certificates, processors, servers }: Surroundings): Promise<Flooded> {
  const port = await freePort();
  const tlsParams = { certificate: certificates.server.certificate, privateKey: certificates.server.key, caCert: certificates.ca };
  const config = {
    tlsParams,
    listeners: [{ name: 'main', address: `127.0.0.1:${port}`, tls: tlsParams, ...(bounded ? { perAddress: PER_ADDRESS } : {}) }],
    logLevel: 'error',
    workers: 1,
    admin: { address: '127.0.0.1:0' },
    store: { kind: 'memory' },
    targetGroups: [QUIET, LOUD].map((name) => ({
      name,
      healthCheck: { type: 'none' },
      upstreamServers: [name === QUIET ? servers.quiet : servers.loud],
    })),
    clients: [
      { clientId: QUIET, allowedTargetGroup: QUIET },
      { clientId: LOUD, allowedTargetGroup: LOUD, ...(bounded ? { limits: FLOODER_LIMITS } : {}) },
    ],
  };
  return { name: 'lbd', port, child: await startLbdWith(config, { children, folder, processors, port }) };
}

/** One thread; undefined where there is none. The bounds are those that version 2.6 has: on what an address holds and how fast it comes. */
export async function startHaproxy(bounded: boolean, surroundings: Surroundings): Promise<Flooded | undefined> {
  if (haproxy.version() === undefined) return undefined;
  const { children, folder, certificates, processors, servers } = surroundings;
  const port = await freePort();
  const { connectionsPerSecond, concurrentConnections } = PER_ADDRESS;
  const bounds = [
    '  stick-table type ip size 10k expire 10s store conn_rate(1s),conn_cur',
    '  tcp-request connection track-sc0 src',
    `  tcp-request connection reject if { sc0_conn_rate gt ${connectionsPerSecond} } || { sc0_conn_cur gt ${concurrentConnections} }`,
  ];
  const proxies = [
    'frontend clients',
    `  bind 127.0.0.1:${port} ssl crt ${certificates.server.both} ca-file ${certificates.ca} verify required ssl-min-ver TLSv1.2`,
    ...(bounded ? bounds : []),
    `  use_backend ${LOUD} if { ssl_c_s_dn(cn) ${LOUD} }`,
    `  default_backend ${QUIET}`,
    ...[QUIET, LOUD].flatMap((name) => [`backend ${name}`, `  server s ${name === QUIET ? servers.quiet : servers.loud}`]),
  ];
  return { name: 'HAProxy', port, child: await startHaproxyWith(proxies, { children, folder, processors, port }) };
}
