/** Envoy as a TCP proxy, one worker thread. */
import { spawnSync } from 'node:child_process';
import { writeFile } from 'node:fs/promises';
import path from 'node:path';
import { GROUPS, listening, type Peer, SUITES } from './peer.ts';

export const envoy: Peer = {
  name: 'envoy',
  defences: [],
  resumes: true,
  version: () => {
    const { status, stdout } = spawnSync('envoy', ['--version'], { encoding: 'utf8' });
    return status === 0 ? (/version: \w+\/([^/]+)\/\w+\/\w+\/(\w+)/.exec(stdout)?.slice(1).join(', ') ?? 'unknown') : undefined;
  },
  start: async ({ children, folder, certificates, port, servers, processors, resumption }) => {
    const file = path.join(folder, 'envoy.json');
    const at = (address: string) => {
      const [host = '', number = ''] = address.split(':');
      return { socket_address: { address: host, port_value: Number(number) } };
    };
    const tls = {
      '@type': 'type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.DownstreamTlsContext',
      require_client_certificate: true,
      disable_stateless_session_resumption: resumption === 'nobody',
      disable_stateful_session_resumption: resumption === 'nobody',
      common_tls_context: {
        tls_params: {
          tls_minimum_protocol_version: 'TLSv1_2',
          tls_maximum_protocol_version: 'TLSv1_3',
          cipher_suites: SUITES.tls12.split(':'),
          ecdh_curves: GROUPS.split(':'),
        },
        tls_certificates: [
          { certificate_chain: { filename: certificates.server.certificate }, private_key: { filename: certificates.server.key } },
        ],
        validation_context: { trusted_ca: { filename: certificates.ca } },
      },
    };
    const proxy = {
      '@type': 'type.googleapis.com/envoy.extensions.filters.network.tcp_proxy.v3.TcpProxy',
      stat_prefix: 'clients',
      cluster: 'servers',
    };
    const config = {
      static_resources: {
        listeners: [
          {
            name: 'clients',
            address: at(`127.0.0.1:${port}`),
            filter_chains: [
              {
                transport_socket: { name: 'envoy.transport_sockets.tls', typed_config: tls },
                filters: [{ name: 'envoy.filters.network.tcp_proxy', typed_config: proxy }],
              },
            ],
          },
        ],
        clusters: [
          {
            name: 'servers',
            type: 'STATIC',
            lb_policy: 'LEAST_REQUEST',
            // Envoy allows 1,024 connections unless told.
            circuit_breakers: { thresholds: [{ max_connections: 100_000, max_pending_requests: 100_000, max_requests: 100_000 }] },
            load_assignment: {
              cluster_name: 'servers',
              endpoints: [{ lb_endpoints: servers.map((server) => ({ endpoint: { address: at(server) } })) }],
            },
          },
        ],
      },
    };
    await writeFile(file, JSON.stringify(config));
    const args = ['--config-path', file, '--concurrency', '1', '--disable-hot-restart', '--log-level', 'error'];
    return listening('envoy', children.start({ command: 'envoy', args, processors, cwd: folder }), port);
  },
};
