/** Pieces of state for tests: complete, valid, and different only where the test says so. */
import { DEFAULT_GROUP, DEFAULT_HEALTH_CHECK, DEFAULT_SERVER, NO_LIMITS } from '../../src/domain/defaults.ts';
import type { HealthCheck } from '../../src/domain/health-check.ts';
import { ANY_NAME_MATCH, type Client, type Listener, type TargetGroup, type UpstreamServer } from '../../src/domain/model.ts';

export const sampleHealthCheck: HealthCheck = DEFAULT_HEALTH_CHECK;

export function sampleServer(address: string, changes: Partial<UpstreamServer> = {}): UpstreamServer {
  return { address, ...DEFAULT_SERVER, ...changes };
}

export function sampleGroup(name: string, addresses: readonly string[] = [], changes: Partial<TargetGroup> = {}): TargetGroup {
  return {
    name,
    servers: addresses.map((address) => sampleServer(address)),
    ...DEFAULT_GROUP,
    ...changes,
  };
}

export function sampleClient(clientId: string, allowedTargetGroups: readonly string[], changes: Partial<Client> = {}): Client {
  return {
    clientId,
    match: ANY_NAME_MATCH,
    allowedTargetGroups,
    limits: NO_LIMITS,
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
      ocspResponse: undefined,
      certificates: [],
      caCert: '/etc/portcullis/rootCA.pem',
      crl: undefined,
      minVersion: 'TLSv1.2',
      ciphers: 'TLS_AES_128_GCM_SHA256:ECDHE-RSA-AES128-GCM-SHA256',
      sessionTickets: false,
    },
    alpn: [],
    acceptProxyProtocol: [],
    perAddress: undefined,
    targetGroup: undefined,
    routes: [],
    ...changes,
  };
}
