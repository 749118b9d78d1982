/** Target groups and their servers: between the vocabulary of the admin API and the domain's, both ways. */
import { parseHost } from '../domain/address.ts';
import { printable } from '../domain/checks.ts';
import { DEFAULT_GROUP, DEFAULT_OUTLIER_DETECTION, DEFAULT_QUEUE_TIMEOUT_MS } from '../domain/defaults.ts';
import { DomainError } from '../domain/errors.ts';
import {
  ALGORITHMS,
  type OutlierDetection,
  PROXY_PROTOCOL_VERSIONS,
  type Queue,
  SERVER_MODES,
  type ServerMode,
  type TargetGroup,
  type UpstreamServer,
  type UpstreamTls,
} from '../domain/model.ts';
import * as proto from '../gen/lb/admin/v1/admin.ts';
import { agentCheckFrom, agentCheckMessage, healthCheckFrom, healthCheckMessage } from './convert-checks.ts';
import { addressFrom, atMost, choiceFrom, durationMessage, msFrom, positiveMsFrom, required, unlessEmpty } from './convert-values.ts';

const ALGORITHM = {
  leastConnections: proto.Algorithm.LEAST_CONNECTIONS,
  weightedLeastConnections: proto.Algorithm.WEIGHTED_LEAST_CONNECTIONS,
  roundRobin: proto.Algorithm.ROUND_ROBIN,
  weightedRoundRobin: proto.Algorithm.WEIGHTED_ROUND_ROBIN,
  random: proto.Algorithm.RANDOM,
  powerOfTwoChoices: proto.Algorithm.POWER_OF_TWO_CHOICES,
  sourceHash: proto.Algorithm.SOURCE_HASH,
  clientHash: proto.Algorithm.CLIENT_HASH,
  leastLatency: proto.Algorithm.LEAST_LATENCY,
  resource: proto.Algorithm.RESOURCE,
} as const;

const SERVER_MODE = {
  ready: proto.ServerMode.READY,
  drain: proto.ServerMode.DRAIN,
  maintenance: proto.ServerMode.MAINTENANCE,
} as const;

const ON_UNHEALTHY_CHOICES = ['keep', 'close'] as const;
const ON_UNHEALTHY = { keep: proto.OnUnhealthy.KEEP, close: proto.OnUnhealthy.CLOSE } as const;

const PROXY_PROTOCOL = { v1: proto.ProxyProtocolVersion.V1, v2: proto.ProxyProtocolVersion.V2 } as const;

/** @throws DomainError `invalid` */
export function targetGroupFrom(group: proto.TargetGroup | undefined, at: string): TargetGroup {
  const { name, algorithm, healthCheck, connectTimeout, retries = 3, onUnhealthy, ...given } = required(group, at);
  const servers = given.servers.map((server, index) => upstreamServerFrom(server, `${at}.servers[${index}]`));
  const repeated = servers.findIndex(({ address }, index) => servers.findIndex((other) => other.address === address) < index);
  if (repeated >= 0)
    throw new DomainError('invalid', `${at}.servers[${repeated}].address`, `${servers[repeated]?.address} is listed twice`);
  return {
    name,
    algorithm: choiceFrom(ALGORITHMS, ALGORITHM, algorithm, 'leastConnections', `${at}.algorithm`),
    servers,
    healthCheck: healthCheckFrom(healthCheck, `${at}.healthCheck`),
    connectTimeoutMs: positiveMsFrom(connectTimeout, 5000, `${at}.connectTimeout`),
    retries: atMost(100, retries, `${at}.retries`),
    onUnhealthy: choiceFrom(ON_UNHEALTHY_CHOICES, ON_UNHEALTHY, onUnhealthy, 'keep', `${at}.onUnhealthy`),
    slowStartMs: msFrom(given.slowStart, `${at}.slowStart`) ?? DEFAULT_GROUP.slowStartMs,
    panicThreshold: atMost(100, given.panicThreshold, `${at}.panicThreshold`),
    outlierDetection: outlierDetectionFrom(given.outlierDetection, `${at}.outlierDetection`),
    queue: queueFrom(given.queue, `${at}.queue`),
    hashBalanceFactor: atMost(10_000, given.hashBalanceFactor ?? DEFAULT_GROUP.hashBalanceFactor, `${at}.hashBalanceFactor`),
    agentCheck: agentCheckFrom(given.agentCheck, `${at}.agentCheck`),
    rebalance: given.rebalance === undefined ? undefined : { perSecond: given.rebalance.perSecond },
    sendProxyProtocol: proxyProtocolFrom(given.sendProxyProtocol, `${at}.sendProxyProtocol`),
    upstreamTls: upstreamTlsFrom(given.upstreamTls, `${at}.upstreamTls`),
    resolveIntervalMs: positiveMsFrom(given.resolveInterval, DEFAULT_GROUP.resolveIntervalMs, `${at}.resolveInterval`),
  };
}

function outlierDetectionFrom(given: proto.OutlierDetection | undefined, at: string): OutlierDetection {
  const byDefault = DEFAULT_OUTLIER_DETECTION;
  return {
    consecutiveFailures: given?.consecutiveFailures ?? byDefault.consecutiveFailures,
    baseEjectionMs: positiveMsFrom(given?.baseEjectionTime, byDefault.baseEjectionMs, `${at}.baseEjectionTime`),
    maxEjectionMs: positiveMsFrom(given?.maxEjectionTime, byDefault.maxEjectionMs, `${at}.maxEjectionTime`),
    maxEjectionPercent: atMost(100, given?.maxEjectionPercent ?? byDefault.maxEjectionPercent, `${at}.maxEjectionPercent`),
  };
}

