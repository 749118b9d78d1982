/**
 * Clients: THE mapping between the vocabulary of the admin API and the domain's, both ways, as convert-groups.ts is for groups.
 * What comes in is checked and completed with the defaults; whatever is wrong is a DomainError `invalid` whose field is the path
 * in the request, in camelCase.
 */
import { MAX_BANDWIDTH } from '../domain/checks.ts';
import { DomainError } from '../domain/errors.ts';
import {
  ANY_NAME_MATCH,
  type Bandwidth,
  type Client,
  type ConnectionRate,
  type IdentityMatch,
  type Limits,
  RATE_ALGORITHMS,
} from '../domain/model.ts';
import type { Duration } from '../gen/google/protobuf/duration.ts';
import * as proto from '../gen/lb/admin/v1/admin.ts';
import { atMost, choiceFrom, durationMessage, fingerprintFrom, msFrom, positiveMsFrom, required, unlessEmpty } from './convert-values.ts';

const MAX_RATE_LIMIT = 1_000_000;

const CLOSE_MODES = ['reset', 'drain'] as const;
const CLOSE_MODE = { reset: proto.CloseMode.RESET, drain: proto.CloseMode.DRAIN } as const;

/** How connections end that are no longer allowed; with `drain` they have until the deadline. */
export interface Closing {
  readonly mode: (typeof CLOSE_MODES)[number];
  readonly deadlineMs: number;
}

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

/** @throws DomainError `invalid` */
export function clientFrom(client: proto.Client | undefined, at: string): Client {
  const { clientId, match, allowedTargetGroups, limits } = required(client, at);
  return {
    clientId,
    match: match === undefined ? ANY_NAME_MATCH : matchFrom(match, `${at}.match`),
    allowedTargetGroups: [...new Set(allowedTargetGroups)],
    limits: limitsFrom(limits, `${at}.limits`),
  };
}

function limitsFrom(limits: proto.Limits | undefined, at: string): Limits {
  const concurrentConnections = limits?.concurrentConnections ?? 0;
  return {
    connectionRate: connectionRateFrom(limits?.connectionRate, `${at}.connectionRate`),
    concurrentConnections: concurrentConnections === 0 ? undefined : concurrentConnections,
    bandwidth: bandwidthFrom(limits?.bandwidth, `${at}.bandwidth`),
    shadow: limits?.shadow ?? false,
  };
}

function bandwidthFrom(bandwidth: proto.Bandwidth | undefined, at: string): Bandwidth | undefined {
  const { upload, download } = bandwidth ?? { upload: 0n, download: 0n };
  if (upload === 0n && download === 0n) return undefined;
  const rateOf = (bytes: bigint, field: string) => (bytes === 0n ? undefined : Number(atMost(MAX_BANDWIDTH, bytes, `${at}.${field}`)));
  return { uploadBytesPerSecond: rateOf(upload, 'upload'), downloadBytesPerSecond: rateOf(download, 'download') };
}

function matchFrom({ cn, dns, uri, ou, fingerprint, cidr }: proto.IdentityMatch, at: string): IdentityMatch {
  return {
    cn: unlessEmpty(cn),
    dns: unlessEmpty(dns.toLowerCase()),
    uri: unlessEmpty(uri),
    ou: unlessEmpty(ou),
    fingerprint: fingerprint === '' ? undefined : fingerprintFrom(fingerprint, `${at}.fingerprint`),
    cidr: unlessEmpty(cidr.toLowerCase()),
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
    burst: rate.burst === 0 ? undefined : atMost(MAX_RATE_LIMIT, rate.burst, `${at}.burst`),
    action: choiceFrom(LIMIT_ACTIONS, LIMIT_ACTION, rate.action, 'reset', `${at}.action`),
    maxDelayMs: msFrom(rate.maxDelay, `${at}.maxDelay`) ?? 5000,
  };
}

// ---- Out: the domain to messages

export function clientMessage({ clientId, match, allowedTargetGroups, limits }: Client): proto.Client {
  const { cn = '', dns = '', uri = '', ou = '', fingerprint = '', cidr = '' } = match;
  const anyName = cn + dns + uri + ou + fingerprint + cidr === '';
  const { connectionRate, concurrentConnections = 0, bandwidth, shadow } = limits;
  return {
    clientId,
    match: anyName ? undefined : { cn, dns, uri, ou, fingerprint, cidr },
    allowedTargetGroups: [...allowedTargetGroups],
    limits: {
      connectionRate: connectionRate === undefined ? undefined : connectionRateMessage(connectionRate),
      concurrentConnections,
      bandwidth: bandwidth === undefined ? undefined : bandwidthMessage(bandwidth),
      shadow,
    },
  };
}

function bandwidthMessage({ uploadBytesPerSecond = 0, downloadBytesPerSecond = 0 }: Bandwidth): proto.Bandwidth {
  return { upload: BigInt(uploadBytesPerSecond), download: BigInt(downloadBytesPerSecond) };
}

function connectionRateMessage(rate: ConnectionRate): proto.ConnectionRate {
  return {
    algorithm: RATE_ALGORITHM[rate.algorithm],
    limit: rate.limit,
    window: durationMessage(rate.windowMs),
    burst: rate.burst ?? 0,
    action: LIMIT_ACTION[rate.action],
    maxDelay: durationMessage(rate.maxDelayMs),
  };
}
