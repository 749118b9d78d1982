/**
 * The bounds of every value that state may hold, each refused with one clear sentence. What a value refers to is state.ts's
 * matter. Fields are named as an administrator writes them, so without the unit.
 */
import { parseAddress } from './address.ts';
import { parseCidr } from './cidr.ts';
import { DomainError } from './errors.ts';
import { isFingerprint } from './fingerprint.ts';
import type { HealthCheck } from './health-check.ts';
import type {
  Bandwidth,
  Client,
  ConnectionRate,
  IdentityMatch,
  OutlierDetection,
  Revocation,
  TargetGroup,
  UpstreamServer,
  UpstreamTls,
} from './model.ts';
import { MOST_WAITING } from './queue.ts';
import { LONGEST_LOG } from './ratelimit/sliding-window-log.ts';
import { hasWildcard, parseUriPattern } from './uri-pattern.ts';

const DAY_MS = 86_400_000;
/** The end of the year 9999, the last that ISO 8601 writes with four digits. */
const LAST_MS = 253_402_300_799_999;
/** What a 32-bit count of connections can hold. */
const MAX_CONNECTIONS = 2 ** 31 - 1;
/** Bytes per second. Below, one TLS record of 16 KiB would wait for longer than 16 s. */
export const MIN_BANDWIDTH = 1024;
export const MAX_BANDWIDTH = 2 ** 40;

/** @throws DomainError `invalid`. */
export function checkGroupValues(group: TargetGroup): void {
  checkName(group.name, 'name');
  checkWhole(group.retries, 'retries', 'a whole number of servers', 0, 10);
  checkWhole(group.connectTimeoutMs, 'connectTimeout', 'a whole number of milliseconds', 1, 600_000);
  checkHealthCheck(group.healthCheck);
  checkWhole(group.slowStartMs, 'slowStart', 'a whole number of milliseconds', 0, DAY_MS);
  checkWhole(group.panicThreshold, 'panicThreshold', 'a percentage', 0, 100);
  checkOutlierDetection(group.outlierDetection);
  if (group.queue !== undefined) {
    checkWhole(group.queue.maxLength, 'queue.maxLength', 'a whole number of connections', 1, MOST_WAITING);
    checkWhole(group.queue.timeoutMs, 'queue.timeout', 'a whole number of milliseconds', 1, 600_000);
  }
  if (group.hashBalanceFactor !== 0) checkWhole(group.hashBalanceFactor, 'hashBalanceFactor', '0, or a percentage', 101, 10_000);
  if (group.agentCheck !== undefined) {
    checkWhole(group.agentCheck.port, 'agentCheck.port', 'a port', 1, 65_535);
    checkWhole(group.agentCheck.intervalMs, 'agentCheck.interval', 'a whole number of milliseconds', 10, DAY_MS);
    checkWhole(group.agentCheck.timeoutMs, 'agentCheck.timeout', 'a whole number of milliseconds', 10, DAY_MS);
  } else if (group.algorithm === 'resource') {
    throw new DomainError('invalid', 'agentCheck', 'the algorithm resource needs an agentCheck, which says how loaded the servers are');
  }
  if (group.rebalance !== undefined)
    checkWhole(group.rebalance.perSecond, 'rebalance.perSecond', 'a whole number of connections', 1, 10_000);
  if (group.upstreamTls !== undefined) checkUpstreamTls(group.upstreamTls);
  checkWhole(group.resolveIntervalMs, 'resolveInterval', 'a whole number of milliseconds', 100, DAY_MS);
  for (const server of group.servers) checkServer(server, 'servers');
}

/** @throws DomainError `invalid`; `field` is the one that holds the address. */
export function checkServer(server: UpstreamServer, field: string): void {
  const parsed = parseAddress(server.address);
  if ('problem' in parsed) throw new DomainError('invalid', field, parsed.problem);
  checkWhole(server.weight, 'weight', 'a whole number', 0, 256);
  if (server.maxConnections !== undefined)
    checkWhole(server.maxConnections, 'maxConnections', 'a whole number of connections', 1, MAX_CONNECTIONS);
}

