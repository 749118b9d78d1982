/**
 * What the state consists of, as it is stored: how each entry is read from JSON. A field that came later has a default here, for states
 * that were written before it.
 */
import {
  DEFAULT_GROUP,
  DEFAULT_HASH_BALANCE_FACTOR,
  DEFAULT_OUTLIER_DETECTION,
  DEFAULT_RESOLVE_INTERVAL_MS,
} from '../../domain/defaults.ts';
import { CHECK_TYPES, type GrpcCheck, type HealthCheck, type HttpCheck, type SendExpectCheck } from '../../domain/health-check.ts';
import {
  type Address,
  type AddressGuard,
  type AgentCheck,
  ALGORITHMS,
  type Bandwidth,
  type Client,
  type ConnectionRate,
  type IdentityMatch,
  type Limits,
  type Listener,
  type OutlierDetection,
  PROXY_PROTOCOL_VERSIONS,
  type Queue,
  RATE_ALGORITHMS,
  type Rebalance,
  type Revocation,
  type Route,
  SERVER_MODES,
  type TargetGroup,
  type UpstreamServer,
  type UpstreamTls,
} from '../../domain/model.ts';
import type { KeyPairFiles, ServedKeyPairFiles, TlsParams } from '../../domain/tls-material.ts';
import { flag, list, object, oneOf, optional, orElse, text, whole } from './decode.ts';

const address = object<Address>({ host: text, port: whole });

const keyPairFiles = object<KeyPairFiles>({ certificate: text, privateKey: text });

const servedKeyPairFiles = object<ServedKeyPairFiles>({ certificate: text, privateKey: text, ocspResponse: optional(text) });

const tlsParams = object<TlsParams>({
  certificate: text,
  privateKey: text,
  ocspResponse: optional(text),
  certificates: orElse(list(servedKeyPairFiles), []),
  caCert: text,
  crl: optional(text),
  minVersion: oneOf(['TLSv1.2', 'TLSv1.3']),
  ciphers: text,
  sessionTickets: orElse(flag, false),
});

const addressGuard = object<AddressGuard>({
  connectionsPerSecond: optional(whole),
  burst: whole,
  pendingHandshakes: optional(whole),
  concurrentConnections: optional(whole),
});

const route = object<Route>({ sni: optional(text), alpn: optional(text), targetGroup: text });

/** A listener as it is stored. */
export const listener = object<Listener>({
  name: text,
  address,
  tls: optional(tlsParams),
  alpn: orElse(list(text), []),
  acceptProxyProtocol: orElse(list(text), []),
  perAddress: optional(addressGuard),
  targetGroup: optional(text),
  routes: list(route),
});

/** An upstream server as it is stored. */
export const server = object<UpstreamServer>({
  address: text,
  weight: whole,
  maxConnections: optional(whole),
  backup: flag,
  mode: orElse(oneOf(SERVER_MODES), 'ready'),
});

const httpCheck = object<HttpCheck>({ path: text, host: optional(text), statusFrom: whole, statusTo: whole, body: optional(text) });
const grpcCheck = object<GrpcCheck>({ service: text, authority: optional(text) });
const sendExpectCheck = object<SendExpectCheck>({ send: text, expect: text });

const healthCheck = object<HealthCheck>({
  type: oneOf(CHECK_TYPES),
  intervalMs: whole,
  timeoutMs: whole,
  unhealthyThreshold: whole,
  healthyThreshold: whole,
  maxIntervalMs: whole,
  http: optional(httpCheck),
  grpc: optional(grpcCheck),
  sendExpect: optional(sendExpectCheck),
});

const outlierDetection = object<OutlierDetection>({
  consecutiveFailures: whole,
  baseEjectionMs: whole,
  maxEjectionMs: whole,
  maxEjectionPercent: whole,
});
const queue = object<Queue>({ maxLength: whole, timeoutMs: whole });
const agentCheck = object<AgentCheck>({ port: whole, intervalMs: whole, timeoutMs: whole });
const rebalance = object<Rebalance>({ perSecond: whole });
const upstreamTls = object<UpstreamTls>({
  ca: optional(text),
  serverName: optional(text),
  clientCertificate: optional(keyPairFiles),
  insecureSkipVerify: flag,
});

/** A target group as it is stored. */
export const group = object<TargetGroup>({
  name: text,
  algorithm: oneOf(ALGORITHMS),
  servers: list(server),
  healthCheck,
  connectTimeoutMs: whole,
  retries: whole,
  onUnhealthy: oneOf(['keep', 'close']),
  slowStartMs: orElse(whole, DEFAULT_GROUP.slowStartMs),
  panicThreshold: orElse(whole, DEFAULT_GROUP.panicThreshold),
  outlierDetection: orElse(outlierDetection, DEFAULT_OUTLIER_DETECTION),
  queue: optional(queue),
  hashBalanceFactor: orElse(whole, DEFAULT_HASH_BALANCE_FACTOR),
  agentCheck: optional(agentCheck),
  rebalance: optional(rebalance),
  sendProxyProtocol: optional(oneOf(PROXY_PROTOCOL_VERSIONS)),
  upstreamTls: optional(upstreamTls),
  resolveIntervalMs: orElse(whole, DEFAULT_RESOLVE_INTERVAL_MS),
});

const match = object<IdentityMatch>({
  cn: optional(text),
  dns: optional(text),
  uri: optional(text),
  ou: optional(text),
  fingerprint: optional(text),
  cidr: optional(text),
});

const connectionRate = object<ConnectionRate>({
  algorithm: oneOf(RATE_ALGORITHMS),
  limit: whole,
  windowMs: whole,
  burst: optional(whole),
  action: oneOf(['reset', 'close', 'delay']),
  maxDelayMs: whole,
});

const bandwidth = object<Bandwidth>({ uploadBytesPerSecond: optional(whole), downloadBytesPerSecond: optional(whole) });

const limits = object<Limits>({
  connectionRate: optional(connectionRate),
  concurrentConnections: optional(whole),
  bandwidth: optional(bandwidth),
  shadow: orElse(flag, false),
});

/** A client as it is stored. */
export const client = object<Client>({ clientId: text, match, allowedTargetGroups: list(text), limits });

/** A certificate revoked at run time, as it is stored. */
export const revocation = object<Revocation>({ fingerprint: text, comment: text, atMs: whole });
