/**
 * THE mapping between the vocabulary of the admin API and the domain's, both ways. What comes in is checked and completed
 * with the defaults; whatever is wrong is a DomainError `invalid` whose field is the path in the request, in camelCase.
 */
import { parseAddress } from '../domain/address.ts';
import { DomainError } from '../domain/errors.ts';
import {
  ALGORITHMS,
  ANY_NAME_MATCH,
  type Client,
  type ConnectionRate,
  formatAddress,
  type HealthCheck,
  type HttpCheck,
  type IdentityMatch,
  RATE_ALGORITHMS,
  SERVER_MODES,
  type ServerMode,
  type TargetGroup,
  type UpstreamServer,
} from '../domain/model.ts';
import type { Duration } from '../gen/google/protobuf/duration.ts';
import * as proto from '../gen/lb/admin/v1/admin.ts';

const DAY_MS = 86_400_000;
const MAX_RATE_LIMIT = 1_000_000;

const ALGORITHM = {
  leastConnections: proto.Algorithm.LEAST_CONNECTIONS,
  weightedLeastConnections: proto.Algorithm.WEIGHTED_LEAST_CONNECTIONS,
  roundRobin: proto.Algorithm.ROUND_ROBIN,
  weightedRoundRobin: proto.Algorithm.WEIGHTED_ROUND_ROBIN,
  random: proto.Algorithm.RANDOM,
  powerOfTwoChoices: proto.Algorithm.POWER_OF_TWO_CHOICES,
} as const;

const SERVER_MODE = {
  ready: proto.ServerMode.READY,
  drain: proto.ServerMode.DRAIN,
  maintenance: proto.ServerMode.MAINTENANCE,
} as const;

const CLOSE_MODES = ['reset', 'drain'] as const;
const CLOSE_MODE = { reset: proto.CloseMode.RESET, drain: proto.CloseMode.DRAIN } as const;

/** How connections end that are no longer allowed; with `drain` they have until the deadline. */
export interface Closing {
  readonly mode: (typeof CLOSE_MODES)[number];
  readonly deadlineMs: number;
}

const ON_UNHEALTHY_CHOICES = ['keep', 'close'] as const;
const ON_UNHEALTHY = { keep: proto.OnUnhealthy.KEEP, close: proto.OnUnhealthy.CLOSE } as const;

const CHECK_TYPES = ['tcp', 'tls', 'http', 'none'] as const;
const CHECK_TYPE = {
  tcp: proto.CheckType.TCP,
  tls: proto.CheckType.TLS,
  http: proto.CheckType.HTTP,
  none: proto.CheckType.NONE,
} as const;

const RATE_ALGORITHM = {
  fixedWindow: proto.RateAlgorithm.FIXED_WINDOW,
  slidingWindowCounter: proto.RateAlgorithm.SLIDING_WINDOW_COUNTER,
  slidingWindowLog: proto.RateAlgorithm.SLIDING_WINDOW_LOG,
  tokenBucket: proto.RateAlgorithm.TOKEN_BUCKET,
  leakyBucket: proto.RateAlgorithm.LEAKY_BUCKET,
} as const;

const LIMIT_ACTIONS = ['reset', 'close', 'delay'] as const;
const LIMIT_ACTION = { reset: proto.LimitAction.RESET, close: proto.LimitAction.CLOSE, delay: proto.LimitAction.DELAY } as const;

// ---- In: requests to the domain

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
  };
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

/** How connections that are no longer allowed end. @throws DomainError `invalid` */
export function closingFrom(
  { mode, deadline }: { readonly mode: proto.CloseMode; readonly deadline: Duration | undefined },
  drainTimeoutMs: number,
): Closing {
  const chosen = choiceFrom(CLOSE_MODES, CLOSE_MODE, mode, 'reset', 'mode');
  if (chosen === 'drain') return { mode: chosen, deadlineMs: msFrom(deadline, 'deadline') ?? drainTimeoutMs };
  if (deadline !== undefined) throw new DomainError('invalid', 'deadline', 'a deadline is for the mode CLOSE_MODE_DRAIN only');
  return { mode: chosen, deadlineMs: 0 };
}

/** A SHA-256 fingerprint in lower-case hex digits without colons. @throws DomainError `invalid` */
export function fingerprintFrom(text: string, at: string): string {
  const hex = text.replaceAll(':', '').toLowerCase();
  if (/^[\da-f]{64}$/.test(hex)) return hex;
  throw new DomainError('invalid', at, 'a fingerprint is the SHA-256 of the certificate: 64 hex digits, with colons or without');
}