/** @throws DomainError `invalid`. */
export function checkRevocation({ fingerprint, comment, atMs }: Revocation): void {
  if (!isFingerprint(fingerprint)) throw new DomainError('invalid', 'fingerprint', 'a SHA-256 fingerprint is 64 lower-case hex digits');
  if (comment.length > 256 || /\p{Cc}/u.test(comment))
    throw new DomainError('invalid', 'comment', 'a comment has at most 256 characters, and no control characters');
  checkWhole(atMs, 'revokedAt', 'a time in milliseconds since 1970', 0, LAST_MS);
}

/** @throws DomainError `invalid`. */
export function checkClientValues(client: Client): void {
  checkName(client.clientId, 'clientId');
  checkMatch(client.match);
  if (client.allowedTargetGroups.length === 0) {
    throw new DomainError('invalid', 'allowedTargetGroups', `client "${client.clientId}" is allowed no target group; name at least one`);
  }
  const { connectionRate, concurrentConnections, bandwidth } = client.limits;
  if (bandwidth !== undefined) checkBandwidth(bandwidth);
  if (connectionRate !== undefined) checkRate(connectionRate);
  if (concurrentConnections !== undefined) {
    checkWhole(concurrentConnections, 'limits.concurrentConnections', 'a whole number of connections', 1, MAX_CONNECTIONS);
  }
}

function checkHealthCheck(check: HealthCheck): void {
  checkWhole(check.intervalMs, 'healthCheck.interval', 'a whole number of milliseconds', 10, DAY_MS);
  checkWhole(check.timeoutMs, 'healthCheck.timeout', 'a whole number of milliseconds', 10, DAY_MS);
  checkWhole(check.maxIntervalMs, 'healthCheck.maxInterval', 'a whole number of milliseconds', 10, DAY_MS);
  checkWhole(check.unhealthyThreshold, 'healthCheck.unhealthyThreshold', 'a whole number of failures', 1, 1000);
  checkWhole(check.healthyThreshold, 'healthCheck.healthyThreshold', 'a whole number of successes', 1, 1000);
  if (check.grpc !== undefined && (check.grpc.service.length > 253 || /\p{Cc}/u.test(check.grpc.service)))
    throw new DomainError('invalid', 'healthCheck.grpc.service', 'expected a text of at most 253 characters without control characters');
  if (check.grpc?.authority !== undefined) checkPrintable(check.grpc.authority, 'healthCheck.grpc.authority');
  if (check.sendExpect !== undefined && (check.sendExpect.expect === '' || check.sendExpect.expect.length > MAX_PROBE_TEXT))
    throw new DomainError('invalid', 'healthCheck.sendExpect.expect', `expected a text of 1 to ${MAX_PROBE_TEXT} characters`);
  if ((check.sendExpect?.send.length ?? 0) > MAX_PROBE_TEXT)
    throw new DomainError('invalid', 'healthCheck.sendExpect.send', `expected a text of at most ${MAX_PROBE_TEXT} characters`);
  if (check.http === undefined) return;
  const { path, host, statusFrom, statusTo, body } = check.http;
  if (body !== undefined && (body === '' || body.length > MAX_PROBE_TEXT))
    throw new DomainError('invalid', 'healthCheck.http.body', `expected a text of 1 to ${MAX_PROBE_TEXT} characters`);
  // Both go into a request line or a header as they are: nothing in them may end it.
  if (!/^\/[\x21-\x7e]*$/.test(path)) {
    throw new DomainError('invalid', 'healthCheck.http.path', 'the path of a health check begins with / and has no blanks');
  }
  if (host !== undefined) checkPrintable(host, 'healthCheck.http.host');
  checkWhole(statusFrom, 'healthCheck.http.statusFrom', 'a status code', 100, 599);
  checkWhole(statusTo, 'healthCheck.http.statusTo', 'a status code', statusFrom, 599);
}

const MAX_PROBE_TEXT = 4096;

function checkPrintable(host: string, field: string): void {
  if (!/^[\x21-\x7e]{1,255}$/.test(host))
    throw new DomainError('invalid', field, 'the host of a health check is one word of 1 to 255 printable characters');
}

