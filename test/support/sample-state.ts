/** Pieces of state for tests: complete, valid, and different only where the test says so. */
import {
  ANY_NAME_MATCH,
  type Client,
  type HealthCheck,
  type Listener,
  type TargetGroup,
  type UpstreamServer,
} from '../../src/domain/model.ts';

export const sampleHealthCheck: HealthCheck = {
  type: 'tcp',
  intervalMs: 5000,
  timeoutMs: 5000,
  unhealthyThreshold: 1,
  healthyThreshold: 3,
  maxIntervalMs: 60_000,
  http: undefined,
};

export function sampleServer(address: string, changes: Partial<UpstreamServer> = {}): UpstreamServer {
  return { address, weight: 1, maxConnections: undefined, backup: false, mode: 'ready', ...changes };
}

export function sampleGroup(name: string, addresses: readonly string[] = [], changes: Partial<TargetGroup> = {}): TargetGroup {
  return {
    name,
    algorithm: 'leastConnections',
    servers: addresses.map((address) => sampleServer(address)),
    healthCheck: sampleHealthCheck,
    connectTimeoutMs: 5000,
    retries: 3,
    onUnhealthy: 'keep',
    ...changes,
  };
}

export function sampleClient(clientId: string, allowedTargetGroups: readonly string[], changes: Partial<Client> = {}): Client {
  return {
    clientId,
    match: ANY_NAME_MATCH,
    allowedTargetGroups,
    limits: { connectionRate: undefined, concurrentConnections: undefined },
    ...changes,
  };
}

export function sampleListener(name: string, changes: Partial<Listener> = {}): Listener {
  return {
    name,
    address: { host: '127.0.0.1', port: 8080 },
    tls: {
      certificate: '/etc/portcullis/loadbalancer.crt',
      privateKey: '/etc/portcullis/loadbalancer.key',
      caCert: '/etc/portcullis/rootCA.pem',
      crl: undefined,
      minVersion: 'TLSv1.2',
      ciphers: 'TLS_AES_128_GCM_SHA256:ECDHE-RSA-AES128-GCM-SHA256',
    },
    targetGroup: undefined,
    routes: [],
    ...changes,
  };
}
