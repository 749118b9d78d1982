/** Valid pieces of state, to be varied. */
import { DEFAULT_GROUP, DEFAULT_SERVER, NO_LIMITS } from '../../../src/domain/defaults.ts';
import {
  ANY_NAME_MATCH,
  type Client,
  type ConnectionRate,
  type Listener,
  type TargetGroup,
  type UpstreamServer,
} from '../../../src/domain/model.ts';

export function upstream(address: string, changes: Partial<UpstreamServer> = {}): UpstreamServer {
  return { address, ...DEFAULT_SERVER, ...changes };
}

export function targetGroup(name: string, changes: Partial<TargetGroup> = {}): TargetGroup {
  return {
    name,
    servers: [upstream('127.0.0.1:8081')],
    ...DEFAULT_GROUP,
    ...changes,
  };
}

export function client(clientId: string, allowedTargetGroups: readonly string[], changes: Partial<Client> = {}): Client {
  return {
    clientId,
    match: ANY_NAME_MATCH,
    allowedTargetGroups,
    limits: NO_LIMITS,
    ...changes,
  };
}

export const RATE: ConnectionRate = { algorithm: 'fixedWindow', limit: 10, windowMs: 1000, burst: 10, action: 'reset', maxDelayMs: 5000 };

export function listener(name: string, changes: Partial<Listener> = {}): Listener {
  return {
    name,
    address: { host: '127.0.0.1', port: 0 },
    tls: {
      certificate: '/lb.crt',
      privateKey: '/lb.key',
      ocspResponse: undefined,
      certificates: [],
      caCert: '/ca.pem',
      crl: undefined,
      minVersion: 'TLSv1.2',
      ciphers: '',
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