/** The address as the state writes it: a host name in lower case, IPv6 in brackets. @throws DomainError `invalid` */
export function addressFrom(text: string, at: string): string {
  const parsed = parseAddress(text);
  if ('problem' in parsed) throw new DomainError('invalid', at, parsed.problem);
  return formatAddress(parsed);
}

/** @throws DomainError `invalid` */
export function clientFrom(client: proto.Client | undefined, at: string): Client {
  const { clientId, match, allowedTargetGroups, limits } = required(client, at);
  const concurrentConnections = limits?.concurrentConnections ?? 0;
  return {
    clientId,
    match: match === undefined ? ANY_NAME_MATCH : matchFrom(match, `${at}.match`),
    allowedTargetGroups: [...new Set(allowedTargetGroups)],
    limits: {
      connectionRate: connectionRateFrom(limits?.connectionRate, `${at}.limits.connectionRate`),
      concurrentConnections: concurrentConnections === 0 ? undefined : concurrentConnections,
    },
  };
}

/** A duration of 0 or more; `undefined` when it was left out. @throws DomainError `invalid` */
export function msFrom(duration: Duration | undefined, at: string): number | undefined {
  if (duration === undefined) return undefined;
  const ms = Number(duration.seconds) * 1000 + duration.nanos / 1e6;
  if (ms < 0 || ms > DAY_MS) throw new DomainError('invalid', at, `${ms / 1000} s is not a duration from 0 s to 24 h`);
  return Math.ceil(ms);
}

function positiveMsFrom(duration: Duration | undefined, byDefault: number, at: string): number {
  const ms = msFrom(duration, at) ?? byDefault;
  if (ms === 0) throw new DomainError('invalid', at, 'the duration must be longer than 0 s; leave it out for the default');
  return ms;
}

function healthCheckFrom(check: proto.HealthCheck | undefined, at: string): HealthCheck {
  const type = choiceFrom(CHECK_TYPES, CHECK_TYPE, check?.type ?? proto.CheckType.UNSPECIFIED, 'tcp', `${at}.type`);
  if (check?.http !== undefined && type !== 'http')
    throw new DomainError('invalid', `${at}.http`, 'http is for the type CHECK_TYPE_HTTP only');
  const intervalMs = positiveMsFrom(check?.interval, 5000, `${at}.interval`);
  return {
    type,
    intervalMs,
    timeoutMs: positiveMsFrom(check?.timeout, 5000, `${at}.timeout`),
    unhealthyThreshold: orDefault(check?.unhealthyThreshold, 1),
    healthyThreshold: orDefault(check?.healthyThreshold, 3),
    maxIntervalMs: positiveMsFrom(check?.maxInterval, Math.max(60_000, intervalMs), `${at}.maxInterval`),
    http: type === 'http' ? httpCheckFrom(check?.http, `${at}.http`) : undefined,
  };
}

function httpCheckFrom(http: proto.HttpCheck | undefined, at: string): HttpCheck {
  const path = http?.path === undefined || http.path === '' ? '/' : http.path;
  // The probe writes both into a request: nothing in them may end the line.
  if (!/^\/[\x21-\x7e]{0,2047}$/.test(path))
    throw new DomainError('invalid', `${at}.path`, 'the path begins with / and has no spaces or control characters');
  const host = http?.host === undefined || http.host === '' ? undefined : http.host;
  if (host !== undefined && !/^[\w.:[\]-]{1,255}$/.test(host))
    throw new DomainError('invalid', `${at}.host`, 'expected a host name, with :port or without');
  const statusFrom = orDefault(http?.statusFrom, 200);
  const statusTo = orDefault(http?.statusTo, Math.max(399, statusFrom));
  if (statusFrom < 100 || statusTo > 599 || statusFrom > statusTo) {
    throw new DomainError('invalid', `${at}.statusFrom`, `${statusFrom} to ${statusTo} is not a range of status codes within 100 to 599`);
  }
  return { path, host, statusFrom, statusTo };
}

function matchFrom({ cn, dns, uri, ou, fingerprint }: proto.IdentityMatch, at: string): IdentityMatch {
  return {
    cn: unlessEmpty(cn),
    dns: unlessEmpty(dns.toLowerCase()),
    uri: unlessEmpty(uri),
    ou: unlessEmpty(ou),
    fingerprint: fingerprint === '' ? undefined : fingerprintFrom(fingerprint, `${at}.fingerprint`),
  };
}

