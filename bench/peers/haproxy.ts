/** HAProxy in TCP mode, one thread, `verify required`. */
import { spawnSync } from 'node:child_process';
import { writeFile } from 'node:fs/promises';
import path from 'node:path';
import { CLIENT_NAME } from '../certificates.ts';
import type { Child } from '../children.ts';
import { type Defence, GROUPS, listening, type Peer, SUITES, type Surroundings } from './peer.ts';

/** Each as early as it can be: `session` is right after the handshake, `connection` before it. */
const REJECTING: Readonly<Record<Defence, readonly string[]>> = {
  strangers: [`  tcp-request session reject unless { ssl_c_s_dn(cn) -m str ${CLIENT_NAME} }`],
  addresses: [
    '  stick-table type ip size 100k expire 30s store conn_rate(1s)',
    '  tcp-request connection track-sc0 src',
    '  tcp-request connection reject if { sc0_conn_rate gt 1 }',
  ],
};

export const haproxy: Peer = {
  name: 'haproxy',
  defences: ['strangers', 'addresses'],
  resumes: true,
  version: () => {
    const { status, stdout } = spawnSync('haproxy', ['-vv'], { encoding: 'utf8' });
    if (status !== 0) return undefined;
    const version = /version (\S+)/.exec(stdout)?.[1] ?? 'unknown';
    return `${version}, ${/Running on OpenSSL version : (OpenSSL \S+)/.exec(stdout)?.[1] ?? 'unknown TLS library'}`;
  },
  start: async ({ children, folder, certificates, port, servers, processors, resumption, defence }) => {
    const tls = [
      `ssl crt ${certificates.server.both} ca-file ${certificates.ca} verify required ssl-min-ver TLSv1.2`,
      `ciphersuites ${SUITES.tls13} ciphers ${SUITES.tls12} curves ${GROUPS}`,
      ...(resumption === 'nobody' ? ['no-tls-tickets'] : []),
    ];
    // It keeps sessions itself for whom it writes no tickets.
    const sessions = resumption === 'nobody' ? ['  tune.ssl.cachesize 0'] : [];
    const proxies = [
      'frontend clients',
      `  bind 127.0.0.1:${port} ${tls.join(' ')}`,
      ...(defence === undefined ? [] : REJECTING[defence]),
      '  default_backend servers',
      'backend servers',
      '  balance leastconn',
      ...servers.map((server, index) => `  server s${index} ${server}`),
    ];
    return startHaproxyWith(proxies, { children, folder, processors, port }, sessions);
  },
};

/** Starts HAProxy with these lines of frontends and backends, and of `global`, in TCP mode with one thread; resolves when it listens on the port. */
export async function startHaproxyWith(
  proxies: readonly string[],
  { children, folder, processors, port }: Pick<Surroundings, 'children' | 'folder' | 'processors' | 'port'>,
  global: readonly string[] = [],
): Promise<Child> {
  const common = [
    'global',
    '  nbthread 1',
    ...global,
    'defaults',
    '  mode tcp',
    '  timeout connect 5s',
    '  timeout client 1h',
    '  timeout server 1h',
  ];
  const file = path.join(folder, 'haproxy.cfg');
  await writeFile(file, `${[...common, ...proxies].join('\n')}\n`);
  const child = children.start({ command: 'haproxy', args: ['-db', '-f', file], processors, cwd: folder });
  return listening('haproxy', child, port);
}
