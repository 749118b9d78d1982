/** Valid pieces of state, to be varied. */
import {
  ANY_NAME_MATCH,
  type Client,
  type ConnectionRate,
  type Listener,
  type TargetGroup,
  type UpstreamServer,
} from '../../../src/domain/model.ts';

export function upstream(address: string, changes: Partial<UpstreamServer> = {}): UpstreamServer {
  return { address, weight: 1, maxConnections: undefined, backup: false, mode: 'ready', ...changes };
}

export function targetGroup(name: string, changes: Partial<TargetGroup> = {}): TargetGroup {
  return {
    name,
    algorithm: 'leastConnections',
    servers: [upstream('127.0.0.1:8081')],
    healthCheck: {
      type: 'tcp',
      intervalMs: 5000,
      timeoutMs: 5000,
      unhealthyThreshold: 1,
      healthyThreshold: 3,
      maxIntervalMs: 60_000,
      http: undefined,
    },
    connectTimeoutMs: 5000,
    retries: 3,
    onUnhealthy: 'keep',
    ...changes,
  };
}

export function client(clientId: string, allowedTargetGroups: readonly string[], changes: Partial<Client> = {}): Client {
  return {
    clientId,
    match: ANY_NAME_MATCH,
    allowedTargetGroups,
    limits: { connectionRate: undefined, concurrentConnections: undefined },
    ...changes,
  };
}

export const RATE: ConnectionRate = { algorithm: 'fixedWindow', limit: 10, windowMs: 1000, burst: 10, action: 'reset', maxDelayMs: 5000 };

export function listener(name: string, changes: Partial<Listener> = {}): Listener {
  return {
    name,
    address: { host: '127.0.0.1', port: 0 },
    tls: { certificate: '/lb.crt', privateKey: '/lb.key', caCert: '/ca.pem', crl: undefined, minVersion: 'TLSv1.2', ciphers: '' },
    targetGroup: undefined,
    routes: [],
    ...changes,
  };
}