function connectionRateFrom(rate: proto.ConnectionRate | undefined, at: string): ConnectionRate | undefined {
  if (rate === undefined) return undefined;
  if (rate.limit === 0) throw new DomainError('invalid', `${at}.limit`, 'the limit is at least 1 connection a window');
  const limit = atMost(MAX_RATE_LIMIT, rate.limit, `${at}.limit`);
  return {
    algorithm: choiceFrom(RATE_ALGORITHMS, RATE_ALGORITHM, rate.algorithm, 'fixedWindow', `${at}.algorithm`),
    limit,
    windowMs: positiveMsFrom(rate.window, 1000, `${at}.window`),
    burst: atMost(MAX_RATE_LIMIT, orDefault(rate.burst, limit), `${at}.burst`),
    action: choiceFrom(LIMIT_ACTIONS, LIMIT_ACTION, rate.action, 'reset', `${at}.action`),
    maxDelayMs: positiveMsFrom(rate.maxDelay, 5000, `${at}.maxDelay`),
  };
}

function required<T>(value: T | undefined, at: string): T {
  if (value === undefined) throw new DomainError('invalid', at, 'this field is required');
  return value;
}

function orDefault(value: number | undefined, byDefault: number): number {
  return value === undefined || value === 0 ? byDefault : value;
}

function unlessEmpty(text: string): string | undefined {
  return text === '' ? undefined : text;
}

function atMost(max: number, value: number, at: string): number {
  if (value > max) throw new DomainError('invalid', at, `${value} is more than ${max}`);
  return value;
}

/** The domain's word for an enum value: the default for UNSPECIFIED, refused when this server does not know the number. */
function choiceFrom<D extends string>(
  choices: readonly D[],
  table: Readonly<Record<D, string>>,
  value: string,
  byDefault: D,
  at: string,
): D {
  if (value.endsWith('_UNSPECIFIED')) return byDefault;
  const choice = choices.find((each) => table[each] === value);
  if (choice === undefined) throw new DomainError('invalid', at, `expected one of ${choices.map((each) => table[each]).join(', ')}`);
  return choice;
}

// ---- Out: the domain to messages

export function targetGroupMessage(group: TargetGroup): proto.TargetGroup {
  return {
    name: group.name,
    algorithm: ALGORITHM[group.algorithm],
    servers: group.servers.map(upstreamServerMessage),
    healthCheck: healthCheckMessage(group.healthCheck),
    connectTimeout: durationMessage(group.connectTimeoutMs),
    retries: group.retries,
    onUnhealthy: ON_UNHEALTHY[group.onUnhealthy],
  };
}

export function upstreamServerMessage({ address, weight, maxConnections = 0, backup, mode }: UpstreamServer): proto.UpstreamServer {
  return { address, weight, maxConnections, backup, mode: SERVER_MODE[mode] };
}

export function clientMessage({ clientId, match, allowedTargetGroups, limits }: Client): proto.Client {
  const { cn = '', dns = '', uri = '', ou = '', fingerprint = '' } = match;
  const anyName = cn + dns + uri + ou + fingerprint === '';
  const { connectionRate, concurrentConnections = 0 } = limits;
  return {
    clientId,
    match: anyName ? undefined : { cn, dns, uri, ou, fingerprint },
    allowedTargetGroups: [...allowedTargetGroups],
    limits: {
      connectionRate: connectionRate === undefined ? undefined : connectionRateMessage(connectionRate),
      concurrentConnections,
    },
  };
}

export function durationMessage(ms: number): Duration {
  const seconds = Math.trunc(ms / 1000);
  return { seconds: BigInt(seconds), nanos: Math.round((ms - seconds * 1000) * 1e6) };
}

function healthCheckMessage(check: HealthCheck): proto.HealthCheck {
  return {
    type: CHECK_TYPE[check.type],
    interval: durationMessage(check.intervalMs),
    timeout: durationMessage(check.timeoutMs),
    unhealthyThreshold: check.unhealthyThreshold,
    healthyThreshold: check.healthyThreshold,
    maxInterval: durationMessage(check.maxIntervalMs),
    http: check.http === undefined ? undefined : { ...check.http, host: check.http.host ?? '' },
  };
}

function connectionRateMessage(rate: ConnectionRate): proto.ConnectionRate {
  return {
    algorithm: RATE_ALGORITHM[rate.algorithm],
    limit: rate.limit,
    window: durationMessage(rate.windowMs),
    burst: rate.burst,
    action: LIMIT_ACTION[rate.action],
    maxDelay: durationMessage(rate.maxDelayMs),
  };
}