function queueFrom(given: proto.Queue | undefined, at: string): Queue | undefined {
  if (given === undefined) return undefined;
  return { maxLength: given.maxLength, timeoutMs: positiveMsFrom(given.timeout, DEFAULT_QUEUE_TIMEOUT_MS, `${at}.timeout`) };
}

function proxyProtocolFrom(version: proto.ProxyProtocolVersion, at: string): TargetGroup['sendProxyProtocol'] {
  return version === proto.ProxyProtocolVersion.UNSPECIFIED
    ? undefined
    : choiceFrom(PROXY_PROTOCOL_VERSIONS, PROXY_PROTOCOL, version, 'v2', at);
}

function upstreamTlsFrom(given: proto.UpstreamTls | undefined, at: string): UpstreamTls | undefined {
  if (given === undefined) return undefined;
  const { ca, serverName, certificate, privateKey, insecureSkipVerify } = given;
  for (const [key, file] of Object.entries({ ca, certificate, privateKey })) {
    if (file !== '' && !file.startsWith('/'))
      throw new DomainError('invalid', `${at}.${key}`, 'expected the absolute path of a file on the machine of lbd');
  }
  if ((certificate === '') !== (privateKey === ''))
    throw new DomainError('invalid', `${at}.privateKey`, 'give certificate and private_key together, or neither');
  return {
    ca: unlessEmpty(ca),
    serverName: serverName === '' ? undefined : hostFrom(serverName, `${at}.serverName`),
    clientCertificate: certificate === '' ? undefined : { certificate, privateKey },
    insecureSkipVerify,
  };
}

/** State may hold what an older version took, so this is asked of what is new alone. */
function hostFrom(text: string, at: string): string {
  const host = parseHost(text);
  if (host !== undefined) return host;
  throw new DomainError('invalid', at, `expected a host name such as "db.example.com", or an IP address, found "${printable(text)}"`);
}

/** @throws DomainError `invalid` */
export function upstreamServerFrom(server: proto.UpstreamServer | undefined, at: string): UpstreamServer {
  const { address, weight = 1, maxConnections, backup, mode } = required(server, at);
  return {
    address: addressFrom(address, `${at}.address`),
    weight: atMost(256, weight, `${at}.weight`),
    maxConnections: maxConnections === 0 ? undefined : maxConnections,
    backup,
    mode: choiceFrom(SERVER_MODES, SERVER_MODE, mode, 'ready', `${at}.mode`),
  };
}

/** undefined: as it is. @throws DomainError `invalid` */
export function serverModeFrom(mode: proto.ServerMode, at: string): ServerMode | undefined {
  return mode === proto.ServerMode.UNSPECIFIED ? undefined : choiceFrom(SERVER_MODES, SERVER_MODE, mode, 'ready', at);
}

export function targetGroupMessage(group: TargetGroup): proto.TargetGroup {
  const { queue, agentCheck, sendProxyProtocol, upstreamTls } = group;
  return {
    name: group.name,
    algorithm: ALGORITHM[group.algorithm],
    servers: group.servers.map(upstreamServerMessage),
    healthCheck: healthCheckMessage(group.healthCheck),
    connectTimeout: durationMessage(group.connectTimeoutMs),
    retries: group.retries,
    onUnhealthy: ON_UNHEALTHY[group.onUnhealthy],
    slowStart: durationMessage(group.slowStartMs),
    panicThreshold: group.panicThreshold,
    outlierDetection: outlierDetectionMessage(group.outlierDetection),
    queue: queue === undefined ? undefined : { maxLength: queue.maxLength, timeout: durationMessage(queue.timeoutMs) },
    hashBalanceFactor: group.hashBalanceFactor,
    agentCheck: agentCheck === undefined ? undefined : agentCheckMessage(agentCheck),
    rebalance: group.rebalance === undefined ? undefined : { ...group.rebalance },
    sendProxyProtocol: sendProxyProtocol === undefined ? proto.ProxyProtocolVersion.UNSPECIFIED : PROXY_PROTOCOL[sendProxyProtocol],
    upstreamTls: upstreamTls === undefined ? undefined : upstreamTlsMessage(upstreamTls),
    resolveInterval: durationMessage(group.resolveIntervalMs),
  };
}

function outlierDetectionMessage(outliers: OutlierDetection): proto.OutlierDetection {
  return {
    consecutiveFailures: outliers.consecutiveFailures,
    baseEjectionTime: durationMessage(outliers.baseEjectionMs),
    maxEjectionTime: durationMessage(outliers.maxEjectionMs),
    maxEjectionPercent: outliers.maxEjectionPercent,
  };
}

function upstreamTlsMessage({ ca = '', serverName = '', clientCertificate, insecureSkipVerify }: UpstreamTls): proto.UpstreamTls {
  return {
    ca,
    serverName,
    certificate: clientCertificate?.certificate ?? '',
    privateKey: clientCertificate?.privateKey ?? '',
    insecureSkipVerify,
  };
}

export function upstreamServerMessage({ address, weight, maxConnections = 0, backup, mode }: UpstreamServer): proto.UpstreamServer {
  return { address, weight, maxConnections, backup, mode: SERVER_MODE[mode] };
}
