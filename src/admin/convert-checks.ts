/** How servers are checked: between the vocabulary of the admin API and the domain's, both ways. */
import { DomainError } from '../domain/errors.ts';
import { CHECK_TYPES, type GrpcCheck, type HealthCheck, type HttpCheck, type SendExpectCheck } from '../domain/health-check.ts';
import type { AgentCheck } from '../domain/model.ts';
import * as proto from '../gen/lb/admin/v1/admin.ts';
import { choiceFrom, durationMessage, orDefault, positiveMsFrom, required, unlessEmpty } from './convert-values.ts';

const CHECK_TYPE = {
  tcp: proto.CheckType.TCP,
  tls: proto.CheckType.TLS,
  http: proto.CheckType.HTTP,
  grpc: proto.CheckType.GRPC,
  sendExpect: proto.CheckType.SEND_EXPECT,
  none: proto.CheckType.NONE,
} as const;

/** @throws DomainError `invalid` */
export function healthCheckFrom(check: proto.HealthCheck | undefined, at: string): HealthCheck {
  const type = choiceFrom(CHECK_TYPES, CHECK_TYPE, check?.type ?? proto.CheckType.UNSPECIFIED, 'tcp', `${at}.type`);
  for (const kind of ['http', 'grpc', 'sendExpect'] as const) {
    if (check?.[kind] !== undefined && type !== kind)
      throw new DomainError('invalid', `${at}.${kind}`, `${kind} is for the type ${CHECK_TYPE[kind]} only`);
  }
  const intervalMs = positiveMsFrom(check?.interval, 5000, `${at}.interval`);
  return {
    type,
    intervalMs,
    timeoutMs: positiveMsFrom(check?.timeout, 5000, `${at}.timeout`),
    unhealthyThreshold: orDefault(check?.unhealthyThreshold, 1),
    healthyThreshold: orDefault(check?.healthyThreshold, 3),
    maxIntervalMs: positiveMsFrom(check?.maxInterval, Math.max(60_000, intervalMs), `${at}.maxInterval`),
    http: type === 'http' ? httpCheckFrom(check?.http, `${at}.http`) : undefined,
    grpc: type === 'grpc' ? grpcCheckFrom(check?.grpc, `${at}.grpc`) : undefined,
    sendExpect: type === 'sendExpect' ? sendExpectFrom(check?.sendExpect, `${at}.sendExpect`) : undefined,
  };
}

function httpCheckFrom(http: proto.HttpCheck | undefined, at: string): HttpCheck {
  const path = http?.path === undefined || http.path === '' ? '/' : http.path;
  // The probe writes both into a request: nothing in them may end the line.
  if (!/^\/[\x21-\x7e]{0,2047}$/.test(path))
    throw new DomainError('invalid', `${at}.path`, 'the path begins with / and has no spaces or control characters');
  const host = hostFrom(http?.host, `${at}.host`);
  const statusFrom = orDefault(http?.statusFrom, 200);
  const statusTo = orDefault(http?.statusTo, Math.max(399, statusFrom));
  if (statusFrom < 100 || statusTo > 599 || statusFrom > statusTo) {
    throw new DomainError('invalid', `${at}.statusFrom`, `${statusFrom} to ${statusTo} is not a range of status codes within 100 to 599`);
  }
  return { path, host, statusFrom, statusTo, body: unlessEmpty(http?.body ?? '') };
}

function grpcCheckFrom(grpc: proto.GrpcCheck | undefined, at: string): GrpcCheck {
  return { service: grpc?.service ?? '', authority: hostFrom(grpc?.authority, `${at}.authority`) };
}

function sendExpectFrom(check: proto.SendExpectCheck | undefined, at: string): SendExpectCheck {
  const { send, expect } = required(check, at);
  if (expect === '') throw new DomainError('invalid', `${at}.expect`, 'say what the answer must hold');
  return { send, expect };
}

function hostFrom(text: string | undefined, at: string): string | undefined {
  const host = unlessEmpty(text ?? '');
  // It goes into a header as it is: nothing in it may end that.
  if (host !== undefined && !/^[\x21-\x7e]{1,255}$/.test(host))
    throw new DomainError('invalid', at, 'expected a host name, with :port or without; one word of printable characters');
  return host;
}

/** Left out: undefined. @throws DomainError `invalid` */
export function agentCheckFrom(check: proto.AgentCheck | undefined, at: string): AgentCheck | undefined {
  if (check === undefined) return undefined;
  return {
    port: check.port,
    intervalMs: positiveMsFrom(check.interval, 5000, `${at}.interval`),
    timeoutMs: positiveMsFrom(check.timeout, 5000, `${at}.timeout`),
  };
}

export function healthCheckMessage(check: HealthCheck): proto.HealthCheck {
  return {
    type: CHECK_TYPE[check.type],
    interval: durationMessage(check.intervalMs),
    timeout: durationMessage(check.timeoutMs),
    unhealthyThreshold: check.unhealthyThreshold,
    healthyThreshold: check.healthyThreshold,
    maxInterval: durationMessage(check.maxIntervalMs),
    http: check.http === undefined ? undefined : { ...check.http, host: check.http.host ?? '', body: check.http.body ?? '' },
    grpc: check.grpc === undefined ? undefined : { service: check.grpc.service, authority: check.grpc.authority ?? '' },
    sendExpect: check.sendExpect === undefined ? undefined : { ...check.sendExpect },
  };
}

export function agentCheckMessage({ port, intervalMs, timeoutMs }: AgentCheck): proto.AgentCheck {
  return { port, interval: durationMessage(intervalMs), timeout: durationMessage(timeoutMs) };
}