function checkOutlierDetection({ consecutiveFailures, baseEjectionMs, maxEjectionMs, maxEjectionPercent }: OutlierDetection): void {
  const field = 'outlierDetection';
  checkWhole(consecutiveFailures, `${field}.consecutiveFailures`, 'a whole number of failures', 0, 1000);
  checkWhole(baseEjectionMs, `${field}.baseEjectionTime`, 'a whole number of milliseconds', 1, DAY_MS);
  checkWhole(maxEjectionMs, `${field}.maxEjectionTime`, 'a whole number of milliseconds', 1, DAY_MS);
  checkWhole(maxEjectionPercent, `${field}.maxEjectionPercent`, 'a percentage', 0, 100);
}

function checkUpstreamTls({ ca, serverName, clientCertificate }: UpstreamTls): void {
  const texts = { ca, serverName, certificate: clientCertificate?.certificate, privateKey: clientCertificate?.privateKey };
  for (const [key, text] of Object.entries(texts)) {
    const most = key === 'serverName' ? 253 : 4096;
    if (text !== undefined && (text === '' || text.length > most || /\p{Cc}/u.test(text)))
      throw new DomainError('invalid', `upstreamTls.${key}`, `expected a text of 1 to ${most} characters without control characters`);
  }
}

function checkBandwidth({ uploadBytesPerSecond, downloadBytesPerSecond }: Bandwidth): void {
  for (const [key, rate] of Object.entries({ upload: uploadBytesPerSecond, download: downloadBytesPerSecond })) {
    if (rate !== undefined) checkWhole(rate, `limits.bandwidth.${key}`, 'a whole number of bytes per second', MIN_BANDWIDTH, MAX_BANDWIDTH);
  }
}

function checkRate(rate: ConnectionRate): void {
  const field = 'limits.connectionRate';
  // The log keeps the time of every connection of the limit, 8 bytes each.
  const mostByAlgorithm = rate.algorithm === 'slidingWindowLog' ? LONGEST_LOG : 1_000_000;
  checkWhole(rate.limit, `${field}.limit`, `a whole number of connections for ${rate.algorithm}`, 1, mostByAlgorithm);
  checkWhole(rate.windowMs, `${field}.window`, 'a whole number of milliseconds', 1, DAY_MS);
  if (rate.burst !== undefined) checkWhole(rate.burst, `${field}.burst`, 'a whole number of connections', 1, 1_000_000);
  checkWhole(rate.maxDelayMs, `${field}.maxDelay`, 'a whole number of milliseconds', 0, 60_000);
}

function checkMatch(match: IdentityMatch): void {
  for (const key of ['cn', 'dns', 'uri', 'ou'] as const) {
    const value = match[key];
    if (value === undefined || (value.length >= 1 && value.length <= 1000 && !/\p{Cc}/u.test(value))) continue;
    throw new DomainError(
      'invalid',
      `match.${key}`,
      `match.${key} is ${value.length} characters long, not 1 to 1000, or has control characters; leave it out to match anything`,
    );
  }
  const pattern = match.uri !== undefined && hasWildcard(match.uri) ? parseUriPattern(match.uri) : undefined;
  if (pattern !== undefined && 'problem' in pattern) throw new DomainError('invalid', 'match.uri', `match.uri ${pattern.problem}`);
  if (match.fingerprint !== undefined && !isFingerprint(match.fingerprint)) {
    throw new DomainError('invalid', 'match.fingerprint', 'match.fingerprint is not a SHA-256 fingerprint: 64 lower-case hex digits');
  }
  const network = match.cidr === undefined ? undefined : parseCidr(match.cidr);
  if (network !== undefined && 'problem' in network) throw new DomainError('invalid', 'match.cidr', network.problem);
}

const NAME = /^[\w.:/@*-]{1,253}$/;

function checkName(name: string, field: string): void {
  if (!NAME.test(name))
    throw new DomainError('invalid', field, `"${printable(name)}" is not a name: 1 to 253 letters, digits and . _ - : / @ *`);
}

function checkWhole(value: number, field: string, what: string, least: number, most: number): void {
  if (Number.isInteger(value) && value >= least && value <= most) return;
  throw new DomainError('invalid', field, `${field} is ${value}, not ${what} from ${least} to ${most}`);
}

/** A name as it may stand in an error message: short, and nothing in it steers a terminal. */
export function printable(text: string): string {
  return text.slice(0, 80).replace(/[^\x20-\x7e]/g, '?');
}
